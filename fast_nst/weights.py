"""A TransformerNet in a file: the base that ships, a run's checkpoint, an imported state dict, or a safetensors file.

A safetensors file of ours holds float16 tensors under the network's own names, and in its metadata the network's
configuration as JSON. A configuration is a stranger's: no network is built that the file's tensors could not fill.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fast_nst.errors import UserError
from fast_nst.networks.transformer_net import PRESETS, TransformerNet, from_checkpoint
from fast_nst.run_folder import find_checkpoint
from fast_nst.tensor_files import is_state, read_checkpoint, read_metadata, read_tensors, write_tensors

BASE = "base"
EXAMPLES = "conv1.conv2d.weight"  # in models of pytorch/examples fast_neural_style
MAX_WIDTH = 512
TRUNK_VALUES = {"fast": 72, "johnson": 1440}  # weights of the residual blocks, in squares of the width
BASE_WEIGHTS = Path(__file__).parent / "pretrained" / "base.safetensors"


def load_network(source: str | Path) -> TransformerNet:
    """The network in ``source``, for inference.

    Args:
        source: ``base``, which ships in the package, a run's folder, or a ``.ckpt``, ``.safetensors``, ``.pth`` or
            ``.model`` file.
    Raises:
        UserError: no such file, or one that holds no network of this version.
    """
    path = find_weights(source)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else read_checkpoint(path)
    _check_network(content, path)
    try:
        return from_checkpoint(content, str(path))
    except (KeyError, IndexError, TypeError, RuntimeError) as error:  # a layer that is absent, or of another rank
        raise UserError(f"{path} does not fit a network of this package: {error}; train or export it again") from error


def find_weights(source: str | Path) -> Path:
    """The file that ``source`` means; see ``load_network``."""
    return BASE_WEIGHTS if str(source) == BASE else find_checkpoint(source)


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
    if held < TRUNK_VALUES[preset] * width**2 + rows * width:
        raise UserError(f"{path} holds {held} numbers, too few for width {width} and {rows} styles; train it again")
