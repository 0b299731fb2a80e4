"""A TransformerNet in a file: a shipped one, a run's checkpoint, an imported state dict, or a safetensors file.

A safetensors file of this package holds float16 tensors under the network's own names, and in its metadata the network's
configuration as JSON. The configuration is untrusted: no network is built that the file's tensors could not fill.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fast_nst.errors import UserError
from fast_nst.networks.tensor_files import (
    is_state,
    read_checkpoint,
    read_metadata,
    read_tensors,
    unwrap_state,
    write_tensors,
)
from fast_nst.networks.transformer_net import MAX_WIDTH, PRESETS, TransformerNet
from fast_nst.settings.export import SHIPPED_NETWORKS
from fast_nst.system.files import SHIPPED, check_readable

EXAMPLES = "conv1.conv2d.weight"  # in models of pytorch/examples fast_neural_style
NETWORKS = {name: SHIPPED / f"{name}.safetensors" for name in SHIPPED_NETWORKS}


def load_network(source: str | Path) -> TransformerNet:
    """The network in ``source``, for inference.

    Args:
        source: ``base`` or ``many``, which ship in the package, a run's folder, or a ``.ckpt``, ``.safetensors``, ``.pth``
            or ``.model`` file.
    Raises:
        UserError: no such file, or one that holds no network of this version.
    """
    path = find_weights(source)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_checkpoint(path)
    _check_network(content, path)
    try:
        return from_checkpoint(content, str(path))
    except (KeyError, IndexError, TypeError, RuntimeError) as error:  # a layer that is absent, or of another rank
        raise UserError(f"{path} does not fit a network of this package: {error}; train or export it again") from error


def find_weights(source: str | Path) -> Path:
    """The file that ``source`` means; see ``load_network``."""
    return NETWORKS.get(str(source)) or find_checkpoint(source)


def save_network(network: TransformerNet, path: str | Path) -> None:
    """Write ``network`` as a float16 safetensors file, whole or not at all."""
    tensors = {name: tensor.to(torch.float16) for name, tensor in network.state_dict().items()}
    write_tensors(path, tensors, {"network": json.dumps(network.config)})


def _read_safetensors(path: Path) -> dict[str, Any]:
    metadata = read_metadata(path)
    try:
        config = json.loads(metadata["network"])
    except (KeyError, ValueError, RecursionError) as error:
        raise UserError(f"{path} holds no TransformerNet of fast_nst; give a run's folder or a .ckpt file") from error
    tensors = {f"network.{name}": tensor.float() for name, tensor in read_tensors(path).items()}
    return {"network": config, "state_dict": tensors}


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """A run's checkpoint, or the state dict of a foreign one."""
    content = read_checkpoint(path)
    return content if {"network", "state_dict"} <= set(content) else unwrap_state(content)


def _check_network(content: Mapping[str, Any], path: Path) -> None:
    """Raise a UserError where ``content`` asks for a network that its tensors cannot fill; see ``from_checkpoint``."""
    if EXAMPLES in content:
        width = content[EXAMPLES].shape[:1].numel() if is_state(content) else None
        return _check_width("johnson", width, 1, content, path)
    if not {"network", "state_dict"} <= set(content):
        return None  # and no network at all
    config = content["network"]
    known = isinstance(config, Mapping) and set(config) == {"preset", "width", "styles"}
    if not known or not isinstance(config["styles"], list):
        raise UserError(f"{path} was written by another version of fast_nst; train it again with this one")
    return _check_width(config["preset"], config["width"], len(config["styles"]), content["state_dict"], path)


def _check_width(preset: Any, width: Any, rows: int, state: Any, path: Path) -> None:
    known = isinstance(preset, str) and preset in PRESETS and type(width) is int and 1 <= width <= MAX_WIDTH
    if not known or not is_state(state):
        raise UserError(f"{path} describes no network that there is; train or export it again")
    held = sum(value.numel() for value in state.values())
    if held < PRESETS[preset].trunk_values * width**2 + rows * width:
        raise UserError(f"{path} holds {held} numbers, too few for width {width} and {rows} styles; train it again")


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint that ``path`` means: the file itself, or the newest in a run folder."""
    path = Path(path)
    if os.path.isdir(path):
        path = path / "last.ckpt"
    check_readable(path, "checkpoint")
    return path


def from_checkpoint(content: dict, source: str = "the file") -> TransformerNet:
    """The network in a loaded checkpoint: a run's, or a state dict of pytorch/examples ``fast_neural_style``.

    Raises:
        UserError: ``content`` is neither.
    """
    if "network" in content and "state_dict" in content:
        return _from_run(content["network"], content["state_dict"], source)
    if "conv1.conv2d.weight" in content:
        return _loaded(*_from_pytorch_examples(content), source)
    raise UserError(f"{source} holds no TransformerNet: neither a run's checkpoint nor a fast_neural_style state dict")


def _from_run(config: Mapping, tensors: Mapping[str, Tensor], source: str) -> TransformerNet:
    if not isinstance(config, Mapping) or not isinstance(config.get("styles"), list | tuple):
        raise UserError(f"{source} was written by another version of fast_nst; train it again with this one")
    prefix = "network."
    state = {_present_name(key.removeprefix(prefix)): value for key, value in tensors.items() if key.startswith(prefix)}
    return _loaded(TransformerNet(**config), state, source)


def _present_name(name: str) -> str:
    """The name of a parameter today; the last layer's ``color`` was spelled otherwise in checkpoints of versions before."""
    return name.replace("out.colour", "out.color")


def _loaded(network: TransformerNet, state: dict[str, Tensor], source: str) -> TransformerNet:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{source} does not fit TransformerNet {network.config}: {reason}") from error
    return network.eval()


def _from_pytorch_examples(state: dict[str, Tensor]) -> tuple[TransformerNet, dict[str, Tensor]]:
    """pytorch/examples' names -> ours; pictures of 0..255 -> [0, 1], by scaling the first and last convolutions."""
    network = TransformerNet("johnson", width=state["conv1.conv2d.weight"].shape[0])
    renamed = {}
    for theirs, ours in _pytorch_examples_names().items():
        for key in ("weight", "bias"):
            value = state.get(f"{theirs}.{key}")
            if value is not None:
                renamed[f"net.{ours}.{_norm_name(theirs, key)}"] = value[None] if _is_norm(theirs) else value
    renamed["net.down.0.conv.weight"] = renamed["net.down.0.conv.weight"] * 255
    renamed["net.out.conv.weight"] = renamed["net.out.conv.weight"] / 255
    renamed["net.out.shift"] = renamed.pop("net.out.conv.bias")[None] / 255
    renamed |= {"net.out.color": torch.eye(3)[None], "net.out.gate": torch.zeros(1, 3)}
    return network, renamed


def _is_norm(name: str) -> bool:
    return name.rpartition(".")[2].startswith("in")


def _norm_name(name: str, key: str) -> str:
    return {"weight": "scale", "bias": "shift"}[key] if _is_norm(name) else key


def _pytorch_examples_names() -> dict[str, str]:
    names = {"deconv3.conv2d": "out.conv"}
    for i in (1, 2, 3):
        names |= {f"conv{i}.conv2d": f"down.{i - 1}.conv", f"in{i}": f"down.{i - 1}.norm"}
    for i in (1, 2):
        names |= {f"deconv{i}.conv2d": f"up.{i - 1}.conv", f"in{i + 3}": f"up.{i - 1}.norm"}
    for i in range(1, 6):
        for j, part in ((1, "first"), (2, "second")):
            names |= {
                f"res{i}.conv{j}.conv2d": f"trunk.{i - 1}.{part}.conv",
                f"res{i}.in{j}": f"trunk.{i - 1}.{part}.norm",
            }
    return names
