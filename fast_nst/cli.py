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
from typing import get_type_hints

from jsonargparse import ArgumentParser

import fast_nst
from fast_nst.errors import UserError, unknown
from fast_nst.optimization_settings import OptimizeSettings, ReconstructSettings, SweepSettings
from fast_nst.settings import DistillSettings, TrainSettings


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


def stylize(inputs: list[str], style: str, output: str, size: int | None = None, threads: int | None = None) -> None:
    """Stylise photographs with a trained model.

    Args:
        inputs: photographs, or folders of them.
        style: a run's folder, such as checkpoints/great_wave, or an .onnx file.
        output: the picture to write; for several photographs, a folder.
        size: reduce the longer side to this many pixels first, for speed or for larger strokes (none: as it is).
        threads: processor threads (none: all cores).
    """
    from fast_nst.stylizer import Stylizer, stylize_files

    written = stylize_files(Stylizer(style, threads), inputs, output, size)
    print(written[0] if len(written) == 1 else f"{len(written)} pictures in {output}")


def export(checkpoint: str, output: str, name: str | None = None) -> None:
    """Write a checkpoint as an ONNX model: picture in, picture out, any size.

    Args:
        checkpoint: a run's folder, a .ckpt file, or a .pth or .model file of pytorch/examples fast_neural_style.
        output: the .onnx file to write.
        name: the model's name in its metadata (none: the checkpoint's).
    """
    from fast_nst.export import export_checkpoint

    export_checkpoint(checkpoint, output, name)
    print(output)


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


COMMANDS: dict[str, Callable[..., None]] = {"train": train, "stylize": stylize, "export": export, "distill": distill}
COMMANDS |= {"optimize": optimize, "reconstruct": reconstruct, "sweep": sweep}
SHOWN_LOSSES = {"content": "content", "style": "style", "structure": "structure r"}
POSITIONAL = {"stylize": "inputs", "export": "checkpoint", "reconstruct": "photo"}


class Parser(ArgumentParser):
    """A parser whose errors are one line and end with code 2."""

    def error(self, message: str, ex: Exception | None = None) -> None:
        lines = [line.strip() for line in str(message).splitlines() if line.strip()]
        fail(f"{' '.join(lines)} (see {self.prog} --help)")


def fail(message: str) -> None:
    """Say what is wrong in one line, and end with code 2."""
    print(f"fast-nst: {message}", file=sys.stderr)
    raise SystemExit(2)


def parser_of(command: str) -> Parser:
    """The parser of one command, made from its function."""
    function = COMMANDS[command]
    parser = Parser(prog=f"fast-nst {command}", description=(function.__doc__ or "").splitlines()[0])
    parser.add_argument("--config", action="config", help="YAML file of settings; flags after it win")
    if settings := settings_class(function):
        parser.add_class_arguments(settings, as_group=False, as_positional=command in POSITIONAL)
    else:
        others = set(inspect.signature(function).parameters) - {POSITIONAL[command]}
        parser.add_function_arguments(function, as_group=False, as_positional=True, skip=others)
        parser.add_function_arguments(function, as_group=False, skip={POSITIONAL[command]})
    _adapt(parser)
    return parser


def settings_class(function: Callable[..., None]) -> type | None:
    """The settings that a command takes as a whole, or None for one with arguments of its own."""
    (first, *_) = get_type_hints(function).values()
    return first if is_dataclass(first) else None


def _adapt(parser: Parser) -> None:
    """Let ``--resume`` stand for ``--resume true``, and take a list of positional arguments as the shell gives it."""
    for action in parser._actions:
        kind = getattr(action, "_typehint", None)
        if kind is bool:
            action.nargs, action.const = "?", True
        elif not action.option_strings and kind == list[str]:
            action.nargs, action._typehint, action.metavar = "+", str, action.dest.upper()[:-1]


def usage() -> str:
    """What ``fast-nst --help`` prints."""
    lines = [
        "usage: fast-nst COMMAND ... | --help | --version",
        "",
        "Feed-forward neural style transfer.",
        "",
        "commands:",
    ]
    lines += [f"  {name:<10} {(function.__doc__ or '').splitlines()[0]}" for name, function in COMMANDS.items()]
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
    """Parse ``arguments`` for ``command`` and call it; a UserError becomes one line and exit code 2."""
    try:
        if command not in COMMANDS:
            raise unknown("command", command, COMMANDS)
        parser = parser_of(command)
        values = vars(parser.instantiate_classes(parser.parse_args(arguments)))
        values.pop("config", None)
        settings, function = settings_class(COMMANDS[command]), COMMANDS[command]
        function(settings(**values)) if settings else function(**values)
    except UserError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("stopped; a training goes on from its last checkpoint with --resume")


def _shown(path: Path) -> str:
    """``path`` from the present folder where it lies below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
