"""What a network draws along the edge of its pictures, and what it gains by it.

    python benchmarks/borders.py --networks checkpoints/base_5 base --photos val --paintings paintings \
        --vgg19 vgg19_features.safetensors

Every style of each network draws every photograph (without --photos, three of scikit-image's), with other borders at its
convolutions than it has, one after the other; its weights stay:

repeated     the last pixel repeated, as the preset fast has it
mirrored     mirrored
zeros        zeros
padded       mirrored, and the photograph 8 pixels larger on each side, mirrored; the result cropped
in context   the middle of a larger picture, which has no edge there: what could be had at best

A row for each network and kind: `frame` (1 is none), the median over photographs, and of these the median, least and
greatest over styles; with --paintings the style distance under VGG-19 (without --vgg19, lite), the mean over all: of whole
pictures, the loss network's padding along their edges included, and without the features of the outer 16 pixels. Writes
borders.csv, .png and .json.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot
from report import Row, parser_of, publish, run, save_plot, spread
from showcase import photographs
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from fast_nst.data.folders import find_preview_photos
from fast_nst.errors import UserError
from fast_nst.evaluation.artifacts import FRAME_SIDE, frame
from fast_nst.functional.features import without_edge
from fast_nst.functional.pixels import to_pixels, to_tensor
from fast_nst.imaging.images import find_images, load_image, open_image, resize_long_side
from fast_nst.losses.perceptual import PerceptualLoss
from fast_nst.losses.terms import layers_of
from fast_nst.networks.layers import set_borders
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.networks.weights import load_network
from fast_nst.settings.train import LOSS_BORDER, LossSettings

NAME, STYLE_SIZE = "borders", 640
KINDS = {
    "repeated": ("replicate", 0),
    "mirrored": ("reflect", 0),
    "zeros": ("constant", 0),
    "padded": ("reflect", 8),
    "in context": ("replicate", -40),
}  # name -> borders of the convolutions, and pixels that the photograph gains on each side
LEAST = FRAME_SIDE + 2 * 40  # pixels a side of a photograph whose middle, too, has a frame to tell


def drawn(network: TransformerNet, photo: Tensor, weights: Tensor, borders: str, gain: int) -> Tensor:
    """``photo`` (1, 3, H, W) by ``network``, in [0, 1]: cropped by what it gained, or by what it is to lose."""
    set_borders(network, borders)
    given = F.pad(photo, [gain] * 4, mode="reflect") if gain > 0 else photo
    return without_edge(network(given, weights).clamp(0, 1), abs(gain))


def judge_of(settings: argparse.Namespace) -> LossNetwork:
    """The loss network that judges, with all layers of the default objective."""
    name = "vgg19" if settings.vgg19 else "lite"
    content, style = layers_of(name, LossSettings())
    return LossNetwork(name, (*content, *style), settings.vgg19).to(memory_format=torch.channels_last)


def criteria_of(
    network: TransformerNet, judge: LossNetwork, settings: argparse.Namespace, border: int = 0
) -> dict[str, PerceptualLoss]:
    """Style -> the loss that measures it, of all that are measured, or none without paintings; ``border`` as there."""
    if settings.paintings is None:
        return {}
    paths, found = {path.stem: path for path in find_images(settings.paintings)}, {}
    for name in [network.styles[row] for row in network.painted_rows[: settings.styles]]:
        if name not in paths:
            raise UserError(f"no painting called {name} in {settings.paintings}; --paintings needs one for every style")
        painting = to_tensor(np.asarray(resize_long_side(open_image(paths[name]), STYLE_SIZE)))
        found[name] = PerceptualLoss(judge, [painting], LossSettings(), border)
    return found


@torch.no_grad()
def measurements(settings: argparse.Namespace) -> Iterator[Row]:
    photos, judge = [to_tensor(photo)[None] for photo in photos_of(settings)], judge_of(settings)
    for source in settings.networks:
        network = load_network(source)
        criteria = [criteria_of(network, judge, settings, border) for border in (0, LOSS_BORDER)]
        for kind in tqdm(KINDS, desc=Path(source).name, unit="kind", leave=False):
            yield {"network": Path(source).name, "borders": kind} | measure(network, kind, photos, criteria, settings.styles)


def measure(
    network: TransformerNet,
    kind: str,
    photos: Sequence[Tensor],
    criteria: Sequence[dict[str, PerceptualLoss]],
    most: int | None,
) -> Row:
    """Frames and distances of the first ``most`` styles of ``network``, at strength 1, by all of ``criteria``."""
    frames, distances = [], []
    for row in network.painted_rows[:most]:
        weights, name = network.mixture([row], like=photos[0]), network.styles[row]
        pictures = [drawn(network, photo, weights, *KINDS[kind]) for photo in photos]
        frames.append(float(np.median([frame(to_pixels(picture[0])) for picture in pictures])))
        own = [named[name] for named in criteria if name in named]
        distances += [[one.style_loss(one.features(picture)).item() for one in own] for picture in pictures if own]
    median, least, greatest = spread(frames)
    whole, middle = np.mean(distances, 0).tolist() if distances else (None, None)
    found = {"frame": median, "frame_least": least, "frame_greatest": greatest}
    return found | {"style_whole": whole, "style_middle": middle}


def photos_of(settings: argparse.Namespace) -> list[np.ndarray]:
    """The photographs as uint8 RGB, their longer side ``settings.size``."""
    if settings.photos is None:
        return photographs(settings.size)[: settings.count]
    photos = [load_image(path, settings.size) for path in find_preview_photos(settings.photos, settings.count)]
    least = min(min(photo.shape[:2]) for photo in photos)
    if least < LEAST:
        raise UserError(f"a photograph has a side of {least} pixels, and {LEAST} are needed; choose a larger --size")
    return photos


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    names = list(dict.fromkeys(row["network"] for row in rows))
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for number, name in enumerate(names):
        own = [row for row in rows if row["network"] == name]
        least, middle, greatest = (np.array([row[key] for row in own]) for key in ("frame_least", "frame", "frame_greatest"))
        places, width = np.arange(len(own)) + number / (len(names) + 1), 1 / (len(names) + 1)
        axes.bar(places, middle, width, yerr=(middle - least, greatest - middle), capsize=3, label=name)
    axes.set_xticks(np.arange(len(KINDS)), list(KINDS))
    axes.axhline(1, color="black", linestyle="--", linewidth=0.8)
    axes.set(ylabel="frame (1 is none)", title="median, least and greatest of the styles")
    axes.legend()
    save_plot(NAME, figure, settings)


def parser_for(description: str, name: str, size: int) -> argparse.ArgumentParser:
    """``parser_of`` with the photographs, paintings and judge of a benchmark of shipped styles."""
    parser = parser_of(description, name)
    parser.add_argument("--photos", type=Path, help="folder of held-out photographs (none: scikit-image's)")
    parser.add_argument("--count", type=int, default=6, help="photographs, the first of the folder")
    parser.add_argument("--size", type=int, default=size, help="their longer side")
    parser.add_argument("--paintings", type=Path, help="folder of the styles' paintings, great_wave.jpg and so on")
    parser.add_argument("--vgg19", type=Path, help="VGG-19's weights in torchvision's keys (none: lite judges)")
    parser.add_argument("--styles", type=int, help="styles of each network, the first (none: all)")
    return parser


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for(__doc__, NAME, size=384)
    parser.add_argument("--networks", nargs="+", default=["base"], help="base, runs' folders or checkpoints")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.count, settings.size, settings.styles = 1, 256, 2
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    publish(NAME, measurements, draw, parsed(argv))


if __name__ == "__main__":
    run(main)
