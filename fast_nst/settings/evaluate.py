"""Settings of ``fast-nst evaluate``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fast_nst.settings.train import LossSettings
from fast_nst.settings.validation import in_range


@dataclass
class EvaluateSettings:
    """Measure a model: objective, structure, and the iterations of per-image optimization that it replaces.

    Attributes:
        model: a style's name, a blend, a run's folder or an .onnx file.
        style: the painting, a picture file.
        data: folder of photographs that the model was not trained on; a COCO folder is known by its val2017.
        output: folder to write table.csv, summary.json and grid.png to.
        count: photographs to use, the first of the folder.
        size: longer side of the photographs in pixels.
        style_size: longer side of the painting in pixels, as in the model's training.
        strength: strength of the style, 0 to 1.5.
        loss_network: the network that the objective is measured under.
        loss_weights: its weights in torchvision's keys (none: torchvision's own, downloaded once).
        second_network: another loss network to measure under, one that did not train the model (none: squeezenet1_0 if
            second_weights is given, else no second one).
        second_weights: its weights in torchvision's keys (none: torchvision's own, downloaded once).
        loss: terms and weights of the objective, as in the model's training.
        loss_border: pixels along the edge of the photographs that do not count; training leaves out 16 (0: whole pictures,
            with the loss network's padding in their Gram matrices).
        iterations: largest number of L-BFGS iterations to try for N*, from the photo and from noise (0: no N*).
        overwrite: replace an earlier evaluation in the output folder.
    """

    model: str
    style: str
    data: str
    output: str = "evaluation"
    count: int = 8
    size: int = 256
    style_size: int = 640
    strength: float = 1.0
    loss_network: str = "lite"
    loss_weights: str | None = None
    second_network: str | None = None
    second_weights: str | None = None
    loss: LossSettings = field(default_factory=LossSettings)
    loss_border: int = 0
    iterations: int = 200
    overwrite: bool = False

    def __post_init__(self) -> None:
        in_range("count", self.count, 1, 100_000)
        in_range("size", self.size, 32, 4096)
        in_range("style_size", self.style_size, 32, 8192)
        in_range("loss_border", self.loss_border, 0, self.size // 4)
        in_range("iterations", self.iterations, 0, 100_000)

    def loss_of_second(self) -> LossSettings:
        """``loss`` for the second network: the same weights at its own layers."""
        return replace(self.loss, content_layers=[], style_layers=[], style_layer_weights=[])
