"""Parts of a training run, built from its settings: paintings, photographs and the LightningModule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fast_nst.data.datasets import Photos, Scenes
from fast_nst.data.folders import Fault, find_photos, find_preview_photos, readable_photos
from fast_nst.data.sample_photos import sample_photos
from fast_nst.errors import UserError
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.images import load_image, open_image, resize_long_side
from fast_nst.losses.perceptual import PerceptualLoss, perceptual_loss
from fast_nst.losses.terms import layers_of
from fast_nst.networks.loss_network import check_image_size
from fast_nst.networks.transformer_net import DEFAULT_PRESET, TransformerNet, checked_names, with_preset
from fast_nst.networks.weights import load_network
from fast_nst.runs.config import listed
from fast_nst.settings.export import SHIPPED_NETWORKS
from fast_nst.settings.train import TrainSettings
from fast_nst.style_rows import IDENTITY
from fast_nst.training.fine_tuning import Start, add_strong_rows, add_styles, choose_start, rescale_kernels, same_style
from fast_nst.training.module import StyleTransferModule, compile_networks

PREVIEWS, PREVIEW_SIZE = 4, 384
DRAWN_STYLE = ("stained_glass", 12)  # kind and seed of the style picture where none is given
START_PHOTOS = 2  # on which the rows of a base are tried


def load_styles(settings: TrainSettings) -> dict[str, np.ndarray]:
    """Name -> painting as uint8 RGB (H, W, 3), its longer side ``style_size``; drawn by the package where none is given."""
    own = settings.name or ""  # resolved settings have one
    images = {own: Image.fromarray(draw_style(*DRAWN_STYLE))}
    if settings.style is not None:
        paths = listed(settings.style)
        names = [Path(path).stem for path in paths] if isinstance(settings.style, list) else [own]
        images = dict(zip(checked_names([*names, IDENTITY]), map(open_image, paths), strict=False))
    return {name: np.asarray(resize_long_side(image, settings.style_size)) for name, image in images.items()}


def dataset_of(settings: TrainSettings) -> Photos | Scenes:
    """The photographs of ``data``, or scenes drawn by the package."""
    if settings.data is None:
        return Scenes(settings.image_size, settings.seed)
    faults: dict[Path, Fault] = {}
    return Photos(find_photos(settings.data, faults), settings.image_size, settings.seed, faults)


def preview_photos(settings: TrainSettings) -> list[np.ndarray]:
    """Photographs to show progress on, each uint8 RGB (H, W, 3): held out, or samples where all are drawn."""
    if settings.preview_photos:
        return [load_image(path, PREVIEW_SIZE) for path in settings.preview_photos]
    if settings.data is None:
        return sample_photos(PREVIEW_SIZE)
    return readable_photos(find_preview_photos(settings.data), PREVIEWS, PREVIEW_SIZE)


def module_of(settings: TrainSettings, styles: dict[str, np.ndarray], dataset: Photos | Scenes) -> StyleTransferModule:
    """The network, new or from a base, with the loss that trains it to draw ``styles``, uint8 RGB (H, W, 3) by name."""
    layers, size = layers_of(settings.loss_network, settings.loss), settings.image_size
    images = [to_tensor(pixels) for pixels in styles.values()]
    criterion = perceptual_loss(settings.loss_network, settings.loss_weights, images, settings.loss, settings.border())
    check_image_size(settings.loss_network, layers[0] + layers[1], size, size, what="a training crop (--image_size)")
    photos = torch.stack([dataset[position] for position in range(settings.batch_size)])
    network = _network(settings, dict(zip(styles, images, strict=True)), criterion, dataset)
    rows = [network.styles.index(name) for name in styles]
    module = StyleTransferModule(
        network,
        criterion,
        settings.optimizer,
        steps=settings.steps or 1,
        rows=rows,
        seed=settings.seed,
        extrapolate=settings.finetune == "strong",
        structure=settings.structure_target(),
    )
    if settings.compile:
        compile_networks(module, photos)
    return module


def _network(
    settings: TrainSettings, paintings: dict[str, torch.Tensor], criterion: PerceptualLoss, dataset: Photos | Scenes
) -> TransformerNet:
    """A new network, or the base with a row for each of ``paintings``, (3, h, w) in [0, 1]."""
    if settings.start is None and settings.finetune != "all":
        raise UserError(f"--finetune {settings.finetune} needs a trained network: add --from many")
    if settings.start is None:
        return TransformerNet(settings.preset or DEFAULT_PRESET, settings.width, [IDENTITY, *paintings])
    base = load_network(settings.start)
    if settings.width not in (None, base.config["width"]):
        raise UserError(
            f"the base {settings.start} has width {base.config['width']}, not {settings.width}; leave --width out"
        )
    if settings.preset not in (None, base.config["preset"]):
        base = with_preset(base, settings.preset)
    if settings.finetune == "strong":
        return add_strong_rows(base, list(paintings))
    network = add_styles(base, _starts(settings, base, paintings, criterion, dataset), settings.finetune == "norm")
    if settings.finetune == "all" and settings.optimizer.rescale_kernels:
        rescale_kernels(network)
    return network


def _starts(
    settings: TrainSettings,
    base: TransformerNet,
    paintings: dict[str, torch.Tensor],
    criterion: PerceptualLoss,
    dataset: Photos | Scenes,
) -> dict[str, Start]:
    """Each painting's own row where the base has it, otherwise a mixture of the base's rows in its colors.

    A single painting whose name is a shipped style's may be another one, so its row is found as any other painting's.
    """
    by_name = len(paintings) > 1 or settings.start not in SHIPPED_NETWORKS
    photos, starts = torch.stack([dataset[position] for position in range(START_PHOTOS)]), {}
    for style, (name, painting) in enumerate(paintings.items()):
        known = by_name and name in base.styles
        starts[name] = same_style(base, name) if known else choose_start(base, criterion, style, painting, photos)
    return starts
