"""A TransformerNet in a file: the base that ships, a run's checkpoint, an imported state dict, or a safetensors file.

A safetensors file of ours holds float16 tensors under the network's own names, and in its metadata the network's
configuration as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from fast_nst.errors import UserError
from fast_nst.networks.transformer_net import TransformerNet, from_checkpoint
from fast_nst.run_folder import find_checkpoint
from fast_nst.tensor_files import read_checkpoint, read_metadata, read_tensors, write_tensors

BASE = "base"
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
    if path.suffix != ".safetensors":
        return from_checkpoint(read_checkpoint(path), str(path))
    try:
        config = json.loads(read_metadata(path)["network"])
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} holds no TransformerNet of fast_nst; give a run's folder or a .ckpt file") from error
    tensors = {f"network.{name}": tensor.float() for name, tensor in read_tensors(path).items()}
    return from_checkpoint({"network": config, "state_dict": tensors}, str(path))


def find_weights(source: str | Path) -> Path:
    """The file that ``source`` means; see ``load_network``."""
    return BASE_WEIGHTS if str(source) == BASE else find_checkpoint(source)


def save_network(network: TransformerNet, path: str | Path) -> None:
    """Write ``network`` as a float16 safetensors file, whole or not at all."""
    tensors = {name: tensor.to(torch.float16) for name, tensor in network.state_dict().items()}
    write_tensors(path, tensors, {"network": json.dumps(network.config)})
