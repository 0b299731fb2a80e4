import subprocess
import sys
from pathlib import Path

import pytest

from fast_nst.cli.commands import COMMANDS
from fast_nst.cli.main import main, parser_of
from fast_nst.cli.parser import described, plain

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_flag(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert text.startswith(f"usage: fast-nst {command}")
    for action in parser_of(command)._actions:
        assert action.help, action.dest


def test_help_lists_the_commands(capsys):
    for arguments in (["--help"], []):
        main(arguments)
        text = capsys.readouterr().out
        assert all(f"  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "did you mean train"),
        (["train", "--stepz", "3"], "there is no --stepz here; did you mean --steps?"),
        (["train", "--loss.styl_weight", "3"], "there is no --loss.styl_weight here; did you mean --loss.style_weight?"),
        (["train", "--steps", "many"], "steps needs a whole number, got many"),
        (["train", "--image_size", "12x"], "image_size needs a whole number, got 12x"),
        (["train", "--optimizer.style_ramp", "x"], "optimizer.style_ramp needs a number, got x"),
        (["train", "--loss.style_shares", "[1,b]"], "loss.style_shares needs a list of numbers, as [A, B], got b"),
        (["train", "--finetune", "al"], "finetune needs one of all, norm, strong, got al"),
        (["train", "--resume", "maybe"], "resume needs true or false, got maybe"),
        (["train", "--trainer", "5"], "trainer needs settings, each with its name, got 5"),
        (["train", "--steps", "-1"], "steps needs to be between 1 and"),
        (["train", "--style", "absent.jpg"], "absent.jpg; check the path"),
        (["train", "--config", "absent.yaml"], "absent.yaml"),
        (["train", "--resume", "--overwrite"], "give one of them"),
        (["stylize", "a.jpg", "--output", "b.jpg"], "style"),
        (["stylize", "a.jpg", "--style", "absent", "--output", "b.jpg"], "unknown style 'absent'"),
        (["export", "absent", "--output", "b.onnx"], "no checkpoint at absent"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.count("\n") == 1 and message in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 3", "there is no setting stepz; did you mean steps?"),
        ("loss:\n  stylew: 3", "there is no setting loss.stylew; did you mean loss.style_weight?"),
        ("optimizer:\n  muon: 5.5", "optimizer.muon needs true or false, got 5.5"),
    ],
)
def test_a_mistake_in_a_config_is_told_as_one_in_a_flag(text, message, capsys, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["train", "--config", str(tmp_path / "c.yaml")])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.count("\n") == 1 and message in error


def test_a_message_of_another_kind_stays_as_it_is():
    actions = parser_of("train")._actions
    assert plain("the following arguments are required: model", actions) == "the following arguments are required: model"
    assert described(list) is None


def test_the_printed_config_is_a_config(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["train", "--steps", "7", "--loss.normalize", "false", "--trainer.accelerator", "gpu", "--print_config"])
    (tmp_path / "c.yaml").write_text(capsys.readouterr().out)
    settings = parser_of("train").parse_args(["--config", str(tmp_path / "c.yaml"), "--steps", "8"])
    assert settings.steps == 8
    assert settings.loss.normalize is False
    assert settings.trainer == {"accelerator": "gpu"}


def test_a_bare_flag_means_true():
    assert parser_of("train").parse_args(["--resume", "--steps", "3"]).resume is True
    assert parser_of("train").parse_args(["--resume", "false"]).resume is False


def test_trainer_flags_pass_through():
    flags = [
        "--trainer.accelerator",
        "gpu",
        "--trainer.devices",
        "8",
        "--trainer.strategy",
        "ddp",
        "--trainer.num_nodes",
        "2",
    ]
    trainer = parser_of("train").parse_args(flags).trainer
    assert trainer == {"accelerator": "gpu", "devices": 8, "strategy": "ddp", "num_nodes": 2}


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_parses(config):
    command = "distill" if config.stem.startswith("distill") else "train"
    extra = ["--data", "[x]", "--held_out", "y", "--output", "z.safetensors"] if command == "distill" else []
    parser = parser_of(command)
    assert parser.instantiate_classes(parser.parse_args(["--config", str(config), *extra])).steps > 0


@pytest.mark.parametrize("script", ["train", "stylize", "export"])
def test_the_scripts_at_the_top_are_the_same_commands(script):
    result = subprocess.run([sys.executable, f"{script}.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.startswith(f"usage: fast-nst {script}")


def test_help_needs_no_torch():
    heavy = "{'torch', 'lightning', 'PIL', 'numpy'}"
    code = f"import sys; from fast_nst.cli.main import main; main(['--help']); assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
