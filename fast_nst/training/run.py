"""One training run, from settings to a folder with checkpoints, an ONNX model, previews and a card.

The settings are checked before the folder is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from fast_nst.data.datasets import Photos, Scenes
from fast_nst.data.folders import PhotosGone
from fast_nst.errors import DiskFull, Stopped, UserError
from fast_nst.export.onnx_graph import export_onnx
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.images import open_image
from fast_nst.networks.weights import find_weights
from fast_nst.runs.card import card_of_training, readme_of_training
from fast_nst.runs.checkpoints import newest_whole, room_for, to_stderr
from fast_nst.runs.config import listed, plain, resolved
from fast_nst.runs.folder import CHECKPOINTS, Run, RunFolder
from fast_nst.runs.sources import SOURCES, digest_of_files, digest_of_photos
from fast_nst.settings.train import TrainSettings
from fast_nst.system.files import free_room, in_megabytes, is_full, write_text
from fast_nst.system.signals import StopSignals
from fast_nst.training.builders import dataset_of, load_styles, module_of, preview_photos
from fast_nst.training.callbacks import Previews, Record, mean_terms
from fast_nst.training.curves import Curves, StylePictures
from fast_nst.training.length import steps_within
from fast_nst.training.module import StyleTransferModule
from fast_nst.training.resume_state import OwnFiles, accepted
from fast_nst.training.resuming import StoppedAtStep, silence_full_disk
from fast_nst.training.style_check import check_style
from fast_nst.training.trainer import blamed, callbacks_of, loader_of, silence_lightning, trainer_of

MOST_CHECKED = 8  # paintings whose style check is printed; a check takes a second


def train(settings: TrainSettings) -> Run:
    """Train a style as ``settings`` say, and fill its run folder.

    Raises:
        UserError: anything wrong with the settings, the pictures, the weights or the folder, or a full disk.
        Stopped: a signal ended the run; what was done until then is saved.
    """
    settings = resolved(settings)
    folder = RunFolder(settings.checkpoints, settings.name)
    with StopSignals() as signals, _advice_to_resume(folder), silence_full_disk():
        return _train(_with_saved_steps(settings, folder), folder, signals)


def _train(settings: TrainSettings, folder: RunFolder, signals: StopSignals) -> Run:
    _check_folder(folder, settings)
    styles, dataset = load_styles(settings), dataset_of(settings)
    digests = _digests(settings, dataset)
    _check_sources(folder, settings, digests)
    photos = [to_tensor(pixels) for pixels in preview_photos(settings)]
    previews, record = Previews(photos, folder.previews, settings.preview_every), Record(settings.batch_size)
    own = [previews, record, StylePictures(styles)]
    silence_lightning()
    trainer = trainer_of(settings, folder, [*callbacks_of(settings, folder, dataset, signals), *own])
    pl.seed_everything(settings.seed, verbose=False)
    module = module_of(settings, styles, dataset)
    _print_style_checks(settings, module)
    if settings.steps is None:
        settings = _with_measured_steps(settings, module, dataset, trainer)
        trainer = trainer_of(settings, folder, [*callbacks_of(settings, folder, dataset, signals), *own])
    _claim(folder, settings, digests)
    try:
        with signals.waiting():
            made = _fit(settings, folder, module, dataset, trainer)
        return _finish(settings, folder, module, trainer, previews, record, made)
    except (OSError, DiskFull) as error:
        if not is_full(error):
            raise
        raise _full(folder, module, error) from error
    finally:
        folder.release()


def _with_saved_steps(settings: TrainSettings, folder: RunFolder) -> TrainSettings:
    """Settings with the number of steps that a run to resume has fixed, where they say minutes."""
    if not settings.resume or settings.minutes is None:
        return settings
    steps = folder.saved_config().get("steps")
    if not steps and folder.checkpoints():
        raise UserError(f"{folder.config} does not say how many steps the run in {folder.path} has; give --steps")
    return replace(settings, steps=steps, minutes=None) if steps else settings


def _with_measured_steps(
    settings: TrainSettings, module: StyleTransferModule, dataset: Photos | Scenes, trainer: pl.Trainer
) -> TrainSettings:
    minutes = settings.minutes or 0.0  # resolved settings have steps or minutes
    to_stderr(f"measuring how many steps fit into {minutes:g} minutes")
    module.steps = steps_within(minutes, settings, module, dataset, trainer)
    to_stderr(f"{minutes:g} minutes: {module.steps} steps of {settings.batch_size} photographs")
    return replace(settings, steps=module.steps, minutes=None)


@contextmanager
def _advice_to_resume(folder: RunFolder) -> Iterator[None]:
    """Say how a run that is stopped between its parts is resumed; a signal in a step is answered by ``StopOnSignal``."""
    try:
        yield
    except Stopped as stopped:
        if getattr(rank_zero_only, "rank", 0):  # Lightning sets it
            raise SystemExit(stopped.code) from stopped
        if isinstance(stopped, StoppedAtStep):
            raise
        text = f"{stopped}, nothing to go on from yet: the same command starts again"
        if folder.checkpoints():
            text = f"stopped; the same command with --resume goes on from {folder.checkpoints()[0].name}"
        raise Stopped(stopped.signum, text) from stopped


def _full(folder: RunFolder, module: StyleTransferModule, error: Exception) -> DiskFull:
    reason = next(cause for cause in (error, error.__cause__) if isinstance(cause, OSError)).strerror
    kept = folder.checkpoints()
    way = f"--resume goes on from {kept[0].name}" if kept else "the same command starts again"
    return DiskFull(
        f"cannot write to {folder.path}: {reason}: going on needs about {in_megabytes(room_for(module.network))}, "
        f"{in_megabytes(free_room(folder.path))} are free; make room, then {way}"
    )


@rank_zero_only
def _print_style_checks(settings: TrainSettings, module: StyleTransferModule) -> None:
    """Print what the style check finds in the paintings, unless there are many: fast-nst style-check checks those."""
    paths = [] if settings.style is None or settings.resume else listed(settings.style)
    for path in paths if len(paths) <= MOST_CHECKED else []:
        report = check_style(open_image(path), module.criterion.network, (settings.style_size,))
        print(report.text(Path(path).name), flush=True)


def _digests(settings: TrainSettings, dataset: Photos | Scenes) -> dict[str, str | None]:
    """A digest of what lies at each path that may move between two parts of a run; None for what the package brings."""
    digests: dict[str, str | None] = dict.fromkeys(SOURCES)
    if settings.style is not None:
        digests["style"] = digest_of_files(listed(settings.style))
    if isinstance(dataset, Photos):
        digests["data"] = digest_of_photos(dataset.paths)
    if settings.loss_weights is not None:
        digests["loss_weights"] = digest_of_files([settings.loss_weights])
    if settings.start is not None:
        digests["base"] = digest_of_files([find_weights(settings.start)])
    return digests


@rank_zero_only
def _check_folder(folder: RunFolder, settings: TrainSettings) -> None:
    folder.check(plain(settings), settings.resume, settings.overwrite, SOURCES)


@rank_zero_only
def _check_sources(folder: RunFolder, settings: TrainSettings, digests: dict[str, str | None]) -> None:
    if settings.resume and not settings.moved:
        folder.check_sources(plain(settings), digests)


@rank_zero_only
def _claim(folder: RunFolder, settings: TrainSettings, digests: dict[str, str | None]) -> None:
    saved = {key: value for key, value in plain(settings).items() if key not in ("resume", "moved", "overwrite")}
    folder.claim(saved, settings.resume, settings.overwrite, SOURCES)
    folder.save_sources(digests)


def _fit(
    settings: TrainSettings,
    folder: RunFolder,
    module: StyleTransferModule,
    dataset: Photos | Scenes,
    trainer: pl.Trainer,
) -> int:
    """Train to the end, or as far as the settings of the Trainer allow; the steps made, those of a resumed run included."""
    newest = newest_whole(folder, rank_zero_only(to_stderr)) if settings.resume else None
    path, saved = newest or (None, {"global_step": 0})
    if path:
        saved = accepted(saved, trainer, module, path)
    writer, first = trainer.strategy.checkpoint_io, saved["global_step"]
    trainer.strategy.checkpoint_io = OwnFiles(writer, folder.path, CHECKPOINTS, saved if path else None)
    loader = loader_of(settings, dataset, trainer, first)
    try:
        with blamed(settings.trainer, lambda: trainer.global_step == first):
            trainer.fit(module, loader, ckpt_path=path, weights_only=True)
    except PhotosGone as error:
        last = getattr(trainer.checkpoint_callback, "best_model_path", None) or path or "none yet"
        raise UserError(f"{error}; last checkpoint: {last}") from error
    steps = settings.steps or 0
    if path and first >= steps:
        module.load_state_dict(saved["state_dict"])  # no step was left; of an average, fit has loaded what it is made of
    made = max(first, trainer.global_step)
    _print_early_end(made, first, steps)
    trainer.save_checkpoint(folder.last)  # the end need not be a multiple of checkpoint_every
    return made


@rank_zero_only
def _print_early_end(made: int, first: int, steps: int) -> None:
    if made == first < steps:
        raise UserError("no step was made, as the --trainer settings ask (a limit of batches or time?); leave them out")
    if made < steps:
        to_stderr(
            f"ended after {made} of {steps} steps, as the --trainer settings ask (max_time?): the learning rate has not "
            "fallen to its end; --resume goes on from there, and --minutes fits a new run into a time"
        )


def _finish(
    settings: TrainSettings,
    folder: RunFolder,
    module: StyleTransferModule,
    trainer: pl.Trainer,
    previews: Previews,
    record: Record,
    steps: int,
) -> Run:
    """Final preview, card, README and ONNX model: by the first process alone, on the CPU."""
    if module.global_rank != 0:
        return Run(folder, previews.folder / "final.png", {})
    to_stderr("writing the preview, the card and the ONNX model")
    module.cpu()
    module.criterion.cpu()
    preview = previews.draw(module, "final.png")
    losses = held_out_losses(module, previews.photos)
    if isinstance(trainer.logger, Curves):
        trainer.logger.close(plain(settings), losses)
    card = card_of_training(settings, folder.name, module.network.config, record, losses, steps)
    write_text(folder.card, json.dumps(card, indent=2) + "\n")
    write_text(folder.readme, readme_of_training(card))
    export_onnx(module.network, folder.onnx, folder.name, card)
    return Run(folder, preview, card)


@torch.no_grad()
def held_out_losses(module: StyleTransferModule, photos: list[torch.Tensor]) -> dict[str, float]:
    """The terms of the objective and structure r on the preview photographs under every style, averaged."""
    pairs = [(photo, style) for style in range(len(module.rows)) for photo in photos]
    return mean_terms([module.held_out_terms(photo, style) for photo, style in pairs])
