"""One training run, from settings to a folder with a checkpoint, an ONNX model, pictures and a card.

Everything that can be wrong with the settings is found before the folder is made.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins import CheckpointIO
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from fast_nst.callbacks import Previews, Record, SkippedFiles
from fast_nst.card import card_of, readme_of
from fast_nst.checkpoints import newest_whole, room_for, to_stderr
from fast_nst.data import Photos, Positions, Scenes, batches, find_photos, find_preview_photos, readable_photos, to_tensor
from fast_nst.divergence import LOOK_EVERY, DivergenceGuard
from fast_nst.drawing import drawn_style
from fast_nst.errors import DiskFull, Stopped, UserError, unknown
from fast_nst.export import export_onnx
from fast_nst.files import free_room, in_megabytes, is_full, write_text
from fast_nst.fine_tuning import Start, closest_start, grown, same_style
from fast_nst.images import load_image, open_image, resize_long_side
from fast_nst.losses import PerceptualLoss, layers_of, perceptual_loss
from fast_nst.networks.loss_network import check_image_size
from fast_nst.networks.transformer_net import PRESETS, TransformerNet, checked_names
from fast_nst.photo_files import Fault, PhotosGone
from fast_nst.run_folder import RunFolder
from fast_nst.settings import IDENTITY, TrainSettings
from fast_nst.stopping import StopSignals
from fast_nst.style_check import check_style
from fast_nst.survival import CheckpointFiles, RandomStates, StopBetweenSteps, quiet_threads
from fast_nst.training import StyleTransferModule, compile_networks
from fast_nst.weights import BASE, load_network

PREVIEWS, PREVIEW_SIZE = 4, 384
START_PHOTOS = 8  # on which the rows of a base are tried
STEPS, FINE_TUNING_STEPS, STYLE_RAMP = 4000, 600, 0.3
DRAWN_STYLE, SEVERAL_STYLES = "drawn_dusk", "base"
RESERVED = {"max_steps": "--steps", "max_epochs": "--steps", "gradient_clip_val": "--optimizer.gradient_clip"}


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
    settings = _resolved(settings)
    folder = RunFolder(settings.checkpoints, settings.name)
    with StopSignals() as signals, _a_way_on(folder), quiet_threads():
        return _train(settings, folder, signals)


def _train(settings: TrainSettings, folder: RunFolder, signals: StopSignals) -> Run:
    config = _plain(settings)
    _check_folder(folder, config, settings)
    styles, dataset = load_styles(settings), _dataset(settings)
    drawer = Previews([to_tensor(pixels) for pixels in _preview_photos(settings)], folder.previews, settings.preview_every)
    record = Record(settings.batch_size)
    _quieten()
    trainer = _trainer(settings, folder, [*_callbacks(settings, folder, dataset, signals), drawer, record])
    pl.seed_everything(settings.seed, verbose=False)
    module = _module(settings, styles, dataset)
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


def load_styles(settings: TrainSettings) -> dict[str, np.ndarray]:
    """Name -> painting as uint8 RGB (H, W, 3), its longer side ``style_size``; drawn by the package where none is given."""
    images = {settings.name: Image.fromarray(drawn_style())}
    if settings.style is not None:
        paths = _listed(settings.style)
        names = [Path(path).stem for path in paths] if isinstance(settings.style, list) else [settings.name]
        images = dict(zip(checked_names([*names, IDENTITY]), map(open_image, paths), strict=False))
    return {name: np.asarray(resize_long_side(image, settings.style_size)) for name, image in images.items()}


def _resolved(settings: TrainSettings) -> TrainSettings:
    """``settings`` with the name filled in and paths absolute, so that the config works from any folder."""
    values = dict(vars(settings))
    values["name"] = settings.name or _name_of(settings.style)
    values["steps"] = settings.steps or (FINE_TUNING_STEPS if settings.base else STEPS)
    ramp = settings.optimizer.style_ramp
    default_ramp = 0.0 if settings.base else STYLE_RAMP
    values["optimizer"] = replace(settings.optimizer, style_ramp=default_ramp if ramp is None else ramp)
    if settings.base != BASE:
        values["base"] = _absolute(settings.base)
    for key in ("loss_weights", "checkpoints"):
        values[key] = _absolute(values[key])
    if isinstance(settings.style, list):
        values["style"] = [_absolute(path) for path in settings.style]
    else:
        values["style"] = _absolute(settings.style)
    values["preview_photos"] = [_absolute(path) for path in settings.preview_photos]
    if settings.data is not None:
        values["data"] = [_absolute(folder) for folder in _listed(settings.data)]
    return TrainSettings(**values)


def _name_of(style: str | list[str] | None) -> str:
    if style is None:
        return DRAWN_STYLE
    return SEVERAL_STYLES if isinstance(style, list) else Path(style).stem


def _plain(settings: TrainSettings) -> dict:
    """``settings`` as nested values that YAML can hold; objects given to the Trainer from Python are left out."""
    trainer = {key: value for key, value in settings.trainer.items() if _is_plain(value)}
    return asdict(replace(settings, trainer=trainer))


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().resolve())


def _listed(paths: str | list[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)


def _dataset(settings: TrainSettings) -> Photos | Scenes:
    if settings.data is None:
        return Scenes(settings.image_size, settings.seed)
    faults: dict[Path, Fault] = {}
    return Photos(find_photos(settings.data, faults), settings.image_size, settings.seed, faults)


def _preview_photos(settings: TrainSettings) -> list[np.ndarray]:
    if settings.preview_photos:
        return [load_image(path, PREVIEW_SIZE) for path in settings.preview_photos]
    if settings.data is None:
        held_out = Scenes(PREVIEW_SIZE, settings.seed + 1)
        return [held_out.pixels(position) for position in range(PREVIEWS)]
    return readable_photos(find_preview_photos(settings.data), PREVIEWS, PREVIEW_SIZE)


def _module(settings: TrainSettings, styles: dict[str, np.ndarray], dataset: Photos | Scenes) -> StyleTransferModule:
    layers, size = layers_of(settings.loss_network, settings.loss), settings.image_size
    images = [to_tensor(pixels) for pixels in styles.values()]
    criterion = perceptual_loss(settings.loss_network, settings.loss_weights, images, settings.loss)
    check_image_size(settings.loss_network, layers[0] + layers[1], size, size, what="a training crop (--image_size)")
    photos = torch.stack([dataset[position] for position in range(settings.batch_size)])
    network = _network(settings, dict(zip(styles, images, strict=True)), criterion, dataset)
    rows = [network.styles.index(name) for name in styles]
    module = StyleTransferModule(network, criterion, settings.optimizer, settings.steps, rows, settings.seed)
    if settings.compile:
        compile_networks(module, photos)
    return module


@rank_zero_only
def _advise(settings: TrainSettings, module: StyleTransferModule) -> None:
    """Print what a style check finds in the user's paintings, before the time is spent."""
    for path in [] if settings.style is None or settings.resume else _listed(settings.style):
        report = check_style(open_image(path), module.criterion.network, (settings.style_size,))
        print(report.text(Path(path).name))


def _network(
    settings: TrainSettings, paintings: dict[str, torch.Tensor], criterion: PerceptualLoss, dataset: Photos | Scenes
) -> TransformerNet:
    """A new network, or the base with a row for each of ``paintings``, (3, h, w) in [0, 1]."""
    if settings.base is None:
        return TransformerNet(settings.preset, settings.width, [IDENTITY, *paintings])
    base = load_network(settings.base)
    for key, wanted in (("preset", settings.preset if settings.preset != PRESETS[0] else None), ("width", settings.width)):
        if wanted not in (None, base.config[key]):
            raise UserError(f"the base {settings.base} has {key} {base.config[key]}, not {wanted}; leave --{key} out")
    return grown(base, _starts(base, paintings, criterion, dataset), settings.finetune == "norm")


def _starts(
    base: TransformerNet, paintings: dict[str, torch.Tensor], criterion: PerceptualLoss, dataset: Photos | Scenes
) -> dict[str, Start]:
    """Each painting's own row where the base has it, otherwise the nearest of the base's in the painting's colours."""
    photos, starts = torch.stack([dataset[position] for position in range(START_PHOTOS)]), {}
    for style, (name, painting) in enumerate(paintings.items()):
        known = name in base.styles
        starts[name] = same_style(name) if known else closest_start(base, criterion, style, painting, photos)
    return starts


def _trainer(settings: TrainSettings, folder: RunFolder, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Lightning's Trainer with our arguments, then the user's."""
    known = inspect.signature(pl.Trainer).parameters
    for name in settings.trainer:
        if name not in known:
            raise unknown("argument of Lightning's Trainer", name, known)
        if name in RESERVED:
            raise UserError(f"--trainer.{name} follows from {RESERVED[name]}; set that instead")
    arguments = _default_arguments(settings) | settings.trainer | {"max_steps": settings.steps}
    arguments.setdefault("logger", TensorBoardLogger(folder.path, name="", version=""))
    arguments["callbacks"] = callbacks + list(arguments.get("callbacks") or [])
    arguments["plugins"] = _plugins(arguments.get("plugins"))
    try:
        return pl.Trainer(**arguments)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(f"Lightning refuses the --trainer settings: {' '.join(str(error).split())}") from error


def _plugins(given: object) -> list:
    """The user's plugins for the Trainer, and our writer of checkpoints beside them unless they bring one."""
    plugins = list(given) if isinstance(given, list | tuple) else [given] if given else []
    return plugins if any(isinstance(plugin, CheckpointIO) for plugin in plugins) else [*plugins, CheckpointFiles()]


def _default_arguments(settings: TrainSettings) -> dict:
    on_gpu = torch.cuda.is_available() and settings.trainer.get("accelerator") != "cpu"
    return {
        "max_epochs": 1,
        "precision": "bf16-mixed" if on_gpu else "32-true",
        "gradient_clip_val": settings.optimizer.gradient_clip or None,
        "log_every_n_steps": 10,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
    }


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
    loader = _loader(settings, dataset, trainer, saved["global_step"])
    try:
        trainer.fit(module, loader, ckpt_path=path, weights_only=True)
    except PhotosGone as error:
        raise UserError(f"{error}; last checkpoint: {trainer.checkpoint_callback.best_model_path or 'none yet'}") from error
    if saved["global_step"] >= settings.steps:
        module.load_state_dict(saved["state_dict"])  # no step was left; of an average, fit has loaded what it is made of
    trainer.save_checkpoint(folder.last)  # the end need not be a multiple of checkpoint_every


def _callbacks(
    settings: TrainSettings, folder: RunFolder, dataset: Photos | Scenes, signals: StopSignals
) -> list[pl.Callback]:
    every = settings.checkpoint_every or min(1000, max(LOOK_EVERY, settings.steps // 10))
    saver = ModelCheckpoint(
        folder.path,
        "step={step:06d}-loss={train/total:.3f}",
        auto_insert_metric_name=False,
        every_n_train_steps=every,
        save_top_k=-1,
        save_last=True,
        enable_version_counter=False,
    )
    callbacks = [RandomStates(), saver, StopBetweenSteps(signals, folder.last)]
    if settings.trainer.get("logger", True):
        callbacks.append(LearningRateMonitor("step"))
    if settings.trainer.get("enable_progress_bar", True):
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    if isinstance(dataset, Photos):
        callbacks.append(SkippedFiles(dataset, folder.skipped))
    if settings.optimizer.average:
        callbacks.append(EMAWeightAveraging(decay=settings.optimizer.average))
    return [*callbacks, DivergenceGuard(every)]  # after the average, which it may roll back


def _loader(
    settings: TrainSettings, dataset: Photos | Scenes, trainer: pl.Trainer, done: int
) -> torch.utils.data.DataLoader:
    per_step = settings.batch_size * trainer.world_size * trainer.accumulate_grad_batches
    positions = Positions(done * per_step, settings.steps * per_step, trainer.global_rank, trainer.world_size)
    workers = min(8, max(1, (os.cpu_count() or 2) // 2)) if settings.workers is None else settings.workers
    return batches(dataset, positions, settings.batch_size, workers)


def _finish(
    settings: TrainSettings, folder: RunFolder, module: StyleTransferModule, drawer: Previews, record: Record
) -> Run:
    """Final preview, card, README and ONNX model: by the first process alone, on the CPU."""
    if module.global_rank != 0:
        return Run(folder, drawer.folder / "final.png", {})
    module.cpu()
    module.criterion.cpu()
    preview = drawer.draw(module, "final.png")
    card = card_of(settings, folder.name, module.network.config, record, held_out_losses(module, drawer.photos))
    write_text(folder.card, json.dumps(card, indent=2) + "\n")
    write_text(folder.readme, readme_of(card))
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


def _quieten() -> None:
    """Hide Lightning's hints to its developers; its errors and ours stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for category in (UserWarning, DeprecationWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category, module=r"(pytorch_lightning|lightning|torch)\..*")
