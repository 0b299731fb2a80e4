"""Compare: two styles or strengths on the same photographs, with the numbers of ``fast-nst evaluate``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from fast_nst.app.answers import answered
from fast_nst.app.chooser import style_list
from fast_nst.app.gallery import choices, find_entry
from fast_nst.app.uploads import check_picture, paths_of, picture_input
from fast_nst.errors import UserError
from fast_nst.imaging.images import save_image
from fast_nst.imaging.sheets import labelled_sheet
from fast_nst.settings.app import AppSettings
from fast_nst.settings.evaluate import EvaluateSettings
from fast_nst.style_rows import MAX_STRENGTH

if TYPE_CHECKING:
    from fast_nst.evaluation.run import Evaluation

MOST = 8  # photographs
MEANINGS = {
    "total": "the objective of training; lower is nearer to it",
    "content": "distance from the photograph's content",
    "style": "distance from the painting's style",
    "structure": "how much of the photograph's structure is left: r, 1 is all",
    "ssim": "similarity to the photograph, pixel by pixel: SSIM, 1 is the same",
    "checkerboard": "pattern of the pixel grid; 1 is none",
    "border_artifact": "difference between edge and inside; 1 is none",
}


class CompareTab:
    """The tab.

    Args:
        settings: of the app.
        page: on which it is.
    """

    def __init__(self, settings: AppSettings, page: gr.Blocks) -> None:
        self.settings = settings
        with gr.Row():
            with gr.Column():
                self._inputs()
            with gr.Column():
                headers = ["measure", "A", "B", "what it is"]
                self.sheet = gr.Image(label="Photograph, A, B", interactive=False, format="webp", height=420)
                self.table = gr.Dataframe(headers=headers, interactive=False, wrap=True, show_label=False)
        inputs = [*self.lists, *self.strengths, self.painting, self.photos, self.size]
        self.button.click(self.compare, inputs, [self.sheet, self.table], api_name="compare")
        page.load(self.styles, None, self.lists, show_progress="hidden", api_visibility="private")

    def _inputs(self) -> None:
        self.lists: list[gr.Dropdown] = []
        self.strengths: list[gr.Slider] = []
        for name, strength in (("A", 1.0), ("B", 0.5)):
            with gr.Row():
                self.lists.append(style_list(self.settings.checkpoints, name, scale=3))
                slider = gr.Slider(0, MAX_STRENGTH, strength, step=0.05, label=f"Strength of {name}", scale=2)
                self.strengths.append(slider)
        self.painting = picture_input("Painting to measure the style against", height=220)
        self.photos = gr.File(label=f"Photographs, at most {MOST} (none: three samples)", file_count="multiple", height=180)
        self.size = gr.Slider(64, 1024, 256, step=64, label="Longer side in pixels")
        self.button = gr.Button("Compare", variant="primary")

    def styles(self) -> list[gr.Dropdown]:
        """The styles that there are now, for both lists."""
        return [gr.Dropdown(choices=choices(self.settings.checkpoints)) for _ in self.lists]

    @answered
    def compare(
        self,
        first: str,
        second: str,
        first_strength: float,
        second_strength: float,
        painting: str | None,
        photos: list[str] | None,
        size: float,
        progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008
    ) -> tuple[np.ndarray, list[list[Any]]]:
        """The sheet and the table."""
        limit, found = self.settings.max_pixels, []
        painting = check_picture(painting, limit, "the painting")
        sides = [
            (find_entry(style, self.settings.checkpoints), strength)
            for style, strength in ((first, first_strength), (second, second_strength))
        ]
        with tempfile.TemporaryDirectory() as folder:
            data = gathered(paths_of(photos), Path(folder) / "photos", limit, int(size))
            for place, (entry, strength) in enumerate(sides):
                progress(place / 2, desc=f"measuring {entry.title}")
                found.append(measured(entry.source, strength, painting, data, f"{folder}/{place}", int(size)))
        labels = ["photograph", *(f"{entry.title}, {strength:g}" for entry, strength in sides)]
        return sheet_of(found, labels), rows_of(*(evaluation.mean() for evaluation in found))


def measured(style: str, strength: float, painting: str, data: str, output: str, size: int) -> Evaluation:
    """The evaluation of one style, without N*, which takes minutes."""
    from fast_nst.evaluation.run import evaluate

    return evaluate(EvaluateSettings(style, painting, data, output, count=MOST, size=size, strength=strength, iterations=0))


def gathered(paths: Sequence[str], folder: Path, max_pixels: int, side: int) -> str:
    """A new folder with the uploaded photographs; where there are none, with samples of ``side`` pixels."""
    from fast_nst.data.sample_photos import sample_photos

    if len(paths) > MOST:
        raise UserError(f"{len(paths)} photographs are more than {MOST}; take some of them out")
    folder.mkdir()
    for number, path in enumerate(paths):
        shutil.copyfile(check_picture(path, max_pixels, "the photograph"), folder / f"{number}{Path(path).suffix}")
    for number, pixels in enumerate(() if paths else sample_photos(side)):
        save_image(pixels, folder / f"{number}.png")
    return str(folder)


def sheet_of(found: Sequence[Evaluation], labels: Sequence[str]) -> np.ndarray:
    """A row for each photograph: itself and what each side makes of it, uint8 RGB."""
    photos = found[0].pictures[::2]
    columns = [photos, *(evaluation.pictures[1::2] for evaluation in found)]
    return labelled_sheet([list(zip(labels, row, strict=True)) for row in zip(*columns, strict=True)], 320)


def rows_of(first: Mapping[str, float], second: Mapping[str, float]) -> list[list[Any]]:
    """A row for each measure that both sides have."""
    known = [name for name in MEANINGS if name in first and name in second]
    return [[name.replace("_", " "), round(first[name], 3), round(second[name], 3), MEANINGS[name]] for name in known]
