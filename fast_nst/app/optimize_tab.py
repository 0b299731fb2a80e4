"""Optimize: one picture by per-image optimization, seen while it comes into being."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gradio as gr
import numpy as np

from fast_nst.app.answers import answered
from fast_nst.app.uploads import check_picture, picture_input
from fast_nst.settings.app import AppSettings
from fast_nst.settings.optimize import OptimizeSettings

PAUSE = 1.0  # seconds between two pictures on the page
INTRODUCTION = "One picture in minutes, without a trained style: slow, and the best result."


class OptimizeTab:
    """The tab of an app with ``settings``."""

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        with gr.Row():
            with gr.Column():
                self._inputs()
            with gr.Column():
                self.result = gr.Image(label="The best picture so far", interactive=False, format="png", height=420)
                self.status = gr.Markdown(INTRODUCTION, elem_classes="status")
                stop = gr.Button("Stop and keep")
        inputs, outputs = [self.photo, self.painting, self.size, self.steps, self.colors], [self.result, self.status]
        running = self.button.click(self.optimize, inputs, outputs, api_name="optimize", show_progress="hidden")
        stop.click(None, None, None, cancels=running)

    def _inputs(self) -> None:
        with gr.Row():
            self.photo = picture_input("Photograph", height=260)
            self.painting = picture_input("Painting", height=260)
        self.size = gr.Slider(64, 1024, 384, step=64, label="Longer side in pixels")
        self.steps = gr.Slider(10, 1000, 200, step=10, label="Steps")
        self.colors = gr.Checkbox(label="Keep the photograph's colors")
        self.button = gr.Button("Optimize", variant="primary")

    @answered
    def optimize(
        self, photo: str | None, painting: str | None, size: float, steps: float, colors: bool
    ) -> Iterator[tuple[np.ndarray | None, str]]:
        """The best picture so far and a line about it, again and again."""
        settings = OptimizeSettings(
            content=check_picture(photo, self.settings.max_pixels, "the photograph"),
            style=check_picture(painting, self.settings.max_pixels, "the painting"),
            size=int(size),
            steps=int(steps),
            colors="luminance" if colors else "style",
            progress=False,
        )
        yield None, "loading ..."
        yield from pictures(settings)


def pictures(settings: OptimizeSettings) -> Iterator[tuple[np.ndarray, str]]:
    """The best picture so far, uint8 RGB (H, W, 3), with a line: once in ``PAUSE`` seconds at most, and at the end."""
    from fast_nst.optimization.multiscale import Optimization

    optimization = Optimization(settings)
    begun = due = time.monotonic()
    while not optimization.finished:
        optimization.step()
        if time.monotonic() >= due or optimization.finished:
            made, steps = optimization.iteration, optimization.total_steps
            left = (time.monotonic() - begun) / made * (steps - made)
            yield optimization.pixels(), line(made, steps, float(optimization.descent.best_terms.total), left)
            due = time.monotonic() + PAUSE


def line(step: int, steps: int, loss: float, left: float) -> str:
    """``step 12 of 200 · objective 34.5 · about 40 s left``."""
    ending = f"about {left:.0f} s left" if step < steps else "done"
    return f"step {step} of {steps} · objective {loss:.4g} · {ending}"
