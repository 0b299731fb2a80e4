import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from fast_nst.cli import commands, output
from fast_nst.cli.commands import COMMANDS
from fast_nst.cli.main import arguments_for, main, parser_of
from fast_nst.errors import PartlyDone, Stopped, UserError
from fast_nst.settings.train import TrainSettings
from fast_nst.settings.values import described, from_plain, from_text

ROOT = Path(__file__).parents[2]


def values(command: str, *words: str) -> dict:
    return parser_of(command).values(list(words))


def failed(arguments: list[str], capsys) -> tuple[int, str]:
    """The exit code and the one line of a command that fails."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return ended.value.code, error


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option_and_shows_examples(command, capsys):
    main([command, "--help"])
    text = capsys.readouterr().out
    assert text.startswith(f"usage: fast-nst {command}")
    assert not any(word in text for word in ("Union[", "Literal[", "None", "(none:", "(empty:"))
    assert all(len(line) <= 100 for line in text.splitlines())
    for option in parser_of(command).options.values():
        assert option.help, option.name
        assert option.name in text or option.name in COMMANDS[command].positional
    flags = text[: text.index("examples:")]
    assert flags.index("--config") > max(flags.index(f"--{name}") for name in COMMANDS[command].first or ("quiet",))
    assert text.count("  fast-nst ") >= 1


@pytest.mark.parametrize(
    ("command", "line"), [(name, line) for name, command in COMMANDS.items() for line in command.examples]
)
def test_every_example_of_a_help_page_is_understood(command, line, tmp_path, monkeypatch):
    words = shlex.split(line, comments=True)
    if "--config" in words:
        (tmp_path / "config.yaml").write_text("steps: 1")
        words[words.index("--config") + 1] = str(tmp_path / "config.yaml")
    assert words[:2] == ["fast-nst", command]
    arguments_for(parser_of(command), words[2:])


def test_help_fits_a_terminal_of_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for command in COMMANDS:
        main([command, "-h"])
    options = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(("  fast-nst", "usage"))]
    assert max(map(len, (line for line in options if line.startswith(" ")))) <= 80


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (["stylize", "a.jpg", "--style", "monet", "--device", "cuda"], ("provider", "cuda")),
        (["train", "--device=cpu"], ("trainer.accelerator", "cpu")),
        (["optimize", "a.jpg", "b.jpg", "--device", "mps"], ("device", "mps")),
        (["sweep", "--device", "cpu"], ("device", "cpu")),
    ],
)
def test_a_device_is_chosen_by_one_flag_in_every_command(words, setting):
    assert values(*words)[setting[0]] == setting[1]


def test_a_command_that_chooses_no_device_takes_none(capsys):
    assert "there is no --device here" in failed(["export", "a", "--output", "b.onnx", "--device", "cpu"], capsys)[1]


def test_help_lists_the_commands(capsys):
    for arguments in (["--help"], [], ["help"]):
        main(arguments)
        text = capsys.readouterr().out
        assert all(f"  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "did you mean train"),
        (["list"], "did you mean styles"),
        (["train", "--stepz", "3"], "there is no --stepz here; did you mean --steps?"),
        (["train", "--lr", "3"], "did you mean --optimizer.learning_rate?"),
        (["train", "--gpu", "3"], "there is no --gpu here; did you mean --device?"),
        (["train", "--style_weight", "3"], "did you mean --loss.style_weight?"),
        (["train", "--loss.styl_weight", "3"], "there is no --loss.styl_weight here; did you mean --loss.style_weight?"),
        (["train", "--steps", "many"], "steps needs a whole number, got many"),
        (["train", "--steps", "1.5"], "steps needs a whole number, got 1.5"),
        (["train", "--image_size", "12x"], "image_size needs a whole number, got 12x"),
        (["train", "--optimizer.style_ramp", "x"], "optimizer.style_ramp needs a number, got x"),
        (["train", "--loss.style_shares", "[1,b]"], "loss.style_shares needs a list of numbers, as [A, B], got b"),
        (["train", "--finetune", "al"], "finetune needs one of all, norm, strong, got al"),
        (["train", "--resume=maybe"], "resume needs true or false, got maybe"),
        (["train", "--trainer", "5"], "trainer needs settings, each with its name, got 5"),
        (["train", "--steps"], "--steps needs a value, a whole number"),
        (["train", "--steps", "--seed", "1"], "--steps needs a value, a whole number"),
        (["train", "--steps", "-1"], "steps needs to be between 0 and"),
        (["train", "--style", "absent.jpg"], "absent.jpg; check the path"),
        (["train", "--config", "absent.yaml"], "absent.yaml"),
        (["train", "--resume", "--overwrite"], "give one of them"),
        (["stylize", "a.jpg", "--output", "b.jpg"], "--style is missing: a name that"),
        (["stylize", "a.jpg", "--style", "absent", "--output", "b.jpg"], "unknown style 'absent'"),
        (["stylize", "a.jpg", "-s", "great_wave", "-x"], "there is no -x here"),
        (["stylize", "--style", "great_wave"], "no pictures named"),
        (["export", "absent", "--output", "b.onnx"], "no checkpoint at absent"),
        (["export", "great_wave", "--output", "b.onnx"], "great_wave is a style, which ships in the ONNX model"),
        (["export"], "CHECKPOINT is missing: a run's folder"),
        (["export", "a", "b", "--output", "b.onnx"], "there is no place for 'b' here"),
        (["stylize", "\x1b[2J\nforged", "--style", "great_wave"], "?[2J forged"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, error = failed(arguments, capsys)
    assert code == 2 and message in error
    assert list(tmp_path.iterdir()) == []


def test_a_file_instead_of_a_command_is_told_the_command(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my photo.jpg").touch()
    assert "did you mean fast-nst stylize 'my photo.jpg' --style" in failed(["my photo.jpg"], capsys)[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 3", "there is no setting stepz; did you mean steps?"),
        ("loss:\n  stylew: 3", "there is no setting loss.stylew; did you mean loss.style_weight?"),
        ("optimizer:\n  muon: 5.5", "optimizer.muon needs true or false, got 5.5"),
        ("name: 2024", "name needs text, got 2024; put it in quotes"),
        ("steps: [1]", "steps needs a whole number, got [1]"),
        ("style: {a: b}", "style needs text or a list of texts, as [A, B], got {'a': 'b'}"),
    ],
)
def test_a_mistake_in_a_config_is_told_as_one_in_a_flag(text, message, capsys, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    code, error = failed(["train", "--config", str(tmp_path / "c.yaml")], capsys)
    assert code == 2 and message in error


NAMES = [
    "#1.jpg",
    "*a",
    "&b",
    "!c",
    "null",
    "~",
    "1e3",
    "on",
    "[a",
    "- x",
    "{a",
    "a: b",
    "'",
    "12",
    "%d",
    "true.jpg",
    "@x",
    "`",
]


@pytest.mark.parametrize("name", NAMES)
def test_paths_and_names_are_plain_text_whatever_they_begin_with(name):
    """The kind: every option that is text, of every command, as a flag and as a positional word."""
    for command, one in COMMANDS.items():
        for option in parser_of(command).options.values():
            if option.kind in (str, str | None, str | list[str] | None, str | list[str]):
                assert from_text(option.name, option.kind, name) == name, option.name
            elif option.kind == list[str]:
                assert from_text(option.name, option.kind, name) == [name], option.name
        if one.positional and name != "- x" and command != "completion":  # which takes one of three words
            found = parser_of(command)._positional([name], {})
            assert found[one.positional[0]] in (name, [name])


def test_a_list_is_written_in_brackets_or_flag_by_flag():
    assert values("train", "--style", "[a.jpg, 1, null]") == {"style": ["a.jpg", "1", "null"]}
    assert values("train", "--style", "[a.jpg, 'b, c.jpg']") == {"style": ["a.jpg", "b, c.jpg"]}
    assert values("train", "--data", "a", "--data", "b") == {"data": ["a", "b"]}
    assert values("optimize", "--masks", "[null, a.png]") == {"masks": [None, "a.png"]}
    assert values("sweep", "--row_values", "[1, max, [a, b]]") == {"row_values": [1, "max", ["a", "b"]]}
    assert values("train", "--loss.style_shares", "[1, 2.5]") == {"loss.style_shares": [1.0, 2.5]}


def test_words_without_a_flag_fill_the_options_of_a_command():
    assert values("train", "painting.jpg", "photos") == {"style": "painting.jpg", "data": "photos"}
    assert values("train", "painting.jpg", "photos", "more") == {"style": "painting.jpg", "data": ["photos", "more"]}
    assert values("train", "photos", "--style", "painting.jpg") == {"style": "painting.jpg", "data": "photos"}
    assert values("optimize", "photo.jpg", "painting.jpg") == {"content": "photo.jpg", "style": "painting.jpg"}
    assert values("stylize", "-", "[a].jpg", "-s", "x", "--", "--b.jpg")["inputs"] == ["-", "[a].jpg", "--b.jpg"]
    assert values("stylize", "a", "--overwrite", "b", "-s", "x")["inputs"] == ["a", "b"]


def test_hyphens_and_underscores_and_short_flags_are_one():
    long = values("stylize", "a", "--style", "x", "--output", "y", "--preserve_color", "--stroke_size", "2")
    assert values("stylize", "a", "-s", "x", "-o", "y", "--preserve-color", "--stroke-size=2") == long
    assert parser_of("style_check").name == "style-check"
    assert values("train", "--from", "base", "-d", "photos") == {"base": "base", "data": "photos"}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int | None, "null", None),
        (float | None, "1e-3", 1e-3),
        (int, "1e3", 1000),
        (bool, "Off", False),
        (str | None, "null", "null"),
    ],
)
def test_a_text_becomes_a_value_of_the_declared_type(kind, text, value):
    assert from_text("x", kind, text) == value


def test_numbers_that_yaml_takes_for_text_are_numbers():
    assert from_plain("x", float, yaml.safe_load("1e-3")) == 1e-3
    with pytest.raises(UserError, match="x is a number beyond all bounds"):
        from_plain("x", float, 10**400)


def test_every_declared_type_has_a_name():
    for command in COMMANDS:
        for option in parser_of(command).options.values():
            assert described(option.kind) != "a value", option.name


def test_the_printed_config_is_a_config(capsys, tmp_path):
    main(["train", "--steps", "7", "--loss.normalize", "false", "--trainer.accelerator", "gpu", "--print_config"])
    (tmp_path / "c.yaml").write_text(capsys.readouterr().out)
    words = ["--steps", "8", "--config", str(tmp_path / "c.yaml")]
    settings = arguments_for(parser_of("train"), words)["settings"]
    assert settings.steps == 8  # a flag wins, wherever it stands
    assert settings.loss.normalize is False
    assert settings.trainer == {"accelerator": "gpu"}


def test_settings_and_their_help_need_no_docstrings():
    """-OO drops docstrings and asserts."""
    code = "import fast_nst.cli.main as m; m.main(['train', '--help']); m.main(['styles'])"
    plain, stripped = (
        subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
        for flags in ([], ["-OO"])
    )
    assert stripped.stdout == plain.stdout and "great_wave" in plain.stdout


def test_a_bare_flag_means_true():
    assert values("train", "--resume", "--steps", "3") == {"resume": True, "steps": 3}
    assert values("train", "--resume", "false") == {"resume": False}


def test_trainer_flags_pass_through():
    flags = ["--trainer.accelerator", "gpu", "--trainer.devices", "8", "--trainer.strategy", "ddp", "--trainer.num_nodes=2"]
    trainer = arguments_for(parser_of("train"), flags)["settings"].trainer
    assert trainer == {"accelerator": "gpu", "devices": 8, "strategy": "ddp", "num_nodes": 2}
    assert arguments_for(parser_of("train"), ["--trainer", "{devices: 8}"])["settings"].trainer == {"devices": 8}


# ---- what is printed, and where it goes


def test_quiet_prints_nothing_but_errors(capsys):
    main(["styles", "--quiet"])
    assert capsys.readouterr() == ("", "")
    assert "unknown style" in failed(["stylize", "a.jpg", "-s", "absent", "-q"], capsys)[1]


def test_a_list_of_failures_is_complete(capsys, monkeypatch):
    lines = [f"  photograph number {number} failed" for number in range(500)]

    def partly(settings):
        raise PartlyDone("\n".join(["500 of 500 pictures failed", *lines]))

    monkeypatch.setattr("fast_nst.stylize.run.stylize_files", partly)
    with pytest.raises(SystemExit) as ended:
        main(["stylize", "a.jpg", "-s", "great_wave"])
    assert ended.value.code == 1 and capsys.readouterr().err.splitlines()[1:] == lines


def test_a_path_is_printed_in_one_visible_line_and_quoted_in_commands(monkeypatch):
    assert output.shown("a\x1b[2J\nb\udcff.jpg") == "a?[2J?b?.jpg"
    assert output.quoted("my run") == "'my run'"
    monkeypatch.setattr(os.path, "relpath", lambda path: (_ for _ in ()).throw(ValueError("other drives")))
    assert output.shown("D:/run") == "D:/run"


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp932"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_narrow_encoding_of_the_terminal_is_no_error(environment, tmp_path):
    command = [sys.executable, "-m", "fast_nst", "stylize", "h\u00fctte \u2603.jpg", "--style", "great_wave"]
    for words in (["styles"], command[3:]):
        result = subprocess.run([*command[:3], *words], env=os.environ | environment, capture_output=True, cwd=tmp_path)
        assert b"Traceback" not in result.stderr and result.returncode == (0 if words == ["styles"] else 2)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{} styles | true; exit ${{PIPESTATUS[0]}}", {0, 141}),
        ("{} train --help | true; exit ${{PIPESTATUS[0]}}", {0, 141}),
        ("{} styles >&-", {0, 120}),
        ("{} stylize - -s great_wave <&- > out.jpg", {2}),
        ("{} stylize - -s great_wave < /dev/null > out.jpg", {2}),
        ("{} styles > /dev/full", {2}),
    ],
)
def test_streams_that_are_closed_or_full_give_no_traceback(line, code, tmp_path):
    result = subprocess.run(
        ["bash", "-c", line.format(f"{sys.executable} -m fast_nst")], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode in code, result
    assert "Traceback" not in result.stderr and "Exception ignored" not in result.stderr


def test_what_the_system_refuses_is_one_line(capsys, monkeypatch):
    def refused(settings):
        raise PermissionError(13, "Permission denied", "/nowhere")

    monkeypatch.setattr("fast_nst.stylize.run.stylize_files", refused)
    code, error = failed(["stylize", "a.jpg", "-s", "great_wave"], capsys)
    assert code == 2 and "the system refuses /nowhere: Permission denied" in error


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [(KeyboardInterrupt(), 130, "with --resume"), (Stopped(15, "stopped; go on"), 143, "stopped; go on")],
)
def test_a_signal_is_one_line_and_its_exit_code(error, code, text, capsys, monkeypatch):
    def stopped(settings):
        raise error

    monkeypatch.setitem(COMMANDS, "train", commands.Command(stopped_train(stopped), resumes=True))
    found, line = failed(["train"], capsys)
    assert found == code and text in line


def stopped_train(stopped):
    def train(settings: TrainSettings) -> None:
        stopped(settings)

    return train


def test_styles_are_listed_as_json(capsys):
    main(["styles", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {"name", "title", "painter", "year", "license", "added", "model"} == set(found[0])
    assert "great_wave" in [style["name"] for style in found]


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_parses(config):
    command = "distill" if config.stem.startswith("distill") else "train"
    extra = ["--data", "[x]", "--held_out", "y", "--output", "z.safetensors"] if command == "distill" else []
    settings = arguments_for(parser_of(command), ["--config", str(config), *extra])["settings"]
    assert (settings.steps or settings.minutes) > 0


@pytest.mark.parametrize("script", ["train", "stylize", "export"])
def test_the_scripts_at_the_top_are_the_same_commands(script):
    result = subprocess.run([sys.executable, f"{script}.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.startswith(f"usage: fast-nst {script}")


def test_help_needs_no_torch():
    heavy = "{'torch', 'lightning', 'PIL', 'numpy'}"
    code = f"import sys; from fast_nst.cli.main import main; main(['--help']); assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(("rate", "told"), [(None, "trained mine in 3 s\n"), (2.5, "trained mine in 3 s at 2.5 images/s\n")])
def test_a_training_tells_its_rate_if_it_has_one(rate, told, capsys, monkeypatch, tmp_path):
    losses = {"content": 1.0, "style": 2.0, "structure": 0.5}
    card = {"name": "mine", "seconds": 3.0, "images_per_second": rate, "preview_losses": losses}
    run = SimpleNamespace(card=card, picture=tmp_path, folder=SimpleNamespace(onnx=tmp_path, path=tmp_path))
    monkeypatch.setitem(sys.modules, "fast_nst.training.run", SimpleNamespace(train=lambda settings: run))
    commands.train(**arguments_for(parser_of("train"), []))
    assert told in capsys.readouterr().out
