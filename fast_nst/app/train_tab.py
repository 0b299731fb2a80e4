"""Train: a painting becomes a style; previews and losses are seen while it learns.

What is shown is read from the run's folder, so every browser that opens the page sees the same training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from fast_nst.app.answers import answered
from fast_nst.app.chooser import Chooser
from fast_nst.app.jobs import Trainings
from fast_nst.app.uploads import SHOWN, check_picture, paths_of, picture_input
from fast_nst.app.watching import Watcher
from fast_nst.errors import UserError
from fast_nst.imaging.images import open_image, resize_long_side
from fast_nst.settings.app import AppSettings

BUILT_IN, HERE, UPLOADED = "drawn scenes (built in)", "a folder on this machine", "uploaded"
SIDES, MOST_CUT = ("left", "right", "top", "bottom"), 40  # percent
LONGEST = 24 * 60  # minutes
PAUSE = 2.0  # seconds between two looks at the run
INTRODUCTION = "A style is trained in minutes. It goes on when this page is closed, and stops when the app ends."


class TrainTab:
    """The tab.

    Args:
        settings: of the app.
        trainings: those of the app.
        chooser: gets the new style; None where there is none.
        page: on which it is.
    """

    def __init__(self, settings: AppSettings, trainings: Trainings, chooser: Chooser | None, page: gr.Blocks) -> None:
        self.settings, self.trainings, self.chooser = settings, trainings, chooser
        self.watcher = Watcher(trainings)
        with gr.Row():
            with gr.Column():
                self._inputs()
            with gr.Column():
                self._outputs()
        self.seen, self.timer = gr.State(), gr.Timer(PAUSE, active=False)
        self._connect(page)

    def _inputs(self) -> None:
        self.painting = picture_input("Painting", height=280)
        with gr.Accordion("Cut off a frame or margins", open=False):
            with gr.Row():
                self.cuts = [gr.Slider(0, MOST_CUT, 0, step=0.5, label=f"{side}, %", min_width=120) for side in SIDES]
            self.cut = gr.Image(label="What is learned", interactive=False, height=280)
        self.advice = gr.Markdown()
        with gr.Row():
            self.name = gr.Textbox(label="Name of the style", placeholder="my_style", max_length=60)
            self.minutes = gr.Number(10, label="Minutes", minimum=0.1, maximum=LONGEST)
        sources = [BUILT_IN, *([HERE] if self.settings.is_local else []), UPLOADED]
        self.source = gr.Radio(sources, value=BUILT_IN, label="Photographs to learn on")
        self.folder = gr.Textbox(label="Folder", placeholder="/home/me/photos", visible=False)
        self.photos = gr.File(label="Photographs", file_count="multiple", visible=False, height=180)
        self.start = gr.Button("Train", variant="primary")
        with gr.Accordion("Go on with a stopped training", open=False):
            self.stopped = gr.Dropdown([], label="Training", allow_custom_value=True)
            self.resume = gr.Button("Go on")

    def _outputs(self) -> None:
        self.status = gr.Markdown(INTRODUCTION, elem_classes="status")
        self.preview = gr.Image(label="Photographs and what the style makes of them", interactive=False, height=380)
        self.curves = gr.LinePlot(x="step", y="loss", color="term", title="Losses, relative to their first", height=240)
        self.stop = gr.Button("Stop and keep", interactive=False)

    def _connect(self, page: gr.Blocks) -> None:
        live = [self.status, self.preview, self.curves, self.stop, self.start, self.timer, self.seen, self.stopped]
        live += [self.chooser.list, self.chooser.gallery] if self.chooser else []
        wanted = [self.painting, *self.cuts, self.name, self.minutes, self.source, self.folder, self.photos]
        hidden: dict[str, Any] = {"show_progress": "hidden"}
        self.source.change(fields_of, self.source, [self.folder, self.photos], api_visibility="private", **hidden)
        painted, checked = [self.painting, *self.cuts], [self.advice, self.cut]
        self.painting.change(self.check, painted, checked, api_name="check_painting", **hidden)
        for slider in self.cuts:
            slider.release(self.check, painted, checked, api_visibility="private", **hidden)
        self.start.click(self.begin, wanted, live, api_name="train", **hidden)
        self.resume.click(self.go_on, self.stopped, live, api_name="resume", **hidden)
        self.stop.click(self.keep, None, live, api_name="stop_and_keep", show_progress_on=[self.status])
        self.timer.tick(self.look, self.seen, live, api_name="training", **hidden)
        page.load(self.look, self.seen, live, api_visibility="private", **hidden)

    def look(self, seen: Any = None) -> list[Any]:
        """Updates of all that shows the training; pictures only where they are others than those ``seen``."""
        view = self.watcher.view()
        running, mark = view.is_running, view.mark
        pictures = [gr.skip()] * 2 if mark == seen else [view.picture(), view.table()]
        switches = [gr.Button(interactive=running), gr.Button(interactive=not running), gr.Timer(active=running)]
        return [view.words or INTRODUCTION, *pictures, *switches, mark, *self._lists(running and seen is not None)]

    def _lists(self, are_same: bool) -> list[Any]:
        """Updates of the stopped trainings and of the styles: for a new page, and when a training ends."""
        if are_same:
            return [gr.skip()] * (3 if self.chooser else 1)
        stopped = gr.Dropdown(choices=self.trainings.stopped(), value=None)
        return [stopped, *(self.chooser.refreshed() if self.chooser else [])]

    @answered
    def check(self, path: str | None, left: float, right: float, top: float, bottom: float) -> tuple[str, Any]:
        """What the style check says of the painting, and the painting as it is cut."""
        if path is None:
            return "", None
        image = cut_painting(path, (left, right, top, bottom), self.settings.max_pixels)
        return advice_on(image), np.asarray(reduced_image(image))

    @answered
    def begin(
        self,
        path: str | None,
        left: float,
        right: float,
        top: float,
        bottom: float,
        name: str,
        minutes: float,
        source: str,
        folder: str,
        uploads: list[str] | None,
    ) -> list[Any]:
        """Start a training."""
        if source == HERE and not self.settings.is_local:
            raise UserError("folders of this machine can be named on this machine alone; upload the photographs")
        if (source == HERE and not folder) or (source == UPLOADED and not uploads):
            raise UserError(f"photographs are missing: name a folder, upload some, or choose {BUILT_IN}")
        photos = paths_of(uploads) if source == UPLOADED else ()
        image = cut_painting(path, (left, right, top, bottom), self.settings.max_pixels)
        self.trainings.start(np.asarray(image), name or "", minutes, photos, folder if source == HERE else None)
        return self.look()

    @answered
    def go_on(self, name: str | None) -> list[Any]:
        """Go on with a stopped training."""
        self.trainings.resume(name or "")
        return self.look()

    @answered
    def keep(self) -> list[Any]:
        """Stop the training, and put what it has learned into the gallery."""
        self.trainings.stop_and_keep()
        return self.look()


def cut_painting(path: str | None, cuts: Sequence[float], max_pixels: int) -> Image.Image:
    """The painting without its margins.

    Args:
        cuts: percent of the width that are cut off at the left and the right, and of the height at the top and the bottom.
    """
    image = open_image(check_picture(path, max_pixels, "the painting"))
    left, right, top, bottom = (share / 100 for share in cuts)
    width, height = image.size
    return image.crop((round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height)))


def advice_on(image: Image.Image) -> str:
    """What the style check finds in a painting, as Markdown."""
    from fast_nst.training.style_check import check_style

    report = check_style(image)
    found = [f"- {warning}" for warning in report.warnings] or ["Nothing that would make a model ugly."]
    return "\n".join([f"**{report.width} x {report.height} pixels**", "", *found])


def reduced_image(image: Image.Image) -> Image.Image:
    """``image`` for the page."""
    return resize_long_side(image, SHOWN) if max(image.size) > SHOWN else image


def fields_of(source: str) -> list[Any]:
    """The fields that go with a source of photographs."""
    return [gr.Textbox(visible=source == HERE), gr.File(visible=source == UPLOADED)]
