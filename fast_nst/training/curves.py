"""TensorBoard's curves of a run: one file of events, with the settings, the style pictures and learning rates by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only


class Curves(TensorBoardLogger):
    """Lightning's logger without ``hparams.yaml``, as the run has a config; its one file stays open until ``close``."""

    @rank_zero_only
    def save(self) -> None:
        """Flush what is waiting."""
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Flush: after the last step come the last preview and the held-out losses, and a closed file would open another."""
        self.experiment.flush()

    @rank_zero_only
    def close(self, settings: Mapping[str, Any], losses: Mapping[str, float]) -> None:
        """Add the settings and what they led to, for TensorBoard's table of runs, and close the file."""
        self.log_hyperparams(flat(settings), {f"held_out/{name}": value for name, value in losses.items()})
        self.experiment.close()


class StylePictures(pl.Callback):
    """Shows the style pictures, uint8 RGB (H, W, 3) by name, beside the curves."""

    def __init__(self, styles: Mapping[str, np.ndarray]) -> None:
        self.styles = styles

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        logger = trainer.logger
        if not isinstance(logger, TensorBoardLogger):
            return
        for name, pixels in self.styles.items():
            logger.experiment.add_image(f"style/{name}", pixels, trainer.global_step, dataformats="HWC")


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested ``settings`` by dotted names; what is no number or truth value as text."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value if isinstance(value, int | float) else str(value)
    return found
