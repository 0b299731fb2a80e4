"""Evaluation of a model: its objective, and the iterations of per-image optimization that reach the same objective.

For each photograph: the terms of the objective under a loss network and, if asked for, under a second one; structure r and
SSIM; the artifacts of the network (``checkerboard``, ``border_artifact``) and its ``shift_error``; and N*, the iterations
of L-BFGS that reach the model's objective from the photograph and from noise (Johnson et al. 2016, sec. 4.1 and Fig. 5,
where it is 50 to 100).
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure
from tqdm import tqdm

from fast_nst.data.folders import find_preview_photos
from fast_nst.evaluation.artifacts import BORDER_SIDE, CHECKERBOARD_SIDE, border_artifact, checkerboard
from fast_nst.evaluation.stability import FEW_SHIFTS, least_side, shift_error
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.images import load_image, open_image, resize_long_side, save_image
from fast_nst.imaging.sheets import contact_sheet
from fast_nst.losses.perceptual import PerceptualLoss, perceptual_loss
from fast_nst.optimization.descent import Objective, optimize
from fast_nst.settings.evaluate import EvaluateSettings
from fast_nst.stylize.stylizer import Stylizer
from fast_nst.system.files import check_new, write_text

START_SEED = 0
SECOND_NETWORK = "squeezenet1_0"  # of second_weights alone


@dataclass(frozen=True)
class Row:
    """The numbers of one photograph; None for what was not measured.

    Artifacts are not measured in pictures that are too small. ``n_photo`` and ``n_noise`` are iterations; one more than were
    tried means that none reached the objective.
    """

    photo: str
    total: float
    content: float
    style: float
    structure: float
    ssim: float
    checkerboard: float | None = None
    border_artifact: float | None = None
    shift_error: float | None = None
    second_content: float | None = None
    second_style: float | None = None
    second_structure: float | None = None
    n_photo: int | None = None
    n_noise: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """All rows, and the pictures: photograph and result, alternating."""

    rows: list[Row]
    pictures: list[np.ndarray]

    def mean(self) -> dict[str, float]:
        """The mean of each number over the photographs; the median of N* and of the border artifact."""
        table = {name: [asdict(row)[name] for row in self.rows] for name in asdict(self.rows[0]) if name != "photo"}
        known = {name: values for name, values in table.items() if None not in values}
        middle = {name: np.median if name.startswith(("n_", "border")) else np.mean for name in known}
        return {name: round(float(middle[name](values)), 4) for name, values in known.items()}


def evaluate(settings: EvaluateSettings, noise: bool = True) -> Evaluation:
    """Measure a model as ``settings`` say, and write ``table.csv``, ``summary.json`` and ``grid.png`` where they say.

    Args:
        noise: look for N* from noise as well as from the photograph.
    Raises:
        UserError: anything wrong with the settings, the model, the pictures or the weights, or an output that exists.
    """
    check_new(Path(settings.output) / "table.csv", settings.overwrite)
    stylizer = Stylizer(settings.model, strength=settings.strength, stroke_size=1.0)
    painting = to_tensor(np.asarray(resize_long_side(open_image(settings.style), settings.style_size)))
    criterion = perceptual_loss(
        settings.loss_network, settings.loss_weights, [painting], settings.loss, settings.loss_border
    )
    second = _second(settings, painting)
    rows, pictures = [], []
    for path in tqdm(find_preview_photos(settings.data, settings.count), unit="photo"):
        photo = load_image(path, settings.size)
        picture = stylizer(photo)
        row = measure(path.name, photo, picture, criterion, second, settings.iterations, noise)
        fits = min(photo.shape[:2]) >= least_side(FEW_SHIFTS)
        rows.append(replace(row, shift_error=shift_error(stylizer, photo, FEW_SHIFTS) if fits else None))
        pictures += [photo, picture]
    evaluation = Evaluation(rows, pictures)
    _write(evaluation, settings)
    return evaluation


def measure(
    name: str,
    photo: np.ndarray,
    picture: np.ndarray,
    criterion: PerceptualLoss,
    second: PerceptualLoss | None = None,
    iterations: int = 0,
    noise: bool = True,
) -> Row:
    """The numbers of one ``picture`` of a ``photo``, both uint8 (H, W, 3); N* among the first ``iterations``, if any."""
    photo_tensor, tensor = to_tensor(photo)[None], to_tensor(picture)[None]
    with torch.no_grad():
        terms = criterion(tensor, photo_tensor)
        other = second(tensor, photo_tensor) if second else None
    ssim = torch.as_tensor(structural_similarity_index_measure(tensor, photo_tensor, data_range=1.0))
    of_second = {}
    if other is not None:
        of_second = {f"second_{key}": getattr(other, key).item() for key in ("content", "style", "structure")}
    own = {key: getattr(terms, key).item() for key in ("total", "content", "style", "structure")}
    counts = {}
    if iterations:
        starts = {"n_photo": photo_tensor}
        if noise:
            starts["n_noise"] = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(START_SEED))
        objective = criterion.objective(photo_tensor)
        counts = {key: equivalent_iterations(objective, start, own["total"], iterations) for key, start in starts.items()}
    values: dict[str, Any] = {"ssim": float(ssim), **artifacts(picture), **own, **of_second, **counts}
    return Row(name, **values)


def artifacts(picture: np.ndarray) -> dict[str, float]:
    """``checkerboard`` and ``border_artifact`` of a uint8 picture (H, W, 3), where it is large enough for them."""
    side = min(picture.shape[:2])
    found = {"checkerboard": checkerboard(picture)} if side >= CHECKERBOARD_SIDE else {}
    return found | ({"border_artifact": border_artifact(picture)} if side >= BORDER_SIDE else {})


def equivalent_iterations(objective: Objective, start: Tensor, target: float, most: int) -> int:
    """N*: iterations of L-BFGS from ``start`` until ``objective`` is at most ``target``; ``most`` + 1 if it stays above."""
    descent = optimize(objective, start, steps=most, until=target)
    return descent.iteration if descent.best_terms.total <= target else most + 1


def _second(settings: EvaluateSettings, painting: Tensor) -> PerceptualLoss | None:
    """The criterion of the second network, if the settings name it or its weights."""
    if not settings.second_network and not settings.second_weights:
        return None
    name = settings.second_network or SECOND_NETWORK
    return perceptual_loss(name, settings.second_weights, [painting], settings.loss_of_second(), settings.loss_border)


def _write(evaluation: Evaluation, settings: EvaluateSettings) -> None:
    folder, text = Path(settings.output), io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(asdict(evaluation.rows[0])))
    writer.writeheader()
    writer.writerows({key: _rounded(value) for key, value in asdict(row).items()} for row in evaluation.rows)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.csv", text.getvalue())
    summary = {"settings": asdict(settings), "photographs": len(evaluation.rows), "mean": evaluation.mean()}
    write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    cells = evaluation.pictures
    save_image(contact_sheet([cells[i : i + 4] for i in range(0, len(cells), 4)], cell=320), folder / "grid.png")


def _rounded(value: object) -> object:
    return round(value, 5) if isinstance(value, float) else value
