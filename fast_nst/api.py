"""The package from Python: what the commands do, with their settings as keyword arguments.

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fast_nst.evaluation.run import Evaluation
    from fast_nst.export.run import Report
    from fast_nst.networks.styled_network import StyledNetwork
    from fast_nst.runs.folder import Run
    from fast_nst.stylize.library import Style


def list_styles() -> dict[str, Style]:
    """The styles at hand, by name: those that ship and those that were added."""
    from fast_nst.stylize.library import find_styles

    return find_styles()


def train(**settings: Any) -> Run:
    """Train a style: ``train(style="painting.jpg", data="photos")``.

    Args:
        settings: those of ``fast-nst train``, see ``TrainSettings``.
    Raises:
        UserError: anything wrong with the settings, the pictures, the weights or the folder, or a full disk.
    """
    from fast_nst.settings.train import TrainSettings
    from fast_nst.training.run import train as run

    return run(_settings(TrainSettings, settings))


def optimize(**settings: Any) -> Run:
    """Paint one picture by optimizing its pixels: ``optimize(content="photo.jpg", style="painting.jpg")``.

    Args:
        settings: those of ``fast-nst optimize``, see ``OptimizeSettings``.
    Raises:
        UserError: as ``train``.
    """
    from fast_nst.optimization.run import optimize as run
    from fast_nst.settings.optimize import OptimizeSettings

    return run(_settings(OptimizeSettings, settings))


def export_model(**settings: Any) -> Report | None:
    """Write a checkpoint as an ONNX model: ``export_model(checkpoint="checkpoints/mine", output="mine.onnx")``.

    Args:
        settings: those of ``fast-nst export``, see ``ExportSettings``.
    Returns:
        what the model is, next to float32.
    Raises:
        UserError: no such checkpoint, or a model that cannot be written or draws something else.
    """
    from fast_nst.export.run import export_model as run
    from fast_nst.settings.export import ExportSettings

    return run(_settings(ExportSettings, settings))


def evaluate(**settings: Any) -> Evaluation:
    """Measure a model: ``evaluate(model="checkpoints/mine", style="painting.jpg", data="photos")``.

    Args:
        settings: those of ``fast-nst evaluate``, see ``EvaluateSettings``.
    Raises:
        UserError: anything wrong with the settings, the model, the pictures or the weights.
    """
    from fast_nst.evaluation.run import evaluate as run
    from fast_nst.settings.evaluate import EvaluateSettings

    return run(_settings(EvaluateSettings, settings))


def load(source: str | Path, style: str | None = None, strength: float = 1.0) -> StyledNetwork:
    """A network as a module for tensors (B, 3, H, W) in [0, 1]: ``load("great_wave", strength=0.8)(images)``.

    Args:
        source: a style that ships, ``base``, a run's folder, or a file of weights.
        style: one of the network's styles (none: ``source`` itself, or the network's last one).
        strength: 0 is the photograph, 1 the style, up to 1.5 exaggerates it.
    Raises:
        UserError: no such network or style, or a strength out of range.
    """
    from fast_nst.networks.styled_network import StyledNetwork
    from fast_nst.networks.weights import load_network
    from fast_nst.stylize.library import shipped_styles

    shipped = str(source) in shipped_styles()
    return StyledNetwork(load_network("base" if shipped else source), style or (str(source) if shipped else None), strength)


def _settings(kind: type, values: dict[str, Any]) -> Any:
    """Settings of ``kind``; groups may be given as mappings."""
    from dataclasses import fields

    from fast_nst.errors import unknown

    names = [field.name for field in fields(kind)]
    for name in values:
        if name not in names:
            raise unknown("setting", name, names)
    return kind(**values)
