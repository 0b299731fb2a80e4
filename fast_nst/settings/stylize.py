"""The settings of ``fast-nst stylize`` as plain values, with their ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fast_nst.errors import UserError
from fast_nst.settings.validation import in_range
from fast_nst.style_rows import MAX_STRENGTH

MIN_SIDE = 16
STROKES = (0.125, 8.0)
AUTO: Literal["auto"] = "auto"
TILE = (AUTO, "always", "never")
RANDOM = "random"  # as a style: one of its own for each photograph
MAX_PARTS = 10**6


def check_stroke_size(value: float | str) -> None:
    """Raise a UserError unless ``value`` is auto or a number in range."""
    if isinstance(value, str) and value != AUTO:
        raise UserError(f"stroke_size needs to be {AUTO} or a number between {STROKES[0]:g} and {STROKES[1]:g}, got {value}")
    if not isinstance(value, str):
        in_range("stroke_size", value, *STROKES)


@dataclass
class StylizeSettings:
    """Stylize photographs, with a style that ships, a blend of several, or a model of your own.

    Attributes:
        inputs: photographs, animations, films, folders of photographs, patterns such as 'holiday/*.jpg', or - for standard
            input.
        style: a name that `fast-nst styles` lists, a blend such as great_wave:0.7,the_scream:0.3, a run's folder such as
            checkpoints/great_wave, an .onnx file, all for one sheet with every style, or random for a style of its own for
            each photograph, from those that `fast-nst styles` lists.
        output: the picture to write; for several photographs, a folder; - for standard output (none: beside each photograph,
            as photo.great_wave.jpg).
        strength: 0 returns the photograph, 1 is the style, up to 1.5 exaggerates it.
        styles_per_picture: of random, how many different styles each photograph is drawn in.
        seed: of random; a photograph's styles follow from the seed and its path in the folder that is named.
        shard: stylize one part of the photographs alone, 3/8 is the third of eight; parts follow from the paths, so that
            eight commands anywhere do the whole.
        size: reduce the longer side to this many pixels first, for speed or for larger strokes (none: as it is, and for a
            camera what 15 pictures a second allow here).
        stroke_size: size of the strokes; 2 draws them twice as large, in a picture of the same size, 1 as the network does;
            auto makes those of a larger picture as large as in one of 1280 pixels.
        preserve_color: keep the photograph's own colors; the style changes light and dark alone.
        camera: stylize what a camera sees instead of files, until Ctrl-C; 0 is the first one, or give a device's name. With
            --output into a film, else in a window.
        mask: a gray picture that says where to stylize, white everywhere that it should; black is left as it is.
        stabilize: for films, how much of the last frame's result is kept, moved along by optical flow where that is sure,
            and of the norms' statistics, 0 to 1; more flickers less, draws softer strokes, and follows changes of light
            more slowly. Finding the motion takes some time for each frame, less than drawing it; 0 does without, and draws
            every frame for itself. Needs OpenCV, of the extra video.
        recursive: look into the folders of folders as well.
        overwrite: replace pictures that exist; otherwise they are left alone.
        dry_run: print which file would be written for each photograph, and write nothing.
        engine: what draws, onnxruntime, openvino, openvino-bf16, or auto, the fastest here for many pictures; OpenVINO
            takes longer to start. `fast-nst engines` lists them. Stabilized films and tiles always take onnxruntime on the
            CPU.
        provider: the device of the engine, auto, cpu, cuda, mps (or coreml), dml, ... (none: the engine's choice).
        tile: draw in tiles without seams; auto does where the network sees over 12 megapixels.
        max_pixels: refuse pictures of more pixels, all frames of an animation together, before they are decoded (none:
            150 million).
        threads: processor threads (none: all cores; with ray, 1 for each worker).
        ray: stylize a folder or bucket (s3://, gs://) into another one, which is the output, by workers on a cluster; takes
            an address such as 10.0.0.1:6379, auto for the cluster of this machine, or nothing for one of the command's own.
        workers: with ray, how many (none: as many as there are cores for).
    """

    inputs: list[str]
    style: str
    output: str | None = None
    strength: float = 1.0
    styles_per_picture: int = 1
    seed: int = 0
    shard: str | None = None
    size: int | None = None
    stroke_size: float | Literal["auto"] = AUTO
    preserve_color: bool = False
    camera: str | None = None
    mask: str | None = None
    stabilize: float = 0.5
    recursive: bool = False
    overwrite: bool = False
    dry_run: bool = False
    engine: str = "onnxruntime"
    provider: str | None = None
    tile: Literal["auto", "always", "never"] = "auto"
    max_pixels: int | None = None
    threads: int | None = None
    ray: bool | str = False
    workers: int | None = None

    def __post_init__(self) -> None:
        in_range("strength", self.strength, 0, MAX_STRENGTH)
        check_stroke_size(self.stroke_size)
        in_range("stabilize", self.stabilize, 0, 1)
        if self.max_pixels is not None:
            in_range("max_pixels", self.max_pixels, 1, 10**12)
        in_range("threads", self.threads or 0, 0, 1024)
        if self.size is not None:
            in_range("size", self.size, MIN_SIDE, 100_000)
        in_range("seed", self.seed, 0, 2**63 - 1)
        in_range("styles_per_picture", self.styles_per_picture, 1, 1000)
        if self.styles_per_picture > 1 and self.style != RANDOM:
            raise UserError(f"--styles_per_picture goes with --style random, got --style {self.style}")
        if self.camera is not None and (self.style == RANDOM or self.shard):
            raise UserError("--style random and --shard are for files; give --camera one style")
        in_range("workers", self.workers or 0, 0, 100_000)
        self.part()

    def part(self) -> tuple[int, int]:
        """``shard`` as (part, parts); (1, 1) for none."""
        if self.shard is None:
            return 1, 1
        part, slash, parts = self.shard.partition("/")
        if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts) <= MAX_PARTS):
            raise UserError(f"--shard is a part and the number of parts, such as 1/8 to 8/8, got {self.shard}")
        return int(part), int(parts)
