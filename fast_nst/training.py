"""Training of a TransformerNet: Johnson et al. (2016), sec. 4.1, with Lightning.

A step, read aloud, is the method: stylise photographs, judge them under the loss network, follow the gradient.

Departures from the paper: the style weight rises over the first part of the run and the learning rate falls over the
whole of it, so that a short run keeps the photograph and a long one ends clean.
"""

from __future__ import annotations

import math
import warnings

import pytorch_lightning as pl
import torch
from torch import Tensor

from fast_nst.losses import LossTerms, PerceptualLoss
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.settings import OptimizerSettings

FIRST_STYLE_SHARE = 0.1


class StyleTransferModule(pl.LightningModule):
    """A TransformerNet and the loss that trains it.

    The criterion is frozen and known from the settings, so it is kept out of the module's parameters: it is not saved,
    averaged or synchronised between devices.

    Args:
        network: the network to train.
        criterion: the perceptual loss.
        settings: learning rate and schedules.
        steps: length of the run.
    """

    def __init__(self, network: TransformerNet, criterion: PerceptualLoss, settings: OptimizerSettings, steps: int) -> None:
        super().__init__()
        self.network, self.settings, self.steps = network, settings, steps
        self.__dict__["criterion"] = criterion
        self.last_terms: dict[str, Tensor] = {}

    def training_step(self, photos: Tensor, batch_idx: int) -> Tensor:
        terms = self.terms(photos)
        self._log_terms(terms)
        return terms.total

    def terms(self, photos: Tensor) -> LossTerms:
        """The objective on one batch of photographs (B, 3, H, W) in [0, 1], at this step's style weight."""
        photos = photos.contiguous(memory_format=torch.channels_last)
        return self.criterion(self.network(photos), photos, style_share=self.style_share())

    def style_share(self) -> float:
        """Factor of the style weight at this step: from 0.1 to 1 over the first ``style_ramp`` of the run."""
        ramp = self.settings.style_ramp * self.steps
        if self.global_step >= ramp:
            return 1.0
        return FIRST_STYLE_SHARE + (1 - FIRST_STYLE_SHARE) * self.global_step / ramp

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.Adam(self.network.parameters(), self.settings.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate_share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def learning_rate_share(self, step: int) -> float:
        """Share of the peak rate at ``step``: a linear warm-up times a cosine from 1 to ``final_share``."""
        warmup = min(1.0, (step + 1) / (self.settings.warmup_steps + 1))
        cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / self.steps))
        return warmup * (self.settings.final_share + (1 - self.settings.final_share) * cosine)

    def on_fit_start(self) -> None:
        self.criterion.to(self.device)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["network"] = dict(self.network.config)

    def _log_terms(self, terms: LossTerms) -> None:
        self.last_terms = {name: value.detach() for name, value in terms._asdict().items()}
        shown = {"loss": terms.total, "content": terms.content, "style": terms.style, "r": terms.structure}
        self.log_dict(shown, prog_bar=True, logger=False)
        self.log_dict({f"train/{name}": value for name, value in terms._asdict().items()})


def compile_networks(module: StyleTransferModule, image_size: int) -> bool:
    """Compile the module's networks with torch.compile, or say in one line why they stay as they are.

    Tried out on one small step, since most failures (no C++ compiler, an unsupported machine) show at the first call.
    """
    network, criterion = torch.compile(module.network), torch.compile(module.criterion)
    photos = torch.rand(1, 3, image_size, image_size).contiguous(memory_format=torch.channels_last)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            criterion(network(photos), photos).total.backward()
    except Exception as error:  # whatever the compiler cannot do, training without it can
        reason = str(error).strip().splitlines()
        warnings.warn(f"training without torch.compile, which failed: {(reason or ['no reason given'])[0]}", stacklevel=2)
        return False
    finally:
        module.zero_grad()
    module.network.compile()
    module.criterion.compile()
    return True
