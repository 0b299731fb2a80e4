"""The pictures of the README and docs/styles.md, on scikit-image's photographs.

    python benchmarks/showcase.py model checkpoints/quickstart --output docs/images/quickstart.jpg --drawn
    python benchmarks/showcase.py styles --output docs/images/styles.jpg
    python benchmarks/showcase.py strengths --output docs/images/strengths
    python benchmarks/showcase.py strokes --size 4000 --output docs/images/strokes.jpg

`model` puts photographs above what a model makes of them (with --drawn, the painting that the package draws comes first),
`styles` shows one photograph in every shipped style, `strengths` writes a row for each style: the photograph, and it at 0.3,
0.6, 1 and 1.5. `strokes` draws a photograph, enlarged to as many pixels as a telephone's, with --stroke_size 1, 2 and auto.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from fast_nst.data.sample_photos import sample_photos
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.images import save_image
from fast_nst.imaging.sheets import contact_sheet, labelled_sheet
from fast_nst.stylize.library import shipped_styles
from fast_nst.stylize.stylizer import Stylizer
from fast_nst.training.builders import DRAWN_STYLE

STRENGTHS = (0.3, 0.6, 1.0, 1.5)
STROKES, STROKED = (1, 2, "auto"), ("starry_night", "great_wave")


def model_sheet(arguments: argparse.Namespace) -> None:
    stylizer, photos = Stylizer(arguments.model), sample_photos(arguments.size)
    rows = [photos, [stylizer(photo) for photo in photos]]
    if arguments.drawn:
        white = np.full((8, 8, 3), 255, np.uint8)
        rows = [[draw_style(*DRAWN_STYLE), *rows[0]], [white, *rows[1]]]
    save_image(contact_sheet(rows, cell=400), arguments.output)


def styles_sheet(arguments: argparse.Namespace) -> None:
    photo = sample_photos(arguments.size)[arguments.photo]
    cells = [("photograph", photo), *((name, Stylizer(name)(photo)) for name in shipped_styles())]
    save_image(labelled_sheet([cells[:5], cells[5:]], cell=320), arguments.output)


def strength_rows(arguments: argparse.Namespace) -> None:
    for index, name in enumerate(shipped_styles()):
        photo = sample_photos(arguments.size)[index % 3]
        cells = [photo, *(Stylizer(name, strength=strength)(photo) for strength in STRENGTHS)]
        save_image(contact_sheet([cells], cell=360), Path(arguments.output) / f"{name}.jpg")


def strokes_sheet(arguments: argparse.Namespace) -> None:
    """A row for each of two styles: the whole pictures, reduced, as one sees them on a screen."""
    sample = Image.fromarray(skimage.data.coffee())
    photo = np.asarray(sample.resize((arguments.size, round(arguments.size * sample.height / sample.width)), Image.BICUBIC))
    rows = [[(f"stroke_size {size}", Stylizer(name, stroke_size=size)(photo)) for size in STROKES] for name in STROKED]
    save_image(labelled_sheet(rows, cell=400), arguments.output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_subparsers(required=True)
    sheets = {"model": model_sheet, "styles": styles_sheet, "strengths": strength_rows, "strokes": strokes_sheet}
    for name, function in sheets.items():
        command = what.add_parser(name)
        command.set_defaults(function=function)
        command.add_argument("--output", required=True)
        command.add_argument("--size", type=int, default=480)
    what.choices["model"].add_argument("model")
    what.choices["model"].add_argument("--drawn", action="store_true")
    what.choices["styles"].add_argument("--photo", type=int, default=1, help="0 astronaut, 1 cat, 2 coffee")
    arguments = parser.parse_args()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
