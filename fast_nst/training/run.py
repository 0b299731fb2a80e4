"""One training run, from settings to a folder with a checkpoint, an ONNX model, pictures and a card.

Everything that can be wrong with the settings is found before the folder is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from fast_nst.data.datasets import Photos, Scenes
from fast_nst.data.folders import PhotosGone
from fast_nst.errors import DiskFull, Stopped, UserError
from fast_nst.export.onnx_graph import export_onnx
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.images import open_image
from fast_nst.runs.card import card_of_training, readme_of_training
from fast_nst.runs.checkpoints import newest_whole, room_for, to_stderr
from fast_nst.runs.config import listed, plain, resolved
from fast_nst.runs.folder import CHECKPOINTS, RunFolder
from fast_nst.settings.train import TrainSettings
from fast_nst.system.files import free_room, in_megabytes, is_full, write_text
from fast_nst.system.signals import StopSignals
from fast_nst.training.builders import dataset_of, load_styles, module_of, preview_photos
from fast_nst.training.callbacks import Previews, Record
from fast_nst.training.module import StyleTransferModule
from fast_nst.training.resume_state import OwnFiles, accepted
from fast_nst.training.resuming import quiet_threads
from fast_nst.training.style_check import check_style
from fast_nst.training.trainer import callbacks_of, loader_of, quieten, trainer_of


@dataclass
class Run:
    """A finished run: where things lie, and what is known of it."""

    folder: RunFolder
    preview: Path
    card: dict


def train(settings: TrainSettings) -> Run:
    """Train a style as ``settings`` say, and fill its run folder.

    Raises:
        UserError: anything wrong with the settings, the pictures, the weights or the folder, or a full disk.
        Stopped: a signal asked for an end; what was done until then is saved.
    """
    settings = resolved(settings)
    folder = RunFolder(settings.checkpoints, settings.name)
    with StopSignals() as signals, _a_way_on(folder), quiet_threads():
        return _train(settings, folder, signals)


def _train(settings: TrainSettings, folder: RunFolder, signals: StopSignals) -> Run:
    config = plain(settings)
    _check_folder(folder, config, settings)
    styles, dataset = load_styles(settings), dataset_of(settings)
    drawer = Previews([to_tensor(pixels) for pixels in preview_photos(settings)], folder.previews, settings.preview_every)
    record = Record(settings.batch_size)
    quieten()
    trainer = trainer_of(settings, folder, [*callbacks_of(settings, folder, dataset, signals), drawer, record])
    pl.seed_everything(settings.seed, verbose=False)
    module = module_of(settings, styles, dataset)
    _advise(settings, module)
    _claim(folder, config, settings)
    try:
        with signals.waiting():
            _fit(settings, folder, module, dataset, trainer)
        return _finish(settings, folder, module, drawer, record)
    except (OSError, DiskFull) as error:
        if not is_full(error):
            raise
        raise _full(folder, module, error) from error
    finally:
        folder.release()


@contextmanager
def _a_way_on(folder: RunFolder) -> Iterator[None]:
    """Say to whom a signal stops where no step was made how the run goes on."""
    try:
        yield
    except Stopped as stopped:
        if rank_zero_only.rank:
            raise SystemExit(stopped.code) from stopped
        text = str(stopped)
        if "step" not in text:
            text += ", nothing to go on from yet: the same command starts again"
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
def _advise(settings: TrainSettings, module: StyleTransferModule) -> None:
    """Print what a style check finds in the user's paintings, before the time is spent."""
    for path in [] if settings.style is None or settings.resume else listed(settings.style):
        report = check_style(open_image(path), module.criterion.network, (settings.style_size,))
        print(report.text(Path(path).name))


@rank_zero_only
def _check_folder(folder: RunFolder, config: dict, settings: TrainSettings) -> None:
    folder.check(config, settings.resume, settings.overwrite)


@rank_zero_only
def _claim(folder: RunFolder, config: dict, settings: TrainSettings) -> None:
    saved = {key: value for key, value in config.items() if key not in ("resume", "overwrite")}
    folder.claim(saved, settings.resume, settings.overwrite)


def _fit(
    settings: TrainSettings,
    folder: RunFolder,
    module: StyleTransferModule,
    dataset: Photos | Scenes,
    trainer: pl.Trainer,
) -> None:
    newest = newest_whole(folder, rank_zero_only(to_stderr)) if settings.resume else None
    path, saved = newest or (None, {"global_step": 0})
    if path:
        saved = accepted(saved, trainer, module, path)
    writer = trainer.strategy.checkpoint_io
    trainer.strategy.checkpoint_io = OwnFiles(writer, folder.path, CHECKPOINTS, saved if path else None)
    loader = loader_of(settings, dataset, trainer, saved["global_step"])
    try:
        trainer.fit(module, loader, ckpt_path=path, weights_only=True)
    except PhotosGone as error:
        raise UserError(
            f"{error}; last checkpoint: {trainer.checkpoint_callback.best_model_path or path or 'none yet'}"
        ) from error
    if saved["global_step"] >= settings.steps:
        module.load_state_dict(saved["state_dict"])  # no step was left; of an average, fit has loaded what it is made of
    trainer.save_checkpoint(folder.last)  # the end need not be a multiple of checkpoint_every


def _finish(
    settings: TrainSettings, folder: RunFolder, module: StyleTransferModule, drawer: Previews, record: Record
) -> Run:
    """Final preview, card, README and ONNX model: by the first process alone, on the CPU."""
    if module.global_rank != 0:
        return Run(folder, drawer.folder / "final.png", {})
    module.cpu()
    module.criterion.cpu()
    preview = drawer.draw(module, "final.png")
    card = card_of_training(settings, folder.name, module.network.config, record, held_out_losses(module, drawer.photos))
    write_text(folder.card, json.dumps(card, indent=2) + "\n")
    write_text(folder.readme, readme_of_training(card))
    export_onnx(module.network, folder.onnx, folder.name, card)
    return Run(folder, preview, card)


@torch.no_grad()
def held_out_losses(module: StyleTransferModule, photos: list[torch.Tensor]) -> dict[str, float]:
    """The terms of the objective and structure r on the preview photographs under every style, averaged."""
    terms = []
    for style in range(len(module.rows)):
        for photo in photos:
            picture = module.stylised(photo[None], style)
            terms.append(module.criterion.forward(picture, photo[None], torch.tensor([style]))._asdict())
    return {name: round(float(np.mean([term[name].item() for term in terms])), 4) for name in terms[0]}
