"""N* of the shipped styles: the iterations of per-image optimisation that each of them replaces.

    python benchmarks/equivalents.py --paintings paintings --photos coco --vgg19 vgg19_features.safetensors --sizes 256 512

L-BFGS starts from the photograph, and from noise, and goes on until the objective is the network's (`fast-nst evaluate`;
Johnson et al. 2016, Fig. 5). The objective is that of the base's training, under VGG-19 with the weights on the base's card.
Photographs must be held out. Every figure goes to docs/benchmarks/equivalents.csv as soon as it is there, and what is there
is not measured again.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fast_nst.data import find_preview_photos, to_tensor
from fast_nst.evaluation import measure
from fast_nst.images import find_images, load_image, open_image, resize_long_side
from fast_nst.losses import PerceptualLoss, perceptual_loss
from fast_nst.settings import LossSettings
from fast_nst.styles import SHIPPED, shipped_styles
from fast_nst.stylizer import Stylizer

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks" / "equivalents.csv"
FIELDS = (
    "style",
    "size",
    "photo",
    "n_photo",
    "n_noise",
    "total",
    "content",
    "style_term",
    "structure",
    "ssim",
    "seconds",
)
STYLE_SIZE = 640


def training_loss(name: str) -> LossSettings:
    """What the training of the base weighed for one of its styles."""
    card = json.loads((SHIPPED / "base.json").read_text())
    names = [Path(style["file"]).stem for style in card["style"]]
    settings = LossSettings(**card["loss"])
    share = settings.style_shares[names.index(name)]
    return replace(settings, style_weight=settings.style_weight * share, style_shares=[])


def measured() -> list[dict[str, str]]:
    if not TABLE.exists():
        return []
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


def write(rows: list[dict]) -> None:
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


def row_of(name: str, path: Path, size: int, criterion: PerceptualLoss, arguments: argparse.Namespace) -> dict:
    photo, start = load_image(path, size), time.perf_counter()
    row = measure(path.name, photo, Stylizer(name)(photo), criterion, None, arguments.iterations, arguments.noise)
    numbers = {"total": row.total, "content": row.content, "style_term": row.style, "structure": row.structure}
    counts = {"n_photo": row.n_photo, "n_noise": row.n_noise}
    rounded = {key: round(value, 4) for key, value in numbers.items()} | {"ssim": round(row.ssim, 4)}
    seconds = round(time.perf_counter() - start, 1)
    return {"style": name, "size": size, "photo": path.name} | counts | rounded | {"seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paintings", required=True)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--vgg19", required=True)
    parser.add_argument("--noise", action=argparse.BooleanOptionalAction, default=True, help="from noise as well")
    arguments = parser.parse_args()
    rows = measured()
    known = {(row["style"], int(row["size"]), row["photo"]) for row in rows}
    photos, paintings = find_preview_photos(arguments.photos, arguments.count), find_images(Path(arguments.paintings))
    for size, name in tqdm([(size, name) for size in arguments.sizes for name in shipped_styles()], unit="style"):
        painting = next(path for path in paintings if path.stem == name)
        target = to_tensor(np.asarray(resize_long_side(open_image(painting), STYLE_SIZE)))
        criterion = perceptual_loss("vgg19", arguments.vgg19, [target], training_loss(name))
        for path in [path for path in photos if (name, size, path.name) not in known]:
            rows.append(row_of(name, path, size, criterion, arguments))
            write(rows)


if __name__ == "__main__":
    main()
