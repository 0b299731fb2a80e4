"""The settings of a run as plain values: what the command line, the YAML configs and the run folder hold.

No heavy import lives here, so that ``fast-nst --help`` is immediate.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from fast_nst.errors import UserError
from fast_nst.settings.export import MANY
from fast_nst.settings.validation import in_range
from fast_nst.system.files import check_folder, check_readable

SCRATCH = "scratch"
LOSS_BORDER = 16  # pixels of a crop's edge that training leaves out of the loss


@dataclass
class LossSettings:
    """Terms of the objective and their weights.

    Attributes:
        content_weight: weight of the content term, the mean over content_layers.
        content: what of the photograph's features is kept. pattern compares them with each channel's mean and contrast taken
            out, so that a painting may ask for any contrast; squared is the squared difference of Johnson et al. (none:
            pattern where terms are normalized, else squared).
        style_weight: weight of the style term, the mean over style_layers.
        tv_weight: weight of the total variation (mean of squares, pictures in [0, 1]).
        palette_weight: weight of the distance between the colors of a picture and of the painting, where terms are
            normalized.
        stability_weight: of training, weight of the change of a picture, as a share of its variance, when the photograph is
            moved by some pixels, so that films hold still; takes a second pass of the network for half of the batch (0: no
            such term, and no time spent).
        content_layers: layers at which the photograph is kept (empty: the loss network's own choice, for a VGG relu2_2 and
            relu4_2 by their patterns, relu2_2 by squared differences).
        style_layers: layers whose Gram matrices are matched (empty: relu1_2, relu2_2, relu3_3, relu4_3 for a VGG).
        style_layer_weights: a weight for each style layer (empty: the loss network's own choice).
        style_shares: of several style pictures, a factor of style_weight for each (empty: 1).
        normalize: divide every term by the energy of its target, so that one pair of weights serves every loss network;
            false is the classical formula, which sums over layers and wants weights such as 1e5 and 1e10.
        pooling: the loss network's pooling.
    """

    content_weight: float = 1.0
    content: Literal["pattern", "squared"] | None = None
    style_weight: float = 12.0
    tv_weight: float = 5.0
    palette_weight: float = 5.0
    stability_weight: float = 0.0
    content_layers: list[str] = field(default_factory=list)
    style_layers: list[str] = field(default_factory=list)
    style_layer_weights: list[float] = field(default_factory=list)
    style_shares: list[float] = field(default_factory=list)
    normalize: bool = True
    pooling: Literal["max", "average"] = "max"

    def __post_init__(self) -> None:
        for name in ("content_weight", "style_weight", "tv_weight", "palette_weight", "stability_weight"):
            in_range(f"loss.{name}", getattr(self, name), 0, 1e15)
        for name in ("style_layer_weights", "style_shares"):
            for weight in getattr(self, name):
                in_range(f"loss.{name}", weight, 0, 1e15)
        if self.style_layer_weights and not any(self.style_layer_weights):
            raise UserError("loss.style_layer_weights are all 0; set at least one of them")
        if self.content_weight == self.style_weight == 0:
            raise UserError("loss.content_weight and loss.style_weight are both 0; set at least one of them")
        if self.content == "pattern" and not self.normalize:
            raise UserError("loss.content pattern has no classical formula; leave loss.normalize true, or take squared")

    @property
    def by_pattern(self) -> bool:
        """Whether the content term compares patterns."""
        return self.normalize if self.content is None else self.content == "pattern"


@dataclass
class OptimizerSettings:
    """Optimizer of the network and its learning rate.

    Attributes:
        learning_rate: peak rate, of Muon for the kernels and of Adam for all else.
        muon: move kernels as Muon does, which goes further in the same steps, rather than as Adam.
        row_rate: rate of the styles' own scales and shifts, as a multiple; each of several styles is seen only now and then.
        warmup_steps: steps over which the rate rises from 0 to its peak.
        final_share: the rate at the last step, as a share of the peak (cosine decay).
        gradient_clip: gradients of a larger norm are scaled down to this one (0: never).
        style_ramp: share of the run over which the style weight rises from a tenth to all of it; without it, a large
            weight first teaches a texture that ignores the photograph (none: 0.3, or 0 from a base, which knows better).
        strength_share: share of the pictures that are drawn at a random strength, half of these between 0 and 1 and half
            between 1 and 1.5, where the style weight is the strength's square; the others are drawn at 1.
        rescale_kernels: where all of a base is trained, begin with kernels as long as a new network's, which draw the same
            pictures and turn faster.
        average: train with an exponential moving average of the weights, and save that, if above 0 (0.999 is usual).
    """

    learning_rate: float = 2e-3
    muon: bool = True
    row_rate: float = 3.0
    warmup_steps: int = 50
    final_share: float = 0.02
    gradient_clip: float = 1.0
    style_ramp: float | None = None
    strength_share: float = 0.3
    rescale_kernels: bool = True
    average: float = 0.0

    def __post_init__(self) -> None:
        in_range("optimizer.learning_rate", self.learning_rate, 1e-8, 1)
        in_range("optimizer.row_rate", self.row_rate, 0, 1000)
        in_range("optimizer.warmup_steps", self.warmup_steps, 0, 10**9)
        in_range("optimizer.final_share", self.final_share, 0, 1)
        in_range("optimizer.gradient_clip", self.gradient_clip, 0, 1e9)
        in_range("optimizer.style_ramp", self.style_ramp or 0, 0, 1)
        in_range("optimizer.strength_share", self.strength_share, 0, 1)
        in_range("optimizer.average", self.average, 0, 0.999999)


@dataclass
class TrainSettings:
    """Train a style: a painting and photographs become a checkpoint, an ONNX model and pictures to look at.

    Attributes:
        style: the painting, a picture file, or a list of them for a network of several styles (none: one that the package
            draws).
        data: folder of photographs, or a list of them; a COCO folder is known by its train2017 (none: scenes that the
            package draws).
        name: name of the style and of its folder (none: the painting's file name; several styles are called by their
            files' names, and base together).
        checkpoints: folder in which the run's own folder is made.
        base: start from a trained network, a run's folder or a checkpoint, or one that ships in the package: many, of two
            hundred styles, or base, of the nine that stylize draws; scratch starts from nothing (none: many, or scratch
            where preset or width asks for a network of its own). On the command line, --from.
        finetune: with a base, train all of the network, or only the new style's scales and shifts (norm), which keeps the
            base's styles in the model; strong gives styles that the base has, known by their pictures' file names, a row
            for strength 1.5 each.
        preset: the network, deep, fast or johnson (Johnson et al. 2016) (none: deep, or the base's own). A base of another
            preset gives what has the same place and shape in both.
        width: channels of the network (none: 48 for deep and fast, 32 for johnson, a base's own).
        loss_network: lite (ships with the package), vgg16, vgg19, squeezenet1_0, squeezenet1_1, resnet50 or inception_v3.
        loss_weights: its weights in torchvision's keys, .pth or .safetensors (none: torchvision's own, downloaded once).
        structure: how much of the photograph is to stay: the structure r, 0 to 1, that training steers every style to, by a
            factor of the style weight found on the way; 0.6 keeps most, 0.45 is usual, 0.3 is mostly painting; null keeps
            the style weight as it is. Counts where terms are normalized, and not for strong rows.
        loss: what the objective weighs.
        optimizer: how the network learns.
        style_size: longer side of the painting in pixels, which sets the size of the strokes.
        image_size: side of the training crops in pixels.
        loss_border: pixels along the edge of a crop that do not count in the loss, as its network pads there (none: 16, an
            eighth of image_size at most).
        batch_size: photographs a step, on each device.
        steps: length of the training (none: 10 minutes, or 4000 steps from scratch). With 0, the style is
            the start that is found in the base within seconds, a first draft.
        minutes: length of the training by the clock instead of steps. The speed is measured over some steps that do not
            count, and the number of steps that follows is written to config.yaml, so that the config repeats the run. With
            resume, the run keeps its number of steps.
        preview_photos: photographs to show progress on (none: of val2017 where there is one, else the first of data).
        preview_every: steps between previews (none: one after 8 seconds, then one a minute).
        checkpoint_every: steps between checkpoints (none: a tenth of the run, 1000 at most).
        workers: processes that decode photographs (none: chosen by the number of cores).
        seed: of weights, photographs and crops; on the CPU of one machine, one seed gives one result to the last bit, on a
            GPU only with --trainer.deterministic true.
        compile: compile the networks with torch.compile where that works.
        resume: go on with the run in the folder, to its end or to a larger number of steps.
        moved: resume although the photographs, style pictures or weights are others than those that the run began with. The
            same ones in another place need no such word.
        overwrite: replace the run in the folder.
        trainer: any argument of Lightning's Trainer, as --trainer.accelerator gpu --trainer.devices 8; --device cpu, cuda or
            mps is short for --trainer.accelerator.
    """

    style: str | list[str] | None = None
    data: str | list[str] | None = None
    name: str | None = None
    checkpoints: str = "checkpoints"
    base: str | None = None
    finetune: Literal["all", "norm", "strong"] = "all"
    preset: str | None = None
    width: int | None = None
    loss_network: str = "lite"
    loss_weights: str | None = None
    structure: float | None = 0.45
    loss: LossSettings = field(default_factory=LossSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    style_size: int = 640
    image_size: int = 256
    loss_border: int | None = None
    batch_size: int = 4
    steps: int | None = None
    minutes: float | None = None
    preview_photos: list[str] = field(default_factory=list)
    preview_every: int | None = None
    checkpoint_every: int | None = None
    workers: int | None = None
    seed: int = 0
    compile: bool = False
    resume: bool = False
    moved: bool = False
    overwrite: bool = False
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        in_range("style_size", self.style_size, 32, 8192)
        in_range("image_size", self.image_size, 32, 4096)
        in_range("batch_size", self.batch_size, 1, 4096)
        in_range("loss_border", self.loss_border or 0, 0, self.image_size // 4)
        in_range("structure", self.structure or 0, 0, 1)
        in_range("seed", self.seed, 0, 2**31)
        in_range("workers", self.workers or 0, 0, 256)
        for name, least in (("steps", 0), ("preview_every", 1), ("checkpoint_every", 1)):
            if getattr(self, name) is not None:
                in_range(name, getattr(self, name), least, 10**9)
        if self.minutes is not None:
            in_range("minutes", self.minutes, 0.05, 10**5)
        if self.steps is not None and self.minutes is not None:
            raise UserError("--steps and --minutes both say how long to train; give one of them")
        if self.resume and self.overwrite:
            raise UserError("--resume goes on with a run, --overwrite replaces it; give one of them")
        for name in ("style", "data"):
            if isinstance(getattr(self, name), list) and not getattr(self, name):
                raise UserError(f"--{name} is an empty list; name at least one path, or leave it out")

    def check_paths(self) -> None:
        """Raise a UserError for a picture, folder or weight file that is not there; imports nothing that takes time."""
        pictures = [self.style] if isinstance(self.style, str) else self.style or []
        for path in (*pictures, *self.preview_photos):
            check_readable(os.path.expanduser(path), "picture")
        for folder in [self.data] if isinstance(self.data, str) else self.data or []:
            check_folder(os.path.expanduser(folder), "folder of photographs", "--data")
        if self.loss_weights is not None:
            check_readable(os.path.expanduser(self.loss_weights), "weight file")

    @property
    def start(self) -> str | None:
        """The trained network that the run starts from; None from scratch."""
        own = self.preset is not None or self.width is not None
        base = self.base or (SCRATCH if own else MANY)
        return None if base == SCRATCH else base

    def structure_target(self) -> float | None:
        """``structure`` where it counts."""
        return self.structure if self.loss.normalize and self.finetune != "strong" else None

    def border(self) -> int:
        """``loss_border``, or its default."""
        return min(LOSS_BORDER, self.image_size // 8) if self.loss_border is None else self.loss_border


@dataclass
class EachSettings(TrainSettings):
    """Train a style, or one for each painting of a folder.

    Attributes:
        each: train a style for each painting in this folder, each into its own run's folder, in the place of one painting;
            the same command goes on where it was stopped. A table, each.csv, and a sheet, each.png, lie beside the runs.
        ray: with each, train them as tasks of Ray, several at once, on folders that all machines share; takes an address
            such as 10.0.0.1:6379, auto for the cluster of this machine, or nothing for one of the command's own.
        run_cpus: with ray, processor cores of each run.
        run_gpus: with ray, GPUs of each run; 0.5 lets two runs share one.
    """

    each: str | None = None
    ray: bool | str = False
    run_cpus: int = 1
    run_gpus: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("run_cpus", self.run_cpus, 1, 1024)
        in_range("run_gpus", self.run_gpus, 0, 64)
        if self.each is None:
            if self.ray:
                raise UserError("--ray goes with --each FOLDER; one style over several GPUs is --trainer.devices")
            return
        if self.style is not None and self.data is None:
            self.style, self.data = None, self.style  # fast-nst train --each paintings photos
        if self.style is not None or self.name is not None:
            raise UserError("--each takes its paintings, and their names, from the folder; leave out style and --name")

    def check_paths(self) -> None:
        super().check_paths()
        if self.each is not None:
            check_folder(os.path.expanduser(self.each), "folder of paintings", "--each")

    def one(self) -> TrainSettings:
        """The settings that all runs share."""
        return TrainSettings(**{one.name: getattr(self, one.name) for one in fields(TrainSettings)})
