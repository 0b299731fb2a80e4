"""Stylize: a picture, several, or a film, as ``fast-nst stylize`` draws them."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from fast_nst.app.answers import SHOWN, answered, sentence
from fast_nst.app.chooser import Chooser
from fast_nst.app.gallery import find_entry
from fast_nst.app.uploads import check_picture, new_folder, paths_of, picture_input, reduced
from fast_nst.errors import PartlyDone
from fast_nst.imaging.images import save_image
from fast_nst.imaging.video import is_film
from fast_nst.settings.app import AppSettings
from fast_nst.settings.stylize import AUTO, StylizeSettings
from fast_nst.style_rows import MAX_STRENGTH
from fast_nst.stylize.jobs import tagged
from fast_nst.stylize.run import stylize_files

STROKES = [("automatic", AUTO), ("half", "0.5"), ("as trained", "1"), ("double", "2"), ("fourfold", "4")]
CANVAS = 800  # pixels of the longer side of the picture that a mask is painted on
PAINT = "#e11d48"


class StylizeTab:
    """The tab.

    Args:
        settings: of the app.
        folder: for results.
    """

    def __init__(self, settings: AppSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        with gr.Row():
            with gr.Column():
                self._inputs()
            with gr.Column():
                self._outputs()
        self._connect()

    def _inputs(self) -> None:
        with gr.Tabs():
            with gr.Tab("One picture"):
                self.photo = picture_input("Photograph", height=250)
            with gr.Tab("Several, or a film"):
                self.files = gr.File(label="Photographs, films", file_count="multiple", height=250)
        self.styles = Chooser(self.settings.checkpoints)
        self.strength = gr.Slider(0, MAX_STRENGTH, 1, step=0.05, label="Strength", info="0 is the photograph, 1 the style")
        with gr.Row():
            self.stroke = gr.Dropdown(STROKES, value=AUTO, label="Stroke size")
            self.colors = gr.Checkbox(label="Keep the photograph's colors")
        self.button = gr.Button("Stylize", variant="primary")

    def _outputs(self) -> None:
        self.slider = gr.ImageSlider(label="Before and after", interactive=False, height=520, buttons=["fullscreen"])
        self.film = gr.Video(label="Film", visible=False, interactive=False)
        self.download = gr.File(label="Download", visible=False, interactive=False)
        with gr.Accordion("Only a part of the picture", open=False):
            self.mask = mask_editor()

    def _connect(self) -> None:
        self.photo.change(self.canvas, self.photo, self.mask, show_progress="hidden", api_visibility="private")
        inputs = [self.photo, self.files, self.styles.list, self.strength, self.stroke, self.colors, self.mask]
        outputs = [self.slider, self.film, self.download]
        self.button.click(self.stylize, inputs, outputs, api_name="stylize", show_progress_on=[self.slider])

    @answered
    def canvas(self, path: str | None) -> dict[str, Any] | None:
        """What the mask is painted on: the photograph, reduced."""
        if path is None:
            return None
        return {"background": reduced(path, self.settings.max_pixels, CANVAS), "layers": [], "composite": None}

    @answered
    def stylize(
        self,
        photo: str | None,
        files: list[str] | None,
        style: str,
        strength: float,
        stroke: str,
        colors: bool,
        mask: dict[str, Any] | None,
        progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008
    ) -> list[Any]:
        """Draw, and show what was written."""
        progress(0, desc="drawing")
        limit = self.settings.max_pixels
        inputs = paths_of(files) or [check_picture(photo, limit, "the photograph")]
        source, results = find_entry(style, self.settings.checkpoints).source, new_folder(self.folder)
        output = str(results if len(inputs) > 1 else results / result_name(inputs[0], source))
        size = AUTO if stroke == AUTO else float(stroke)
        options: dict[str, Any] = {"strength": strength, "stroke_size": size, "preserve_color": colors, "max_pixels": limit}
        options["mask"] = save_mask(mask, results / ".mask.png")
        return shown(inputs, drawn(StylizeSettings(inputs, source, output, **options)), limit)


def mask_editor() -> gr.ImageEditor:
    """The photograph with a brush: what is painted over is stylized."""
    return gr.ImageEditor(
        label="Paint over what is to be stylized",
        type="numpy",
        image_mode="RGBA",
        sources=(),
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size=60, colors=[PAINT], default_color=PAINT, color_mode="fixed"),
        format="png",
        height=420,
    )


def save_mask(edited: dict[str, Any] | None, path: Path) -> str | None:
    """Write the painted part of an editor, white on black, to ``path``; None where nothing is painted."""
    layers = [np.asarray(layer)[..., 3] for layer in (edited or {}).get("layers") or [] if np.ndim(layer) == 3]
    if not layers or not np.any(layers):
        return None
    painted = np.max(layers, axis=0) > 0
    save_image(np.repeat(np.uint8(255) * painted[..., None], 3, axis=2), path)
    return str(path)


def drawn(settings: StylizeSettings) -> list[Path]:
    """The files that are written; where some of several fail, the page says which."""
    try:
        return stylize_files(settings)
    except PartlyDone as error:
        written = [path for path in Path(settings.output or "").iterdir() if not path.name.startswith(".")]
        if not written:
            raise
        gr.Warning(sentence(error), duration=SHOWN)
        return written


def shown(inputs: Sequence[str], written: Sequence[Path], max_pixels: int) -> list[Any]:
    """Updates of the slider, the film and the download: one picture beside its photograph, a film, or a zip."""
    first = written[0]
    download = gr.File(value=str(first if len(inputs) == 1 else zipped(written)), visible=True)
    if is_film(first):
        return [gr.ImageSlider(visible=False), gr.Video(value=str(first), visible=True), download]
    before = next((path for path in inputs if first.name.startswith(f"{Path(path).stem}.")), inputs[0])
    pair = (Image.fromarray(reduced(before, max_pixels)), Image.fromarray(reduced(first, max_pixels)))
    return [gr.ImageSlider(value=pair, visible=True), gr.Video(visible=False), download]


def zipped(paths: Sequence[Path]) -> Path:
    """The files in one archive beside them, not compressed again."""
    target = paths[0].parent / "stylized.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            archive.write(path, path.name)
    return target


def result_name(path: str, style: str) -> str:
    """The name of a result: photo.great_wave.jpg; a film becomes .mp4, which browsers show."""
    name = tagged(Path(Path(path).name), Path(style).name)
    return name.with_suffix(".mp4").name if is_film(name) else name.name
