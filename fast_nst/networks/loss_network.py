"""The loss network: frozen features of an image classifier, by layer name (Gatys et al. 2016; Johnson et al. 2016, sec. 3).

Images are float RGB in [0, 1], shape (B, 3, H, W); the normalization that the classifier was trained with happens here.
Layers carry the papers' names (``relu4_3`` is the third rectifier of the fourth block), and the network ends after the
deepest layer asked for. Weights are torchvision's: downloaded at first use, or read from a file in torchvision's keys.

``lite`` is this project's own: a slim VGG (24-48-96-192 channels) distilled from VGG-19, which ships in the package.

Departures from the papers: none in the features; convolutions are the classifiers' own, zero-padded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vgg import make_layers

from fast_nst.errors import UserError, unknown
from fast_nst.networks.tensor_files import read_tensors
from fast_nst.system.files import SHIPPED

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LITE_WEIGHTS = SHIPPED / "lite.safetensors"
LITE_CHANNELS: list[int | str] = [24, 24, "M", 48, 48, "M", 96, 96, 96, "M", 192, 192, 192, "M"]
POOLINGS = ("max", "average")


@dataclass(frozen=True)
class Architecture:
    """A classifier as a chain of named layers.

    Attributes:
        build: makes the classifier, its weights unset.
        paths: layer name -> path of the module in the classifier, in the order of computation.
        weights: torchvision's weights, or None where they ship with this package.
        content_layers, style_layers: what is compared unless told otherwise.
        pattern_layers: content layers where patterns are compared; empty is the content layers.
        style_weights: a weight for each style layer, of normalized losses; empty is 1 for all.
        mean, std: the normalization of the input, RGB in [0, 1].
    """

    build: Callable[[], nn.Module]
    paths: dict[str, str]
    weights: models.WeightsEnum | None
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    pattern_layers: tuple[str, ...] = ()
    style_weights: tuple[float, ...] = ()
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @property
    def usual_layers(self) -> tuple[str, ...]:
        """All layers that are compared unless told otherwise."""
        return tuple(dict.fromkeys((*self.content_layers, *self.pattern_layers, *self.style_layers)))


def _vgg_paths(convolutions: Iterable[int]) -> dict[str, str]:
    """conv1_1, relu1_1, ... pool1, conv2_1, ...: the index in ``features`` counts every one of them."""
    names = []
    for block, count in enumerate(convolutions, start=1):
        names += [f"{kind}{block}_{i}" for i in range(1, count + 1) for kind in ("conv", "relu")] + [f"pool{block}"]
    return {name: f"features.{index}" for index, name in enumerate(names)}


def _squeezenet_paths(*pooled_after: int) -> dict[str, str]:
    names = ["conv1", "relu1", "pool1"]
    for fire in range(2, 10):
        names += [f"fire{fire}"] + ([f"pool{fire}"] if fire in pooled_after else [])
    return {name: f"features.{index}" for index, name in enumerate(names)}


def _resnet_paths(blocks: Iterable[int]) -> dict[str, str]:
    paths = {"conv1": "conv1", "bn1": "bn1", "relu1": "relu", "pool1": "maxpool"}
    for stage, count in enumerate(blocks, start=1):
        paths |= {f"layer{stage}_{i}": f"layer{stage}.{i - 1}" for i in range(1, count + 1)}
    return paths


def _inception_paths() -> dict[str, str]:
    stem = {"conv1a": "Conv2d_1a_3x3", "conv2a": "Conv2d_2a_3x3", "conv2b": "Conv2d_2b_3x3", "pool2": "maxpool1"}
    stem |= {"conv3b": "Conv2d_3b_1x1", "conv4a": "Conv2d_4a_3x3", "pool4": "maxpool2"}
    blocks = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
    return stem | {f"mixed{block}": f"Mixed_{block}" for block in blocks}


def _lite() -> nn.Module:
    return nn.Sequential(OrderedDict(features=make_layers(LITE_CHANNELS)))


_VGG_LAYERS: dict[str, Any] = {
    "content_layers": ("relu2_2",),
    "pattern_layers": ("relu2_2", "relu4_2"),  # lines, and what a face or a letter is made of
    "style_layers": ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
    "style_weights": (0.3, 1.0, 1.4, 1.3),  # relu1_2 is matched first and asks for grain; strokes lie deeper
}
_SQUEEZENET_LAYERS: dict[str, Any] = {
    "content_layers": ("fire3",),
    "style_layers": ("relu1", "fire3", "fire5", "fire7"),
}
ARCHITECTURES: dict[str, Architecture] = {
    "vgg16": Architecture(models.vgg16, _vgg_paths((2, 2, 3, 3, 3)), models.VGG16_Weights.IMAGENET1K_V1, **_VGG_LAYERS),
    "vgg19": Architecture(models.vgg19, _vgg_paths((2, 2, 4, 4, 4)), models.VGG19_Weights.IMAGENET1K_V1, **_VGG_LAYERS),
    "squeezenet1_0": Architecture(
        models.squeezenet1_0,
        _squeezenet_paths(4, 8),
        models.SqueezeNet1_0_Weights.IMAGENET1K_V1,
        **_SQUEEZENET_LAYERS,
    ),
    "squeezenet1_1": Architecture(
        models.squeezenet1_1,
        _squeezenet_paths(3, 5),
        models.SqueezeNet1_1_Weights.IMAGENET1K_V1,
        **_SQUEEZENET_LAYERS,
    ),
    "resnet50": Architecture(
        models.resnet50,
        _resnet_paths((3, 4, 6, 3)),
        models.ResNet50_Weights.IMAGENET1K_V1,
        content_layers=("layer1_3",),
        style_layers=("relu1", "layer1_3", "layer2_4", "layer3_6"),
    ),
    "inception_v3": Architecture(
        lambda: models.inception_v3(init_weights=False),
        _inception_paths(),
        models.Inception_V3_Weights.IMAGENET1K_V1,
        content_layers=("conv4a",),
        style_layers=("conv2b", "conv4a", "mixed5b", "mixed6a"),
        mean=(0.5, 0.5, 0.5),  # its weights were trained on [-1, 1]
        std=(0.5, 0.5, 0.5),
    ),
    "lite": Architecture(_lite, _vgg_paths((2, 2, 3, 3)), None, **_VGG_LAYERS),
}


class LossNetwork(nn.Module):
    """Frozen features by layer name: ``LossNetwork("vgg16", ["relu2_2"])(images)["relu2_2"]``.

    Args:
        name: one of ``ARCHITECTURES``.
        layers: the layers to return; the network ends after the deepest.
        weights: a ``.pth`` or ``.safetensors`` file in torchvision's keys, where those of the layers in use are enough;
            None downloads torchvision's own (``lite`` ships with the package).
        pooling: ``max`` as trained, or ``average``, which Gatys et al. (2016), sec. 2, found smoother.
    Raises:
        UserError: unknown name, layer or pooling; weights that are absent, damaged or of another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, name: str = "vgg16", layers: Iterable[str] = (), weights: str | Path | None = None, pooling: str = "max"
    ) -> None:
        super().__init__()
        architecture = architecture_of(name)
        if pooling not in POOLINGS:
            raise unknown("pooling", pooling, POOLINGS)
        self.name = name
        self.layers = tuple(dict.fromkeys(layers)) or architecture.usual_layers
        self.chain = _truncated_chain(name, self.layers)
        _load(self.chain, architecture.paths, read_weights(name, weights), str(weights or name))
        if pooling == "average":
            _average_pools(self.chain)
        self.register_buffer("mean", torch.tensor(architecture.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(architecture.std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor, layers: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Features of ``images`` (B, 3, H, W) in [0, 1] at ``layers`` (default: all asked for), name -> (B, C, h, w)."""
        wanted = set(self.layers if layers is None else layers)
        x = self.normalized(images)
        features: dict[str, Tensor] = {}
        for name, module in self.chain.items():
            if len(features) == len(wanted):
                break
            x = module(x)
            if name in wanted:
                features[name] = x
        return features

    def normalized(self, images: Tensor) -> Tensor:
        """``images`` as the classifier was trained with them: mean subtracted, divided by the deviation."""
        return (images - self.mean) / self.std

    def train(self, mode: bool = True) -> LossNetwork:
        """Frozen means frozen: batch norms keep their statistics whatever the mode of the module around."""
        return super().train(False)


def architecture_of(name: str) -> Architecture:
    """The architecture called ``name``, or an error with the nearest one."""
    if name not in ARCHITECTURES:
        raise unknown("loss network", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def read_weights(name: str, path: str | Path | None = None) -> dict[str, Tensor]:
    """The state dict of loss network ``name``: from ``path``, from the package, or from torchvision's download cache."""
    weights = architecture_of(name).weights
    if path is not None or weights is None:
        return read_tensors(path or LITE_WEIGHTS)
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"cannot download the weights of {name} ({getattr(error, 'reason', error)}); go online once, give a file in "
            "torchvision's keys with --loss_weights, or use --loss_network lite, which ships with the package"
        ) from error


def check_image_size(name: str, layers: Iterable[str], height: int, width: int, what: str = "the image") -> None:
    """Raise a UserError where a picture of ``height`` x ``width`` leaves nothing at the deepest of ``layers``."""
    paths = architecture_of(name).paths
    deepest = max(layers, key=list(paths).index)
    chain = _truncated_chain(name, [deepest]).eval()
    if _fits(chain, height, width):
        return
    side = next(side for side in range(2, 512) if _fits(chain, side, side))
    raise UserError(
        f"{deepest} of {name} needs images of at least {side}x{side} pixels, {what} has {height}x{width}; "
        "use a larger image or shallower layers"
    )


def _fits(chain: nn.ModuleDict, height: int, width: int) -> bool:
    x = torch.empty(1, 3, height, width, device="meta")
    try:
        for module in chain.values():
            x = module(x)
    except RuntimeError:
        return False
    return True


def _truncated_chain(name: str, layers: Iterable[str]) -> nn.ModuleDict:
    """The layers of ``name`` up to the deepest of ``layers``, on the meta device: shapes, no values."""
    paths = architecture_of(name).paths
    for layer in layers:
        if layer not in paths:
            raise unknown(f"layer of {name}", layer, paths)
    names = list(paths)
    with torch.device("meta"):
        model = ARCHITECTURES[name].build()
    depth = 1 + max(names.index(layer) for layer in layers)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # an in-place rectifier would overwrite the convolution's features
    return nn.ModuleDict({layer: model.get_submodule(paths[layer]) for layer in names[:depth]})


def _load(chain: nn.ModuleDict, paths: dict[str, str], state: dict[str, Tensor], source: str) -> None:
    for layer, module in chain.items():
        prefix = paths[layer] + "."
        own = {key: _matching(state, prefix + key, value, source) for key, value in module.state_dict().items()}
        module.load_state_dict(own, assign=True)


def _matching(state: dict[str, Tensor], key: str, expected: Tensor, source: str) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.long)
    found = state.get(key)
    if found is None or found.shape != expected.shape:
        what = "no" if found is None else f"{tuple(found.shape)} instead of {tuple(expected.shape)} at"
        raise UserError(f"{source} holds {what} {key}: it is no file of this network in torchvision's keys")
    return found.float()


def _average_pools(chain: nn.ModuleDict) -> None:
    for name, module in chain.items():
        if isinstance(module, nn.MaxPool2d):
            chain[name] = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
