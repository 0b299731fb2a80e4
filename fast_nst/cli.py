"""The commands: typed functions; jsonargparse makes flags, YAML configs and help from signatures and docstrings.

Only the chosen command's modules are imported: ``fast-nst --help`` and ``fast-nst stylize`` need no torch.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace

import fast_nst
from fast_nst.config_files import check_config, check_trainer
from fast_nst.errors import PartlyDone, Stopped, UserError, printable, unknown
from fast_nst.export_settings import ExportSettings
from fast_nst.memory import keep_freed_memory
from fast_nst.optimization_settings import OptimizeSettings, ReconstructSettings, SweepSettings
from fast_nst.parser_messages import plain
from fast_nst.settings import DistillSettings, EvaluateSettings, TrainSettings
from fast_nst.stylize_settings import StylizeSettings


def train(settings: TrainSettings) -> None:
    """Train a style: a painting and photographs become a checkpoint, an ONNX model and pictures to look at."""
    from fast_nst.runs import train as run_training

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
    from fast_nst.batch import stylize_files

    written = stylize_files(settings)
    if written:
        print(written[0] if len(written) == 1 else f"{len(written)} pictures in {settings.output or 'their folders'}")


def styles(action: list[str], name: str | None = None) -> None:
    """List the styles at hand; `styles add FOLDER` adds a trained one, `styles remove NAME` takes it out.

    Args:
        action: nothing to list, add and a run's folder or .onnx file, or remove and a style's name.
        name: the name that an added style gets (none: the model's).
    """
    from fast_nst.styles import add_style, remove_style

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
    from fast_nst.styles import find_styles

    rows = []
    for style in find_styles().values():
        painting = ", ".join(filter(None, (style.title, style.painter, style.year)))
        rows.append((style.name, painting or "-", style.licence or ("added by you" if style.added else "-")))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {painting:<{widths[1]}}  {licence}" for name, painting, licence in rows)


def export(settings: ExportSettings) -> None:
    """Write a checkpoint as an ONNX model: picture in, picture out, any size."""
    from fast_nst.precision import export_model

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
    from fast_nst.engines import engines_table, missing_engines
    from fast_nst.styles import find_style

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
    from fast_nst.evaluation import evaluate as run_evaluation

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
    from fast_nst.images import open_image
    from fast_nst.networks.loss_network import LossNetwork, architecture_of
    from fast_nst.style_check import check_style

    network = LossNetwork(loss_network, architecture_of(loss_network).style_layers, loss_weights)
    print(check_style(open_image(painting), network).text(painting))


def distill(settings: DistillSettings) -> None:
    """Make the slim loss network (lite) from a large one."""
    from fast_nst.distillation import distill as run_distillation

    card = run_distillation(settings)
    print(f"{settings.output}: correlation with {settings.teacher} on held-out photographs {card['correlation']}")


def optimize(settings: OptimizeSettings) -> None:
    """Paint one picture by optimising its pixels (Gatys et al. 2016): the best picture, if one can wait."""
    from fast_nst.optimization import optimize as run_optimization

    run = run_optimization(settings)
    losses = ", ".join(f"{name} {value:.4g}" for name, value in run.card["losses"].items())
    print(f"{_shown(run.output)}: {run.card['steps']} steps in {run.card['seconds']:.0f} s, {losses}")
    print(f"  run      {_shown(run.folder.path)}")


def reconstruct(settings: ReconstructSettings) -> None:
    """Draw from noise what a layer keeps of a picture (Gatys et al. 2016, Fig. 1)."""
    from fast_nst.reconstruction import reconstruct as run_reconstruction

    for label, value in run_reconstruction(settings).items():
        print(f"  {label}: objective {value:.4g}")
    print(settings.output)


def sweep(settings: SweepSettings) -> None:
    """Optimise a grid of pictures over any two settings: a labelled contact sheet, and a table of losses and times."""
    from fast_nst.sweep import sweep as run_sweep

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
POSITIONAL = {
    "stylize": "inputs",
    "styles": "action",
    "export": "checkpoint",
    "style-check": "painting",
    "evaluate": "model",
    "reconstruct": "photo",
}
IN_STEPS = ("train", "optimize", "reconstruct", "sweep", "evaluate", "distill", "benchmark")  # each as large as the last
MAY_BE_EMPTY = {"action", "inputs"}
STOPPED = dict.fromkeys(("train", "optimize"), "stopped; it goes on from its last checkpoint with --resume")
ALIASES = {"--base": "--from"}


class Parser(ArgumentParser):
    """A parser whose errors are one line and end with code 2."""

    def error(self, message: str, ex: Exception | None = None) -> None:
        lines = [line.strip() for line in plain(str(message), self._actions).splitlines() if line.strip()]
        fail(f"{' '.join(lines)} (see {self.prog} --help)")


class ConfigFile(ActionConfigFile):
    """``--config FILE``, where the file is looked through before it is parsed."""

    def __call__(self, parser: Parser, namespace: Namespace, value: str, option_string: str | None = None) -> None:
        groups = {action.dest.partition(".")[0] for action in parser._actions if "." in action.dest}
        try:
            check_config(value, groups)
        except UserError as error:
            parser.error(str(error))
        super().__call__(parser, namespace, os.path.abspath(value), option_string)


def fail(message: str, code: int = 2) -> None:
    """Say what is wrong in one line, and end with ``code``; only a list of failures has more lines."""
    text = message if code == PartlyDone.code else " ".join(message.splitlines())
    print(f"fast-nst: {printable(text)}", file=sys.stderr)
    raise SystemExit(code)


def parser_of(command: str) -> Parser:
    """The parser of one command, made from its function."""
    function = COMMANDS[command]
    parser = Parser(prog=f"fast-nst {command}", description=(function.__doc__ or "").splitlines()[0])
    parser.add_argument("--config", action=ConfigFile, help="YAML file of settings; flags after it win")
    settings = settings_class(function)
    add, source = (parser.add_class_arguments, settings) if settings else (parser.add_function_arguments, function)
    if positional := POSITIONAL.get(command):
        add(source, as_group=False, as_positional=True, skip=set(inspect.signature(source).parameters) - {positional})
        add(source, as_group=False, skip={positional})
    else:
        add(source, as_group=False)
    _adapt(parser)
    return parser


def settings_class(function: Callable[..., None]) -> type | None:
    """The settings that a command takes as a whole, or None for one with arguments of its own."""
    (first, *_) = get_type_hints(function).values()
    return first if is_dataclass(first) else None


def _adapt(parser: Parser) -> None:
    """Let ``--resume`` stand for ``--resume true``, and take a list of positional arguments as the shell gives it."""
    for name, alias in ALIASES.items():
        if (action := parser._option_string_actions.get(name)) is not None:
            action.option_strings.insert(0, alias)
            parser._option_string_actions[alias] = action
    for action in parser._actions:
        kind = getattr(action, "_typehint", None)
        if kind is bool:
            action.nargs, action.const = "?", True
        elif not action.option_strings and kind == list[str]:
            many = "*" if action.dest in MAY_BE_EMPTY else "+"
            action.nargs, action._typehint, action.metavar = many, str, action.dest.upper().removesuffix("S")


def usage() -> str:
    """What ``fast-nst --help`` prints."""
    lines = [
        "usage: fast-nst COMMAND ... | --help | --version",
        "",
        "Feed-forward neural style transfer.",
        "",
        "commands:",
    ]
    lines += [f"  {name:<12} {(function.__doc__ or '').splitlines()[0]}" for name, function in COMMANDS.items()]
    return "\n".join([*lines, "", "fast-nst COMMAND --help says more."])


def main(arguments: list[str] | None = None) -> None:
    """Run ``fast-nst`` with ``arguments`` (default: the command line's)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
    elif arguments[0] == "--version":
        print(f"fast_nst {fast_nst.__version__}")
    else:
        run(arguments[0], arguments[1:])


def run(command: str, arguments: list[str]) -> None:
    """Parse ``arguments`` for ``command`` and call it; a UserError is one line and exit code 2, a signal 128 and more."""
    try:
        if command not in COMMANDS:
            raise unknown("command", command, COMMANDS)
        values = _parsed(command, arguments)
        if command in IN_STEPS and not values.get("low_memory"):
            keep_freed_memory()
        settings, function = settings_class(COMMANDS[command]), COMMANDS[command]
        function(settings(**values)) if settings else function(**values)
    except UserError as error:
        fail(str(error), error.code)
    except Stopped as stopped:
        fail(str(stopped), stopped.code)
    except KeyboardInterrupt:
        fail(STOPPED.get(command, "stopped"), 130)


def _parsed(command: str, arguments: list[str]) -> dict[str, Any]:
    """The values of a command's flags and config."""
    parser = parser_of(command)
    try:
        values = vars(parser.instantiate_classes(parser.parse_args(arguments)))
    except (OverflowError, RecursionError) as error:
        raise UserError(f"a setting is a number or a list beyond all bounds ({error}); see {parser.prog} --help") from error
    values.pop("config", None)
    check_trainer(values.get("trainer") or {})
    return values


def _shown(path: Path) -> str:
    """``path`` from the present folder where it lies below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
