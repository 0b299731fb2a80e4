"""The README's pictures: scikit-image's photographs above what a model makes of them.

    python benchmarks/showcase.py checkpoints/quickstart --output docs/images/quickstart.jpg --drawn

With --drawn, the first column shows the painting that the package draws.
"""

from __future__ import annotations

import argparse

import numpy as np
import skimage.data
from PIL import Image

from fast_nst.drawing import draw_painting
from fast_nst.images import contact_sheet, resize_long_side, save_image
from fast_nst.stylizer import Stylizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--output", required=True)
    parser.add_argument("--size", type=int, default=480)
    parser.add_argument("--drawn", action="store_true")
    arguments = parser.parse_args()
    stylizer = Stylizer(arguments.model)
    samples = (skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee())
    photos = [np.asarray(resize_long_side(Image.fromarray(sample), arguments.size)) for sample in samples]
    rows = [photos, [stylizer(photo) for photo in photos]]
    if arguments.drawn:
        white = np.full((8, 8, 3), 255, np.uint8)
        rows = [[draw_painting(seed=1), *rows[0]], [white, *rows[1]]]
    save_image(contact_sheet(rows, cell=400), arguments.output)


if __name__ == "__main__":
    main()
