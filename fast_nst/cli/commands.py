"""The commands as typed functions; their flags, configs and help are read from signatures and docstrings.

Only the chosen command's modules are imported: ``fast-nst --help`` and ``fast-nst stylize`` need no torch.
"""

from __future__ import annotations

import json as json_format
import shlex
import sys
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fast_nst.cli.output import quoted, shown
from fast_nst.errors import UserError, printable
from fast_nst.settings.app import AppSettings
from fast_nst.settings.distill import DistillSettings
from fast_nst.settings.evaluate import EvaluateSettings
from fast_nst.settings.export import ExportSettings
from fast_nst.settings.optimize import OptimizeSettings, ReconstructSettings, SweepSettings
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.settings.train import EachSettings

if TYPE_CHECKING:
    from fast_nst.stylize.library import Style


def train(settings: EachSettings) -> None:
    """Train a style: a painting and photographs become a checkpoint, an ONNX model and pictures to look at."""
    settings.check_paths()
    print("loading ...", file=sys.stderr, flush=True)
    if settings.each is not None:
        return train_each(settings)
    from fast_nst.training.run import train as run_training

    run = run_training(settings.one())
    if not run.card:
        return
    card, losses = run.card, run.card["preview_losses"]
    measured = ", ".join(f"{label} {losses[key]:.2f}" for key, label in SHOWN_LOSSES.items())
    rate = f" at {card['images_per_second']} images/s" if card["images_per_second"] else ""
    print(f"\ntrained {card['name']} in {card['seconds']:.0f} s{rate}")
    print(f"  on the preview photographs: {measured}")
    print(f"  preview  {shown(run.picture)}")
    print(f"  model    {shown(run.folder.onnx)}")
    print(f"  your own photo:  fast-nst stylize photo.jpg --style {quoted(run.folder.path)} --output out.jpg")
    print(f"  use it by name:  fast-nst styles add {quoted(run.folder.path)}")


def train_each(settings: EachSettings) -> None:
    """Train a style for each painting of a folder."""
    from fast_nst.cluster.train import train_each as run_trainings

    done = run_trainings(settings)
    print(f"{len(done.rows)} paintings are trained; table {shown(done.table)}, sheet {shown(done.sheet)}")


def stylize(settings: StylizeSettings) -> None:
    """Stylize photographs, with a style that ships, a blend of several, or a model of your own."""
    from fast_nst.stylize.run import planned, stylize_files

    if settings.ray:
        return stylize_data_set(settings)
    if settings.dry_run:
        for job in planned(settings):
            source, target = shown(job.source or "standard input"), shown(job.target or "standard output")
            print(job.problem or f"{source} -> {target}{job.fate(settings.overwrite)}")
        return
    written = stylize_files(settings)
    if written:
        folder = shown(settings.output) if settings.output else "their folders"
        print(shown(written[0]) if len(written) == 1 else f"{len(written)} pictures in {folder}")


def stylize_data_set(settings: StylizeSettings) -> None:
    """Stylize a folder or bucket by workers on a cluster."""
    from fast_nst.cluster.connecting import load_ray

    load_ray()  # before pyarrow, which comes with it
    from fast_nst.cluster.stylize import stylize_data_set as run_data_set

    done = run_data_set(settings)
    print(f"{done.drawn} pictures in {printable(settings.output or '')}, {done.there} were there before")


def styles(action: list[str] | None = None, search: str | None = None, name: str | None = None, json: bool = False) -> None:
    """List the styles at hand; `styles add FOLDER` adds a trained one, `styles remove NAME` removes it.

    Args:
        action: nothing to list, add and a run's folder or .onnx file, or remove and a style's name.
        search: list only styles with these words in name, title, painter or year.
        name: the name that an added style gets (none: the model's).
        json: list as JSON.
    """
    from fast_nst.stylize.library import add_style, damaged_styles, find_styles, remove_style

    match action or []:
        case [] | ["list"]:
            found = matching_styles(find_styles(), search or "")
            print(styles_json(found) if json else styles_table(found))
            for reason in damaged_styles().values():
                print(printable(reason), file=sys.stderr)
        case ["add", source]:
            added = add_style(source, name)
            print(f"added {added.name}:  fast-nst stylize photo.jpg --style {shlex.quote(added.name)} --output out.jpg")
        case ["remove", target]:
            remove_style(target)
            print(f"removed {printable(target)}")
        case _:
            raise UserError("fast-nst styles takes nothing, add FOLDER, or remove NAME; see fast-nst styles --help")


def matching_styles(styles: Mapping[str, Style], words: str) -> dict[str, Style]:
    """The styles that have every one of ``words`` in name, title, painter or year, whatever their case and accents.

    Raises:
        UserError: there is none.
    """
    asked = _plain_letters(words).split()
    texts = {name: _plain_letters(f"{name} {one.title} {one.painter} {one.year}") for name, one in styles.items()}
    found = {name: styles[name] for name, text in texts.items() if all(word in text for word in asked)}
    if not found:
        raise UserError(f"no style has the words {printable(words)}; fast-nst styles lists all {len(styles)}")
    return found


def _plain_letters(text: str) -> str:
    """``text`` in lower case without accents."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def styles_table(styles: Mapping[str, Style]) -> str:
    """A line for each style: name, painting, license."""
    rows = []
    for style in styles.values():
        painting = ", ".join(filter(None, (style.title, style.painter, style.year)))
        rows.append((style.name, painting or "-", style.license or ("added by you" if style.added else "-")))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {painting:<{widths[1]}}  {license}" for name, painting, license in rows)


def styles_json(styles: Mapping[str, Style]) -> str:
    """A list of objects: name, painting, license, model and whether the user added the style."""
    shown_fields = ("name", "title", "painter", "year", "license", "added")
    values = [{key: getattr(style, key) for key in shown_fields} | {"model": str(style.model)} for style in styles.values()]
    return json_format.dumps(values, indent=2)


def export(settings: ExportSettings) -> None:
    """Write a checkpoint as an ONNX model: picture in, picture out, any size."""
    from fast_nst.export.run import export_model

    report = export_model(settings)
    print(shown(settings.output))
    if report:
        print(report.text())


def engines(style: str = "great_wave", threads: int | None = None) -> None:
    """List the engines that can draw here, with the median milliseconds that each takes for a picture.

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
    """Time pictures, a training and per-image optimization on this machine, in a few minutes.

    Args:
        quick: fewer rounds, about half a minute.
        output: JSON file to write the figures to as well.
        threads: processor threads (none: all cores).
    """
    from fast_nst.benchmark import FULL, QUICK
    from fast_nst.benchmark import benchmark as run_benchmark

    print(run_benchmark(QUICK if quick else FULL, threads, output).text())


def evaluate(settings: EvaluateSettings) -> None:
    """Measure a model: objective, structure, and the iterations of per-image optimization that it replaces."""
    from fast_nst.evaluation.run import evaluate as run_evaluation

    evaluation = run_evaluation(settings)
    for name, value in evaluation.mean().items():
        print(f"  {name:<18} {value:g}")
    print(f"{len(evaluation.rows)} photographs; table.csv, summary.json and grid.png in {shown(settings.output)}")


def style_check(painting: str, loss_network: str = "lite", loss_weights: str | None = None) -> None:
    """Check a painting before training: what would spoil the model, and the size of its strokes at each style size.

    Args:
        painting: the picture file.
        loss_network: the network whose layers show the style's share at each scale.
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
    print(f"{shown(settings.output)}: correlation with {settings.teacher} on held-out photographs {card['correlation']}")


def optimize(settings: OptimizeSettings) -> None:
    """Paint one picture by optimizing its pixels (Gatys et al. 2016): the best picture, if one can wait."""
    from fast_nst.optimization.run import optimize as run_optimization

    run = run_optimization(settings)
    losses = ", ".join(f"{name} {value:.4g}" for name, value in run.card["losses"].items())
    print(f"{shown(run.picture)}: {run.card['steps']} steps in {run.card['seconds']:.0f} s, {losses}")
    print(f"  run      {shown(run.folder.path)}")


def reconstruct(settings: ReconstructSettings) -> None:
    """Draw from noise what a layer keeps of a picture (Gatys et al. 2016, Fig. 1)."""
    from fast_nst.optimization.reconstruction import reconstruct as run_reconstruction

    for label, value in run_reconstruction(settings).items():
        print(f"  {label}: objective {value:.4g}")
    print(shown(settings.output))


def sweep(settings: SweepSettings) -> None:
    """Optimize a grid of pictures over any two settings: a labeled contact sheet, and a table of losses and times."""
    from fast_nst.optimization.sweep import sweep as run_sweep

    for path in run_sweep(settings):
        print(shown(path))


def app(settings: AppSettings) -> None:
    """Open the app in the browser: stylize, train, optimize and compare on this machine."""
    from fast_nst.app.run import serve

    serve(settings)


def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a script that completes commands, options and their choices in a shell.

    Args:
        shell: bash, zsh or fish.
    """
    from fast_nst.cli.completion import script

    print(script(shell), end="")


@dataclass(frozen=True)
class Command:
    """A command: its function, and how its command line and its help look.

    Attributes:
        function: takes its settings as one dataclass, or arguments of its own.
        positional: the options that may stand without a flag, in this order.
        first: the options that its help shows first.
        examples: command lines with comments.
        repeats_a_step: whether it takes the same memory again and again.
        resumes: whether it goes on after an interruption with ``--resume``.
    """

    function: Callable[..., None]
    positional: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    repeats_a_step: bool = False
    resumes: bool = False


COMMANDS = {
    "stylize": Command(
        stylize,
        ("inputs",),
        ("style", "output", "strength", "size", "recursive"),
        (
            "fast-nst stylize photo.jpg --style great_wave                    # photo.great_wave.jpg, beside it",
            "fast-nst stylize photo.jpg -s great_wave:0.7,the_scream:0.3 -o out.jpg",
            "fast-nst stylize holiday/ -s checkpoints/mine -o painted --recursive",
            "fast-nst stylize photo.jpg --style all                           # every style, on one sheet",
        ),
    ),
    "styles": Command(
        styles,
        ("action",),
        ("name", "json"),
        (
            "fast-nst styles --search gogh",
            "fast-nst styles add checkpoints/mine --name mine",
            "fast-nst styles remove mine",
        ),
    ),
    "train": Command(
        train,
        ("style", "data"),
        ("base", "name", "steps", "style_size", "resume"),
        (
            "fast-nst train painting.jpg photos/                 # ten minutes, from a network that ships",
            "fast-nst train painting.jpg photos/ --steps 0       # a first draft, in seconds",
            "fast-nst train --config checkpoints/painting/config.yaml --resume",
        ),
        repeats_a_step=True,
        resumes=True,
    ),
    "style-check": Command(style_check, ("painting",), (), ("fast-nst style-check painting.jpg",)),
    "evaluate": Command(
        evaluate,
        ("model",),
        ("style", "data", "output", "count", "size"),
        ("fast-nst evaluate checkpoints/mine --style painting.jpg --data photos/",),
        repeats_a_step=True,
    ),
    "optimize": Command(
        optimize,
        ("content", "style"),
        ("output", "size", "steps", "style_weight", "scales"),
        (
            "fast-nst optimize photo.jpg painting.jpg --output out.png",
            "fast-nst optimize photo.jpg painting.jpg --size 1024 --scales 3 -o out.png",
        ),
        repeats_a_step=True,
        resumes=True,
    ),
    "reconstruct": Command(
        reconstruct,
        ("photo",),
        ("output", "layer", "kind", "size", "steps"),
        ("fast-nst reconstruct photo.jpg --layer relu4_2 --kind content",),
        repeats_a_step=True,
    ),
    "sweep": Command(
        sweep,
        ("content", "style"),
        ("rows", "row_values", "columns", "column_values", "output"),
        ("fast-nst sweep photo.jpg painting.jpg --columns style_weight --column_values '[100, 1000, 10000]'",),
        repeats_a_step=True,
    ),
    "export": Command(
        export,
        ("checkpoint",),
        ("output", "precision", "name", "data"),
        (
            "fast-nst export checkpoints/mine --output mine.onnx",
            "fast-nst export checkpoints/mine -o mine_int8.onnx --precision int8 --data photos/",
        ),
    ),
    "app": Command(
        app,
        (),
        ("host", "port", "tabs", "checkpoints"),
        ("fast-nst app", "fast-nst app --host 0.0.0.0 --tabs [stylize,compare]      # for others in the network"),
        repeats_a_step=True,
    ),
    "engines": Command(engines, ("style",), ("threads",), ("fast-nst engines",)),
    "benchmark": Command(benchmark, (), ("quick", "output"), ("fast-nst benchmark --quick",), repeats_a_step=True),
    "completion": Command(
        completion,
        ("shell",),
        (),
        (
            "fast-nst completion bash        # in ~/.bashrc: source <(fast-nst completion bash)",
            "fast-nst completion fish        # into ~/.config/fish/completions/fast-nst.fish",
        ),
    ),
    "distill": Command(
        distill,
        (),
        ("data", "held_out", "output", "teacher", "steps"),
        ("fast-nst distill --data photos/ --held_out val/ --output lite.safetensors",),
        repeats_a_step=True,
    ),
}
SHOWN_LOSSES = {"content": "content", "style": "style", "structure": "structure r"}
