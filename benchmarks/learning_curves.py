"""How fast runs learn: the objective of each of their checkpoints on held-out photographs, under one loss network.

    fast-nst train --style painting.jpg --data photos --name scratch --steps 10000
    fast-nst train --style painting.jpg --data photos --name all --from base
    fast-nst train --style painting.jpg --data photos --name norm --from base --finetune norm
    python benchmarks/learning_curves.py checkpoints/scratch checkpoints/all checkpoints/norm --photos val \
        --style painting.jpg --output docs/benchmarks/fine_tuning.csv

The style is the last row of each network. Seconds are the run's own, from its card, shared out evenly over its steps.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import torch

from fast_nst.data import find_preview_photos, to_tensor
from fast_nst.images import load_image, open_image, resize_long_side
from fast_nst.losses import PerceptualLoss, perceptual_loss
from fast_nst.settings import LossSettings
from fast_nst.weights import load_network

TERMS = ("total", "content", "style", "structure")


@torch.no_grad()
def losses_of(checkpoint: Path, criterion: PerceptualLoss, photos: list[torch.Tensor]) -> dict[str, float]:
    """Terms of the objective and structure r, averaged over ``photos``."""
    network = load_network(str(checkpoint))
    terms = [criterion(network(photo).clamp(0, 1), photo) for photo in photos]
    return {name: round(float(np.mean([getattr(one, name).item() for one in terms])), 4) for name in TERMS}


def checkpoints_of(run: Path) -> dict[int, Path]:
    """Step -> checkpoint, rising."""
    found = {int(path.name.split("=")[1].split("-")[0]): path for path in run.glob("step=*.ckpt")}
    return dict(sorted(found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--style", required=True)
    parser.add_argument("--style_size", type=int, default=640)
    parser.add_argument("--style_weight", type=float, default=LossSettings().style_weight)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--loss_network", default="lite")
    parser.add_argument("--loss_weights")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    painting = to_tensor(np.asarray(resize_long_side(open_image(arguments.style), arguments.style_size)))
    settings = LossSettings(style_weight=arguments.style_weight)
    criterion = perceptual_loss(arguments.loss_network, arguments.loss_weights, [painting], settings)
    paths = find_preview_photos(arguments.photos, arguments.count)
    photos = [to_tensor(load_image(path, arguments.size))[None] for path in paths]
    rows = []
    for run in arguments.runs:
        card = json.loads((run / "card.json").read_text())
        for step, path in checkpoints_of(run).items():
            seconds = round(card["seconds"] * step / card["steps"])
            rows.append({"run": run.name, "step": step, "seconds": seconds} | losses_of(path, criterion, photos))
            print(*rows[-1].values(), flush=True)
    if arguments.output:
        with arguments.output.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
