"""Complete settings of a run: its name, absolute paths, and defaults that depend on other settings."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fast_nst.errors import UserError, escape_name
from fast_nst.settings.export import SHIPPED_NETWORKS
from fast_nst.settings.optimize import STARTS, OptimizeSettings
from fast_nst.settings.train import SCRATCH, TrainSettings

STEPS, MINUTES_FROM_BASE, STYLE_RAMP = 4000, 10.0, 0.3
DRAWN_STYLE, SEVERAL_STYLES = "stained_glass", "base"


def resolved(settings: TrainSettings) -> TrainSettings:
    """``settings`` with the name filled in and paths absolute, so that the config works from any folder."""
    values = dict(vars(settings))
    values["name"] = settings.name or _name_of(settings.style)
    if settings.steps is None and settings.minutes is None:
        values["steps"], values["minutes"] = (None, MINUTES_FROM_BASE) if settings.start else (STEPS, None)
    ramp = settings.optimizer.style_ramp
    default_ramp = 0.0 if settings.start else STYLE_RAMP
    values["optimizer"] = replace(settings.optimizer, style_ramp=default_ramp if ramp is None else ramp)
    values["base"] = settings.start or SCRATCH
    if values["base"] not in (*SHIPPED_NETWORKS, SCRATCH):
        values["base"] = _absolute(settings.base)
    for key in ("loss_weights", "checkpoints"):
        values[key] = _absolute(values[key])
    if isinstance(settings.style, list):
        values["style"] = [_absolute(path) for path in settings.style]
    else:
        values["style"] = _absolute(settings.style)
    values["preview_photos"] = [_absolute(path) for path in settings.preview_photos]
    if settings.data is not None:
        values["data"] = [_absolute(folder) for folder in listed(settings.data)]
    return TrainSettings(**values)


def _name_of(style: str | list[str] | None) -> str:
    if style is None:
        return DRAWN_STYLE
    return SEVERAL_STYLES if isinstance(style, list) else Path(style).stem


def plain(settings: TrainSettings) -> dict:
    """``settings`` as nested values that YAML can hold; objects given to the Trainer from Python are left out."""
    trainer = {key: value for key, value in settings.trainer.items() if _is_plain(value)}
    return asdict(replace(settings, trainer=trainer))


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def _absolute(path: str | None) -> str | None:
    try:
        return None if path is None else str(Path(path).expanduser().resolve())
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, an unknown user, a link to itself
        raise UserError(f"{escape_name(path)} is no path ({error}); check it") from error


def listed(paths: str | list[str]) -> list[str]:
    """One or several paths as a list."""
    return [paths] if isinstance(paths, str) else list(paths)


def resolved_optimization(settings: OptimizeSettings) -> OptimizeSettings:
    """``settings`` with the name filled in and paths absolute, so that the config works from any folder."""
    stems = [Path(path).stem for path in (settings.content, *settings.styles) if path]
    values: dict[str, Any] = {"name": settings.name or "_".join(stems)[:80]}
    for key in ("content", "output", "loss_weights", "checkpoints", "video"):
        values[key] = _absolute(getattr(settings, key))
    paths = [_absolute(path) for path in settings.styles]
    values["style"] = paths[0] if isinstance(settings.style, str) else paths or None
    values["masks"] = [_absolute(path) for path in settings.masks]
    values["start"] = settings.start if settings.start in STARTS else _absolute(settings.start)
    return replace(settings, **values)
