"""Does the slim loss network know strokes? Per-image optimisation (Gatys et al. 2016) of one photograph through it.

    python benchmarks/lite_strokes.py painting.jpg --output strokes.jpg

Only strokes that the loss network can tell from flat colour appear. The photograph is scikit-image's `chelsea`.
"""

from __future__ import annotations

import argparse

import numpy as np
import skimage.data
from PIL import Image

from fast_nst.functional.pixels import to_pixels, to_tensor
from fast_nst.imaging.images import open_image, resize_long_side, save_image
from fast_nst.imaging.sheets import contact_sheet
from fast_nst.losses.perceptual import perceptual_loss
from fast_nst.optimization.descent import optimize
from fast_nst.settings.train import LossSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paintings", nargs="+")
    parser.add_argument("--output", required=True)
    parser.add_argument("--loss_network", default="lite")
    parser.add_argument("--style_weight", type=float, default=1000)
    parser.add_argument("--steps", type=int, default=150)
    arguments = parser.parse_args()
    photo = to_tensor(np.asarray(resize_long_side(Image.fromarray(skimage.data.chelsea()), 384)))[None]
    settings = LossSettings(style_weight=arguments.style_weight, tv_weight=10)
    pictures = [to_pixels(photo[0])]
    for path in arguments.paintings:
        painting = to_tensor(np.asarray(resize_long_side(open_image(path), 384)))
        criterion = perceptual_loss(arguments.loss_network, None, [painting], settings)
        pictures.append(to_pixels(optimize(criterion.objective(photo), photo, arguments.steps).best[0]))
    save_image(contact_sheet([pictures], cell=384), arguments.output)


if __name__ == "__main__":
    main()
