"""The settings of a distillation as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fast_nst.settings.validation import in_range


@dataclass
class DistillSettings:
    """Make the slim loss network (lite) from a large one.

    Attributes:
        data: folders of photographs to train on.
        held_out: folder of photographs to measure the correlation with the teacher on.
        output: the .safetensors file to write; its card, a .json file, lies beside it.
        teacher: a loss network that has relu1_2, relu2_2, relu3_3 and relu4_3: vgg16 or vgg19.
        teacher_weights: the teacher's weights in torchvision's keys (none: torchvision's own, downloaded once).
        steps: length of the training; an interrupted one goes on where it was.
        batch_size: photographs a step.
        image_size: side of the crops in pixels.
        learning_rate: Adam's peak rate.
        gram_weight: weight of the Gram matrices' agreement beside the features'.
        workers: processes that decode photographs.
        seed: of weights, photographs and crops.
        trainer: any argument of Lightning's Trainer, as --trainer.accelerator gpu; --device cpu, cuda or mps is short for
            it.
    """

    data: list[str]
    held_out: str
    output: str
    teacher: str = "vgg19"
    teacher_weights: str | None = None
    steps: int = 1000
    batch_size: int = 8
    image_size: int = 128
    learning_rate: float = 3e-3
    gram_weight: float = 0.0
    workers: int = 1
    seed: int = 0
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        in_range("steps", self.steps, 1, 10**9)
        in_range("batch_size", self.batch_size, 1, 4096)
        in_range("image_size", self.image_size, 32, 4096)
        in_range("learning_rate", self.learning_rate, 1e-8, 1)
