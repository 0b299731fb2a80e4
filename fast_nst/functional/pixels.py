"""Pictures as tensors and as eight-bit pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 RGB (H, W, 3) -> float RGB in [0, 1], shape (3, H, W)."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255


def to_pixels(image: Tensor) -> np.ndarray:
    """Float RGB, shape (3, H, W), clamped to [0, 1] -> uint8 RGB (H, W, 3)."""
    return (image.detach().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
