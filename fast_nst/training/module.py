"""Training of a TransformerNet: Johnson et al. (2016), sec. 4.1, with Lightning.

A step, read aloud, is the method: stylize photographs, judge them under the loss network, follow the gradient.

Departures from the paper: Muon instead of Adam for the kernels; without a base, the style weight rises over the first part
of the run, so that a short run keeps the photograph; the learning rate falls over the whole of it, so that a long one ends
clean. One network learns several styles, in turn (Dumoulin et al. 2017), and every strength between the photograph and
beyond the style: a picture of strength t is drawn by t of the style's row and 1 - t of ``identity``, and judged with t^2 of
the style weight. The style weight of each style is steered to a structure target (``structure_target``). With a stability
weight, half of the photographs are drawn a second time, moved a little, and the picture is to move along (``stability``).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from fast_nst.losses.perceptual import PerceptualLoss
from fast_nst.losses.stability import random_motion, second_view, stability_loss
from fast_nst.losses.terms import LossTerms
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.runs.state_schema import number
from fast_nst.settings.train import OptimizerSettings
from fast_nst.style_rows import IDENTITY, MAX_STRENGTH
from fast_nst.training.optimizer import Muon
from fast_nst.training.structure_target import StructureTarget

Network = Callable[[Tensor, Tensor], Tensor]
Criterion = Callable[..., LossTerms]
FIRST_STYLE_SHARE = 0.1
STABILITY_RAMP = 0.3  # of the run, over which the stability weight rises from 0
STABILITY_STREAM = 1  # keeps the random numbers of the motion apart from those of the strengths
GROUPS = ("kernels", "biases", "style rows")  # of parameters, as TensorBoard calls their learning rates


class StyleTransferModule(pl.LightningModule):
    """A TransformerNet and the loss that trains it.

    The criterion is frozen and known from the settings, so it is kept out of the module's parameters: it is not saved,
    averaged or synchronized between devices.

    Args:
        network: the network to train.
        criterion: the perceptual loss.
        settings: learning rate and schedules.
        steps: length of the run.
        rows: the network's rows that are trained, in the order of the criterion's style pictures.
        seed: of the strengths.
        extrapolate: learn strengths beyond 1 alone, for strong rows.
        structure: structure r that every style is steered to; None leaves the style weight as it is.
    """

    def __init__(
        self,
        network: TransformerNet,
        criterion: PerceptualLoss,
        settings: OptimizerSettings,
        steps: int,
        rows: Sequence[int] | None = None,
        seed: int = 0,
        extrapolate: bool = False,
        structure: float | None = None,
    ) -> None:
        super().__init__()
        self.network, self.settings, self.steps, self.seed = network, settings, steps, seed
        self.rows = network.style_rows if rows is None else list(rows)
        self.__dict__["criterion"] = criterion
        self.usual = MAX_STRENGTH if extrapolate else 1.0  # strength of most pictures
        self.random = (1.0, MAX_STRENGTH) if extrapolate else (0.0, 1.0, MAX_STRENGTH)  # equal shares between neighbors
        self.structure_target = StructureTarget(len(self.rows), structure)
        self.rate_factor = 1.0  # of the learning rate; lower after a divergence

    criterion: PerceptualLoss
    checkpoint_schema = {"rate_factor": number(0, 1)}  # what it adds to a checkpoint and takes from one
    term_names = LossTerms._fields

    def training_step(self, photos: Tensor, batch_idx: int) -> dict[str, Any]:
        """The loss to minimize; for the callbacks the pictures (B, 3, H, W) and the terms, each a mean over the batch."""
        pictures = self.pictures(photos)
        terms = self.terms(pictures, photos)
        self._follow_structure(terms.structure)
        means = {name: value.detach().mean() for name, value in terms._asdict().items()}
        self._log_terms(means)
        result = {"loss": terms.total, "terms": means, "pictures": pictures.detach()}
        return self._with_stability(result, pictures, photos) if self.criterion.settings.stability_weight else result

    def _with_stability(self, result: dict[str, Any], pictures: Tensor, photos: Tensor) -> dict[str, Any]:
        """``result`` of a step with the stability term: weighted in the loss, and by itself, without its weight."""
        stability = self.stability(pictures, photos)
        self.log("train/stability", stability.detach())
        loss = result["loss"] + self.stability_share() * self.criterion.settings.stability_weight * stability
        return result | {"loss": loss, "stability": stability.detach()}

    def stability(self, pictures: Tensor, photos: Tensor) -> Tensor:
        """``stability_loss`` of half of this step's ``pictures`` of ``photos``, at the same styles and strengths."""
        numbers = np.random.default_rng((self.seed, self.global_step, self.global_rank, STABILITY_STREAM))
        chosen = torch.from_numpy(numbers.permutation(len(photos))[: (len(photos) + 1) // 2])
        height, width = photos.shape[-2:]
        motion = random_motion(len(chosen), height, width, seed=int(numbers.integers(2**63)))
        motion = type(motion)(*(value.to(photos.device) for value in motion))
        views, change = second_view(photos[chosen], motion)
        views = views.contiguous(memory_format=torch.channels_last)
        second = self.network(views, self._style_weights(photos)[chosen])
        return stability_loss(pictures[chosen], second, change, motion, self.criterion.border)

    def _follow_structure(self, structure: Tensor) -> None:
        """Steer the style weights by structure r (B,) of the pictures at the usual strength, on all devices."""
        style, strengths = self._choices(len(structure))
        usual = (strengths == self.usual).to(structure.device)
        style = style.to(structure.device)
        if self._processes() > 1:
            gather: Callable[[Tensor], Any] = self.all_gather
            style, structure, usual = (gather(value).flatten() for value in (style, structure, usual))
        self.structure_target.update(style[usual], structure[usual])

    def pictures(self, photos: Tensor, network: Network | None = None) -> Tensor:
        """``photos`` (B, 3, H, W) in [0, 1] at this step's styles and strengths, by ``network`` or the module's own."""
        photos = photos.contiguous(memory_format=torch.channels_last)
        network = self.network if network is None else network
        return network(photos, self._style_weights(photos))

    def _style_weights(self, photos: Tensor) -> Tensor:
        """The weights (B, S) of the network's rows at this step's styles and strengths."""
        style, strengths = self._choices(len(photos))
        return self.network.style_weights(torch.tensor(self.rows)[style], strengths, like=photos)

    def terms(self, pictures: Tensor, photos: Tensor, criterion: Criterion | None = None) -> LossTerms:
        """The objective on this step's ``pictures`` of ``photos``, by ``criterion`` or the module's own."""
        photos = photos.contiguous(memory_format=torch.channels_last)
        style, strengths = (value.to(photos.device) for value in self._choices(len(photos)))
        shares = self.style_share() * strengths.square() * self.structure_target.factors(style)
        return (self.criterion if criterion is None else criterion)(pictures, photos, style, shares)

    def _choices(self, count: int) -> tuple[Tensor, Tensor]:
        return self.styles_of_step(count), self.strengths_of_step(count)

    @torch.no_grad()
    def held_out_terms(self, photo: Tensor, style: int) -> dict[str, float]:
        """The terms of the objective, at the full style weight, on ``photo`` (3, H, W) under the style picture ``style``."""
        photos = photo[None].to(self.device)
        terms = self.criterion.forward(self.stylize(photos, style), photos, torch.tensor([style], device=self.device))
        return {name: float(value.mean()) for name, value in terms._asdict().items()}

    @torch.no_grad()
    def stylize(self, photos: Tensor, style: int) -> Tensor:
        """``photos`` (B, 3, H, W) of any size under the style picture ``style``, outside of training."""
        self.network.eval()
        photos = photos.to(self.device)
        weights = self.network.style_weights([self.rows[style]] * len(photos), self.usual, like=photos)
        pictures = self.network.forward(photos, weights)  # past torch.compile: every photo has its own size
        self.network.train()
        return pictures

    def styles_of_step(self, count: int) -> Tensor:
        """The style picture of each photograph of this step's batch, (B,): in turn, over steps and processes."""
        first = (self.global_step * self._processes() + self.global_rank) * count
        return torch.arange(first, first + count) % len(self.rows)

    def strengths_of_step(self, count: int) -> Tensor:
        """The strength of each picture of this step's batch, (B,): the usual 1, or for `strength_share` random.

        Of the random ones, half are short of the style, in [0, 1], and half beyond it, in [1, 1.5]. Where strong rows learn,
        1.5 is usual and [1, 1.5] random.
        """
        if IDENTITY not in self.network.styles:
            return torch.ones(count)
        numbers = np.random.default_rng((self.seed, self.global_step, self.global_rank))
        random = numbers.random(count) < self.settings.strength_share
        places = np.linspace(0, 1, len(self.random))
        return torch.from_numpy(np.where(random, np.interp(numbers.random(count), places, self.random), self.usual)).float()

    def _processes(self) -> int:
        return self.trainer.world_size if self._trainer is not None else 1

    def style_share(self) -> float:
        """Factor of the style weight at this step: from 0.1 to 1 over the first ``style_ramp`` of the run."""
        ramp = (self.settings.style_ramp or 0.0) * self.steps
        if self.global_step >= ramp:
            return 1.0
        return FIRST_STYLE_SHARE + (1 - FIRST_STYLE_SHARE) * self.global_step / ramp

    def stability_share(self) -> float:
        """Factor of the stability weight at this step: from 0 to 1 over the first ``STABILITY_RAMP`` of the run."""
        return min(1.0, self.global_step / max(1.0, STABILITY_RAMP * self.steps))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        rate, rows = self.settings.learning_rate, {id(table) for table in self.network.style_parameters().values()}
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        shared = [parameter for parameter in trained if id(parameter) not in rows]
        groups: list[dict[str, Any]] = [
            {"params": [parameter for parameter in shared if parameter.ndim == 4], "use_muon": self.settings.muon},
            {"params": [parameter for parameter in shared if parameter.ndim != 4]},
            {"params": [parameter for parameter in trained if id(parameter) in rows], "lr": rate * self.settings.row_rate},
        ]
        groups = [group | {"name": name} for group, name in zip(groups, GROUPS, strict=True)]
        optimizer = Muon([group for group in groups if group["params"]], rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate_share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def learning_rate_share(self, step: int) -> float:
        """Share of the peak rate at ``step``: a warm-up times a cosine from 1 to ``final_share``, and ``rate_factor``."""
        warmup = min(1.0, (step + 1) / (self.settings.warmup_steps + 1))
        cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / self.steps))
        return self.rate_factor * warmup * (self.settings.final_share + (1 - self.settings.final_share) * cosine)

    def on_fit_start(self) -> None:
        self.criterion.to(self.device)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["network"] = dict(self.network.config)
        checkpoint["rate_factor"] = self.rate_factor

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.rate_factor = checkpoint.get("rate_factor", 1.0)

    def _log_terms(self, terms: dict[str, Tensor]) -> None:
        self.log_dict({"loss": terms["total"], "r": terms["structure"]}, prog_bar=True, logger=False)
        self.log_dict({f"train/{name}": value for name, value in terms.items()})
        self.log("train/style_factor", self.structure_target.log_factors.exp().mean())


def compile_networks(module: StyleTransferModule, photos: Tensor) -> bool:
    """Compile the module's networks with torch.compile, or say in one line why they stay as they are.

    Tried out on one batch of ``photos``, since most failures (no C++ compiler, an unsupported machine) show at the first
    call.
    """
    network, criterion = torch.compile(module.network), torch.compile(module.criterion)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module.terms(module.pictures(photos, network), photos, criterion).total.backward()
    except Exception as error:  # whatever the compiler cannot do, training without it can
        reason = str(error).strip().splitlines()
        warnings.warn(f"training without torch.compile, which failed: {(reason or ['no reason given'])[0]}", stacklevel=2)
        return False
    finally:
        module.zero_grad()
    module.network.compile()
    module.criterion.compile()
    return True
