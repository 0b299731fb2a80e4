"""The commands: typed functions; jsonargparse makes flags, YAML configs and help from signatures and docstrings.

Only the chosen command's modules are imported: ``fast-nst --help`` and ``fast-nst stylize`` need no torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from fast_nst.errors import UserError
from fast_nst.settings.distill import DistillSettings
from fast_nst.settings.evaluate import EvaluateSettings
from fast_nst.settings.export import ExportSettings
from fast_nst.settings.optimize import OptimizeSettings, ReconstructSettings, SweepSettings
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.settings.train import TrainSettings


def train(settings: TrainSettings) -> None:
    """Train a style: a painting and photographs become a checkpoint, an ONNX model and pictures to look at."""
    from fast_nst.training.run import train as run_training

    run = run_training(settings)
    if not run.card:
        return
    card, losses = run.card, run.card["preview_losses"]
    measured = ", ".join(f"{label} {losses[key]:.2f}" for key, label in SHOWN_LOSSES.items())
    print(f"\ntrained {card['name']} in {card['seconds']:.0f} s at {card['images_per_second']} images/s")
    print(f"  on the preview photographs: {measured}")
    print(f"  preview  {_shown(run.preview)}")
    print(f"  model    {_shown(run.folder.onnx)}")
    print(f"  your own photo:  fast-nst stylize photo.jpg --style {_shown(run.folder.path)} --output out.jpg")
    print(f"  use it by name:  fast-nst styles add {_shown(run.folder.path)}")


def stylize(settings: StylizeSettings) -> None:
    """Stylise photographs, with a style that ships, a blend of several, or a model of your own."""
    from fast_nst.stylize.run import stylize_files

    written = stylize_files(settings)
    if written:
        print(written[0] if len(written) == 1 else f"{len(written)} pictures in {settings.output or 'their folders'}")


def styles(action: list[str], name: str | None = None) -> None:
    """List the styles at hand; `styles add FOLDER` adds a trained one, `styles remove NAME` takes it out.

    Args:
        action: nothing to list, add and a run's folder or .onnx file, or remove and a style's name.
        name: the name that an added style gets (none: the model's).
    """
    from fast_nst.stylize.library import add_style, remove_style

    match action:
        case []:
            print(styles_table())
        case ["add", source]:
            added = add_style(source, name)
            print(f"added {added.name}:  fast-nst stylize photo.jpg --style {added.name} --output out.jpg")
        case ["remove", target]:
            remove_style(target)
            print(f"removed {target}")
        case _:
            raise UserError("fast-nst styles takes nothing, add FOLDER, or remove NAME; see fast-nst styles --help")


def styles_table() -> str:
    """The styles at hand, a line each: name, painting, licence."""
    from fast_nst.stylize.library import find_styles

    rows = []
    for style in find_styles().values():
        painting = ", ".join(filter(None, (style.title, style.painter, style.year)))
        rows.append((style.name, painting or "-", style.licence or ("added by you" if style.added else "-")))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {painting:<{widths[1]}}  {licence}" for name, painting, licence in rows)


def export(settings: ExportSettings) -> None:
    """Write a checkpoint as an ONNX model: picture in, picture out, any size."""
    from fast_nst.export.run import export_model

    report = export_model(settings)
    print(settings.output)
    if report:
        print(report.text())


def engines(style: str = "great_wave", threads: int | None = None) -> None:
    """List the engines that can draw here, with the milliseconds that each takes for a picture (medians).

    Args:
        style: the style or model to draw: a name that `fast-nst styles` lists, a run's folder or an .onnx file.
        threads: processor threads (none: all cores).
    """
    from fast_nst.inference.engine_selection import engines_table, missing_engines
    from fast_nst.stylize.library import find_style

    print(engines_table(find_style(style).model, threads))
    for name, way in missing_engines().items():
        print(f"{name}: {way}")


def benchmark(quick: bool = False, output: str | None = None, threads: int | None = None) -> None:
    """Say what to expect on this machine: pictures, a training and per-image optimisation, timed in a few minutes.

    Args:
        quick: half a minute's worth of rounds.
        output: JSON file to write the figures to as well.
        threads: processor threads (none: all cores).
    """
    from fast_nst.benchmark import FULL, QUICK
    from fast_nst.benchmark import benchmark as run_benchmark

    print(run_benchmark(QUICK if quick else FULL, threads, output).text())


def evaluate(settings: EvaluateSettings) -> None:
    """Measure a model: objective, faithfulness, and the iterations of per-image optimisation that it replaces."""
    from fast_nst.evaluation.run import evaluate as run_evaluation

    evaluation = run_evaluation(settings)
    for name, value in evaluation.mean().items():
        print(f"  {name:<18} {value:g}")
    print(f"{len(evaluation.rows)} photographs; table.csv, summary.json and grid.png in {settings.output}")


def style_check(painting: str, loss_network: str = "lite", loss_weights: str | None = None) -> None:
    """Look at a painting before training: what would make the model ugly, and at which size its strokes lie where.

    Args:
        painting: the picture file.
        loss_network: the network whose layers share out the style.
        loss_weights: its weights in torchvision's keys (none: torchvision's own, downloaded once).
    """
    from fast_nst.imaging.images import open_image
    from fast_nst.networks.loss_network import LossNetwork, architecture_of
    from fast_nst.training.style_check import check_style

    network = LossNetwork(loss_network, architecture_of(loss_network).style_layers, loss_weights)
    print(check_style(open_image(painting), network).text(painting))


def distill(settings: DistillSettings) -> None:
    """Make the slim loss network (lite) from a large one."""
    from fast_nst.training.distillation import distill as run_distillation

    card = run_distillation(settings)
    print(f"{settings.output}: correlation with {settings.teacher} on held-out photographs {card['correlation']}")


def optimize(settings: OptimizeSettings) -> None:
    """Paint one picture by optimising its pixels (Gatys et al. 2016): the best picture, if one can wait."""
    from fast_nst.optimization.run import optimize as run_optimization

    run = run_optimization(settings)
    losses = ", ".join(f"{name} {value:.4g}" for name, value in run.card["losses"].items())
    print(f"{_shown(run.output)}: {run.card['steps']} steps in {run.card['seconds']:.0f} s, {losses}")
    print(f"  run      {_shown(run.folder.path)}")


def reconstruct(settings: ReconstructSettings) -> None:
    """Draw from noise what a layer keeps of a picture (Gatys et al. 2016, Fig. 1)."""
    from fast_nst.optimization.reconstruction import reconstruct as run_reconstruction

    for label, value in run_reconstruction(settings).items():
        print(f"  {label}: objective {value:.4g}")
    print(settings.output)


def sweep(settings: SweepSettings) -> None:
    """Optimise a grid of pictures over any two settings: a labelled contact sheet, and a table of losses and times."""
    from fast_nst.optimization.sweep import sweep as run_sweep

    for path in run_sweep(settings):
        print(_shown(path))


COMMANDS: dict[str, Callable[..., None]] = {
    "stylize": stylize,
    "styles": styles,
    "train": train,
    "style-check": style_check,
    "evaluate": evaluate,
    "optimize": optimize,
    "reconstruct": reconstruct,
    "sweep": sweep,
    "export": export,
    "engines": engines,
    "benchmark": benchmark,
    "distill": distill,
}
SHOWN_LOSSES = {"content": "content", "style": "style", "structure": "structure r"}


def _shown(path: Path) -> str:
    """``path`` from the present folder where it lies below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
