"""The command ``fast-nst optimize``: from settings to a run folder with the picture, its stages, its state and a card.

Anything wrong with the settings is found before the folder is made.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fast_nst.errors import Stopped, UserError
from fast_nst.imaging.film_writer import Film, check_film
from fast_nst.imaging.images import SUFFIXES, load_image, save_image
from fast_nst.imaging.sheets import labelled_sheet
from fast_nst.imaging.video import read_film
from fast_nst.optimization.multiscale import Callback, Optimization
from fast_nst.runs.card import card_of_optimization, readme_of_optimization
from fast_nst.runs.checkpoints import newest_whole, write_checkpoint
from fast_nst.runs.config import resolved_optimization
from fast_nst.runs.folder import Run, RunFolder
from fast_nst.runs.state_schema import Misfit, matched
from fast_nst.settings.optimize import OptimizeSettings
from fast_nst.system.files import check_new, write_text
from fast_nst.system.signals import StopSignals

STRIP_COLUMNS = 6


def optimize(settings: OptimizeSettings) -> Run:
    """Optimize a picture as ``settings`` say, and fill its run folder.

    Raises:
        UserError: anything wrong with the settings, the pictures, the weights, the output or the folder, or a full disk.
        Stopped: a signal ended the run; its state is saved.
    """
    with StopSignals() as signals:
        return _optimize(settings, signals)


def _optimize(settings: OptimizeSettings, signals: StopSignals) -> Run:
    resolved = resolved_optimization(settings)
    folder = RunFolder(settings.checkpoints, resolved.name)
    config = {key: value for key, value in asdict(resolved).items() if key not in ("resume", "overwrite")}
    output = Path(settings.output or folder.path / "result.png")
    folder.check(config, settings.resume, settings.overwrite)
    check_outputs(output, settings.video, settings.overwrite or settings.resume)
    optimization = Optimization(settings)
    newest = newest_whole(folder) if settings.resume else None
    if newest:
        optimization.load_state_dict(_accepted(newest[1], optimization, newest[0]))
    folder.claim(config, settings.resume, settings.overwrite)
    try:
        with ExitStack() as stack, signals.waiting():
            optimization.run([*_callbacks(optimization, folder, stack), StopOnSignal(signals, folder.last)])
        return _finish(optimization, folder, output)
    finally:
        folder.release()


def _accepted(state: dict[str, Any], optimization: Optimization, path: Path) -> dict[str, Any]:
    """The part of ``state``, read from ``path``, that the optimization's schema names."""
    try:
        return matched(optimization.schema(state.get("scale")), state)
    except Misfit as error:
        raise UserError(f"{path} is no state of this run: {error}; start again with --overwrite") from error


def check_outputs(output: Path, video: str | None = None, overwrite: bool = False) -> None:
    """Raise a UserError where the picture or the film cannot be written later, or exists and is not to be overwritten."""
    if output.suffix.lower() not in SUFFIXES:
        raise UserError(f"cannot write {output}: choose a name that ends in one of {' '.join(sorted(SUFFIXES))}")
    check_new(output, overwrite)
    if video:
        check_film(video)
        check_new(video, overwrite, flag="--video")


class SaveSnapshots:
    """Saves the picture every so many steps, as ``step=000100-loss=1.23.png``."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def __call__(self, optimization: Optimization) -> None:
        step = optimization.iteration
        if step % self.every == 0 or optimization.finished:
            loss = float(optimization.descent.best_terms.total)
            for older in self.folder.glob(f"step={step:06d}-*.png"):
                older.unlink()
            save_image(optimization.pixels(), self.folder / f"step={step:06d}-loss={loss:.3g}.png")


class SaveState:
    """Saves the state every so many steps, and at the end."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def __call__(self, optimization: Optimization) -> None:
        if optimization.iteration and (optimization.iteration % self.every == 0 or optimization.finished):
            write_checkpoint(optimization.state_dict(), self.path)


class StopOnSignal:
    """Saves the state and ends the run after the step in which a signal came."""

    def __init__(self, signals: StopSignals, path: Path) -> None:
        self.signals, self.path = signals, path

    def __call__(self, optimization: Optimization) -> None:
        if self.signals.asked and optimization.iteration:
            write_checkpoint(optimization.state_dict(), self.path)
            way = "the same command with --resume goes on from there"
            raise Stopped(self.signals.asked, f"stopped at step {optimization.iteration}; {way}")


def stage_strip(folder: Path, cell: int = 256) -> np.ndarray:
    """The pictures that ``SaveSnapshots`` saved, in order, labeled with their steps and objectives."""
    cells = []
    for path in sorted(folder.glob("step=*.png")):
        step, loss = (part.split("=")[1] for part in path.stem.split("-", 1))
        cells.append((f"step {int(step)}, loss {loss}", load_image(path, cell)))
    return labelled_sheet([cells[i : i + STRIP_COLUMNS] for i in range(0, len(cells), STRIP_COLUMNS)], cell)


def _callbacks(optimization: Optimization, folder: RunFolder, stack: ExitStack) -> list[Callback]:
    settings = optimization.settings
    callbacks: list[Callback] = [SaveState(folder.last, settings.checkpoint_every)]
    if settings.save_every:
        callbacks.append(SaveSnapshots(folder.stages, settings.save_every))
    if settings.video:
        shown = -(-optimization.iteration // settings.video_every)  # pictures of the steps before the present one
        film = stack.enter_context(Film(settings.video, optimization.sizes[-1], keep_partial=True))
        for pixels in islice(read_film(settings.video), shown) if shown and Path(settings.video).exists() else ():
            film.add(pixels)
        callbacks.append(lambda now: film.add(now.pixels()) if now.iteration % settings.video_every == 0 else None)
    return callbacks


def _finish(optimization: Optimization, folder: RunFolder, output: Path) -> Run:
    pixels, card = optimization.pixels(), card_of_optimization(optimization.settings, folder.name, _record(optimization))
    save_image(pixels, folder.path / "result.png")
    if output.resolve() != (folder.path / "result.png").resolve():
        save_image(pixels, output)
    if optimization.settings.save_every:
        save_image(stage_strip(folder.stages), folder.path / "stages.png")
    write_text(folder.card, json.dumps(card, indent=2) + "\n")
    write_text(folder.readme, readme_of_optimization(card))
    return Run(folder, output, card)


def _record(optimization: Optimization) -> dict[str, Any]:
    return {
        "size": list(optimization.sizes[-1]),
        "steps": optimization.iteration,
        "evaluations": optimization.evaluations,
        "restarts": optimization.descent.restarts,
        "seconds": round(optimization.seconds, 1),
        "losses": {name: float(f"{value:.5g}") for name, value in optimization.measures().items()},
    }
