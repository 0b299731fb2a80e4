"""Settings of ``fast-nst optimize``, ``reconstruct`` and ``sweep``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from fast_nst.errors import UserError
from fast_nst.settings.train import LossSettings
from fast_nst.settings.validation import in_range

STARTS = ("content", "style", "gaussian", "uniform")


@dataclass
class OptimizeSettings:
    """Optimize the pixels of one picture (Gatys et al. 2016): slow, and the best result.

    Attributes:
        content: the photograph (none: where content_weight is 0; the result then has the style picture's shape).
        style: the painting, or a list of several (none: where style_weight is 0).
        output: the picture to write (none: result.png in the run's folder).
        shares: a weight for each of several style pictures (empty: equal).
        masks: for each style picture a gray picture of the photograph's size, white where the style counts, or null for
            everywhere (empty: all everywhere).
        start: the initial picture: content, style, gaussian or uniform (noise), or a picture file.
        optimizer: lbfgs or adam.
        steps: iterations, at the first scale.
        learning_rate: step size (none: 1 for lbfgs, 0.02 for adam).
        history: pairs of steps and gradients that lbfgs remembers; each takes two pictures of memory.
        average: decay of a moving average over iterations, which is then the result (0: the best step is; 0.99 is usual).
        size: longer side of the result in pixels (none: the photograph's own).
        scales: number of sizes to optimize at, each twice the one before; the last is size.
        fine_steps: iterations at each scale after the first (none: half of steps).
        style_scale: longer side of the style pictures, as a multiple of the result's at each scale: the size of strokes.
        loss_network: lite (ships with the package), vgg16, vgg19, squeezenet1_0, squeezenet1_1, resnet50 or inception_v3.
        loss_weights: its weights in torchvision's keys, .pth or .safetensors, or a folder of files that begin with the
            names of networks (none: torchvision's own, downloaded once).
        content_layers: layers of the content term (empty: the loss network's own choice, relu2_2 for a VGG).
        style_layers: layers of the style term (empty: relu1_2, relu2_2, relu3_3, relu4_3 for a VGG).
        style_layer_weights: a weight for each style layer (empty: the loss network's own choice).
        content_weight: weight of the content term.
        style_weight: weight of the style term.
        tv_weight: weight of the total variation (mean of squares, pictures in [0, 1]).
        formula: normalized divides every term by its target's size, so that one pair of weights serves every network;
            classical takes mean squares, summed over layers (Johnson et al. and most tutorials; style_weight about 1e6);
            gatys takes the sums of Gatys et al. 2016, 1/2 for content and 1/(4 N^2 M^2) for style.
        statistic: the statistic of features that stands for the style: gram, moments (means and standard deviations of
            channels) or wasserstein (their means and covariances, by the Wasserstein distance).
        pooling: the loss network's pooling, max or average.
        padding: of the loss network's convolutions, zeros (as trained) or replicate, which leaves no dark or colored edge on
            the result.
        colors: style (the painting's), luminance (the photograph's; only light and dark change) or match (the painting is
            recolored like the photograph first).
        precision: of the loss network's features, float32 or bfloat16 (faster on GPUs and recent processors).
        low_memory: compute features twice instead of keeping them: slower, in about three quarters of the memory.
        device: auto (a GPU where there is one), cpu, cuda or mps.
        seed: of the noise to start from.
        name: name of the run's folder (none: from the pictures' file names).
        checkpoints: folder in which the run's own folder is made.
        save_every: steps between numbered pictures in the run's folder, which stages.png shows at the end (none: no stages).
        checkpoint_every: steps between saved states.
        video: film of the optimization to write, .mp4 (none: no film).
        video_every: steps between the film's pictures.
        resume: continue the run in the folder, to its end or to a larger number of steps.
        overwrite: replace the run in the folder, and an output or a film that exists.
        progress: show a progress bar with the losses.
    """

    content: str | None = None
    style: str | list[str] | None = None
    output: str | None = None
    shares: list[float] = field(default_factory=list)
    masks: list[str | None] = field(default_factory=list)
    start: str = "content"
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    steps: int = 300
    learning_rate: float | None = None
    history: int = 20
    average: float = 0.0
    size: int | None = 512
    scales: int = 1
    fine_steps: int | None = None
    style_scale: float = 1.0
    loss_network: str = "lite"
    loss_weights: str | None = None
    content_layers: list[str] = field(default_factory=list)
    style_layers: list[str] = field(default_factory=list)
    style_layer_weights: list[float] = field(default_factory=list)
    content_weight: float = 1.0
    style_weight: float = 1000.0
    tv_weight: float = 10.0
    formula: Literal["normalized", "classical", "gatys"] = "normalized"
    statistic: Literal["gram", "moments", "wasserstein"] = "gram"
    pooling: Literal["max", "average"] = "max"
    padding: Literal["zeros", "replicate"] = "zeros"
    colors: Literal["style", "luminance", "match"] = "style"
    precision: Literal["float32", "bfloat16"] = "float32"
    low_memory: bool = False
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    seed: int = 0
    name: str | None = None
    checkpoints: str = "checkpoints"
    save_every: int | None = None
    checkpoint_every: int = 50
    video: str | None = None
    video_every: int = 1
    resume: bool = False
    overwrite: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            if getattr(self, name) is not None:
                in_range(name, getattr(self, name), low, high)
        for weight in (*self.shares, *self.style_layer_weights):
            in_range("each of shares and style_layer_weights", weight, 0, 1e15)
        self._check_weights()
        self._check_styles()
        if self.resume and self.overwrite:
            raise UserError("--resume goes on with a run, --overwrite replaces it; give one of them")

    @property
    def styles(self) -> list[str]:
        """The style pictures as a list."""
        return [self.style] if isinstance(self.style, str) else list(self.style or [])

    @property
    def loss(self) -> LossSettings:
        """The settings of the objective: weights and layers."""
        return LossSettings(
            content_weight=self.content_weight,
            content="squared",
            style_weight=self.style_weight,
            tv_weight=self.tv_weight,
            palette_weight=0.0,
            content_layers=list(self.content_layers),
            style_layers=list(self.style_layers),
            style_layer_weights=list(self.style_layer_weights),
            normalize=self.formula == "normalized",
            pooling=self.pooling,
        )

    def _check_weights(self) -> None:
        if self.content_weight == self.style_weight == 0:
            raise UserError("--content_weight and --style_weight are both 0; set at least one of them")
        for name in ("shares", "style_layer_weights"):
            if getattr(self, name) and not any(getattr(self, name)):
                raise UserError(f"--{name} are all 0; set at least one of them")
        if self.formula == "gatys" and self.statistic != "gram":
            raise UserError(f"--formula gatys is defined for --statistic gram, not {self.statistic}; choose another formula")

    def _check_styles(self) -> None:
        for name in ("shares", "masks"):
            given = len(getattr(self, name))
            if given not in (0, len(self.styles)):
                raise UserError(f"--{name} needs one for each of the {len(self.styles)} style pictures, got {given}")
        needs = {
            "content": self.content_weight or self.start == "content" or self.colors != "style" or any(self.masks),
            "style": self.style_weight or self.start == "style" or self.colors == "match",
        }
        for name, needed in needs.items():
            if needed and not getattr(self, name):
                raise UserError(f"--{name} is missing: give a picture file")


@dataclass
class ReconstructSettings:
    """Reconstruct a picture, from noise, from the features of a layer (Gatys et al. 2016, Fig. 1).

    Attributes:
        photo: the picture.
        output: the picture to write; several layers make a labeled grid.
        layer: the layer, or a list of them (none: every rectified layer of the loss network, or every layer of one that has
            none by name).
        kind: content (the layer's features) or style (their statistic).
        growing: match, in each picture of a grid, all layers up to its own, as Fig. 1 does for style.
        size: longer side in pixels (none: the picture's own).
        steps: iterations for each picture.
        optimizer: lbfgs or adam.
        learning_rate: step size (none: 1 for lbfgs, 0.02 for adam).
        start: gaussian or uniform (noise), or a picture file.
        loss_network: lite (ships with the package), vgg16, vgg19, squeezenet1_0, squeezenet1_1, resnet50 or inception_v3.
        loss_weights: its weights in torchvision's keys, a file or a folder of files (none: torchvision's own, downloaded).
        statistic: of kind style: gram, moments or wasserstein.
        pooling: the loss network's pooling, max or average.
        tv_weight: weight of the total variation; the layer's is 1 (0 as in the paper; more is smoother).
        columns: pictures in a row of the grid.
        device: auto (a GPU where there is one), cpu, cuda or mps.
        seed: of the noise.
        overwrite: replace an output that exists.
        progress: show progress bars with the losses.
    """

    photo: str
    output: str = "reconstruction.png"
    layer: str | list[str] | None = None
    kind: Literal["content", "style"] = "content"
    growing: bool = False
    size: int | None = 256
    steps: int = 300
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    learning_rate: float | None = None
    start: str = "gaussian"
    loss_network: str = "lite"
    loss_weights: str | None = None
    statistic: Literal["gram", "moments", "wasserstein"] = "gram"
    pooling: Literal["max", "average"] = "max"
    tv_weight: float = 0.0
    columns: int = 5
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    seed: int = 0
    overwrite: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        in_range("columns", self.columns, 1, 100)
        self.optimization([])

    def optimization(self, layers: list[str]) -> OptimizeSettings:
        """The settings of the picture that is reconstructed from ``layers``."""
        shared: tuple[str, ...] = ("size", "steps", "optimizer", "learning_rate", "start", "loss_network", "loss_weights")
        shared += ("statistic", "pooling", "tv_weight", "device", "seed", "progress")
        values = {name: getattr(self, name) for name in shared}
        if self.kind == "content":
            return OptimizeSettings(self.photo, content_layers=layers, style_weight=0.0, **values)
        return OptimizeSettings(None, self.photo, style_layers=layers, content_weight=0.0, style_weight=1.0, **values)


@dataclass
class SweepSettings(OptimizeSettings):
    """Optimize a grid of pictures over any two settings: a labeled contact sheet, and a table of losses and times.

    Every flag of optimize applies to all pictures of the grid. Finished pictures are kept in the run's folder and used again
    when the same sweep is repeated.

    Attributes:
        rows: the setting that varies from row to row, such as start (none: one row).
        row_values: its values; one that is a mapping sets several settings at once, and rows is their heading then.
        row_labels: a label for each (empty: name and value).
        columns: the setting that varies from column to column.
        column_values: its values, as row_values.
        column_labels: a label for each (empty: name and value).
        cell: width of a picture on the sheet in pixels.
    """

    rows: str | None = None
    row_values: list[Any] = field(default_factory=list)
    row_labels: list[str] = field(default_factory=list)
    columns: str | None = None
    column_values: list[Any] = field(default_factory=list)
    column_labels: list[str] = field(default_factory=list)
    cell: int = 256

    def __post_init__(self) -> None:
        in_range("cell", self.cell, 16, 4096)
        for axis, values, labels in (
            ("row", self.row_values, self.row_labels),
            ("column", self.column_values, self.column_labels),
        ):
            if bool(getattr(self, f"{axis}s")) != bool(values):
                raise UserError(f"--{axis}s names a setting and --{axis}_values its values; give both")
            if labels and len(labels) != len(values):
                raise UserError(f"--{axis}_labels needs one for each of the {len(values)} values, got {len(labels)}")
        if not self.rows and not self.columns:
            raise UserError("nothing varies: give --columns and --column_values, and --rows and --row_values for a grid")
        for name in ("video", "save_every", "resume"):
            if getattr(self, name):
                raise UserError(f"--{name} is for a single picture; a sweep goes on by itself where it was")


RANGES = {
    "steps": (1, 10**7),
    "fine_steps": (1, 10**7),
    "learning_rate": (1e-8, 1e4),
    "history": (1, 1000),
    "average": (0, 0.999999),
    "size": (16, 16384),
    "scales": (1, 8),
    "style_scale": (0.05, 20),
    "content_weight": (0, 1e15),
    "style_weight": (0, 1e15),
    "tv_weight": (0, 1e15),
    "seed": (0, 2**31),
    "save_every": (1, 10**7),
    "checkpoint_every": (1, 10**7),
    "video_every": (1, 10**7),
}
