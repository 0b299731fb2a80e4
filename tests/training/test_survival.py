"""Trainings that are killed, stopped, or run out of room, as real processes."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fast_nst.networks.tensor_files import read_checkpoint
from fast_nst.stylize.stylizer import Stylizer
from fast_nst.system.files import is_unfinished

NO_DISK = 77


@dataclass
class Forks:
    """Starts real processes of ``fast-nst`` one after the other, without importing torch again."""

    folder: Path
    process: subprocess.Popen = field(init=False)

    def __post_init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
        command = [sys.executable, str(Path(__file__).parent / "fork_server.py")]
        self.log = self.folder / "log.txt"
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def start(self, *arguments: str, **request: object) -> int:
        """The id of a process that runs ``fast-nst`` with ``arguments``."""
        request |= {"arguments": arguments, "log": str(self.log)}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> int:
        """Wait for the process: its exit code, or minus the signal that ended it."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def run(self, *arguments: str, **request: object) -> int:
        self.start(*arguments, **request)
        return self.end()


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    server = Forks(tmp_path_factory.mktemp("forks"))
    yield server
    server.process.stdin.close()
    server.process.wait(60)


@pytest.fixture(scope="module")
def config(tiny_settings: dict, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """The arguments of a training of the smallest network, 12 steps, in a folder of its own."""
    root = tmp_path_factory.mktemp("survival")

    def arguments(run: str, **changes: object) -> list[str]:
        settings = {**tiny_settings, "steps": 12, "checkpoint_every": 2, "preview_every": 3, "name": run}
        settings |= {"checkpoints": str(root), "batch_size": 1, "preview_photos": [tiny_settings["data"] + "/chelsea.jpg"]}
        path = root / f"{run}.yaml"
        path.write_text(yaml.safe_dump(settings | changes))
        return ["train", "--config", str(path)]

    return arguments


def folder_of(arguments: list[str]) -> Path:
    return Path(arguments[2]).with_suffix("")


def state_of(arguments: list[str]) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder_of(arguments) / "last.ckpt")["state_dict"]


def assert_same_weights(found: list[str], expected: list[str]) -> None:
    a, b = state_of(found), state_of(expected)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def state_files(folder: Path) -> int:
    """How far a run has come, by the checkpoints and pictures that it has written."""
    return len([path for pattern in ("*.ckpt", "*.png", "*.json") for path in folder.rglob(pattern)])


def unfinished(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if is_unfinished(path)]


@pytest.fixture(scope="module")
def uninterrupted(forks: Forks, config: Callable[..., list[str]]) -> tuple[list[str], float]:
    """A training that nothing disturbed, and the seconds that it took."""
    arguments, begun = config("uninterrupted"), time.monotonic()
    assert forks.run(*arguments, noise=True) == 0, forks.log.read_text()
    return arguments, time.monotonic() - begun


def resumed(arguments: list[str]) -> list[str]:
    """``arguments`` as somebody would repeat them after a kill: with --resume once there is a folder."""
    return [*arguments, "--resume"] if folder_of(arguments).exists() else arguments


@pytest.mark.full
def test_a_run_killed_at_random_ends_with_the_weights_of_one_that_was_not(forks, config, uninterrupted):
    begun, random_moments = time.monotonic(), random.Random(0)
    average = {"optimizer": {"average": 0.9}}
    assert forks.run(*config("average", **average), noise=True) == 0
    seconds, kills, ends, reached = time.monotonic() - begun, 0, 0, []
    while kills < 20:
        workers = kills % 2
        arguments = config(f"killed{ends}", **average, workers=workers)
        process = forks.start(*resumed(arguments), noise=True)
        time.sleep(seconds * random_moments.uniform(0.1, 1))
        os.kill(process, signal.SIGKILL)  # no other process has this id before forks.end()
        code = forks.end()
        assert code in (0, -signal.SIGKILL), forks.log.read_text()
        kills += code != 0
        reached += [state_files(folder_of(arguments))] if code else []
        if code == 0 or kills == 20:
            assert forks.run(*resumed(arguments), noise=True) == 0, forks.log.read_text()
            assert_same_weights(arguments, config("average", **average))
            assert not unfinished(folder_of(arguments))
            ends += 1
    assert len(set(reached)) > 4, reached  # the kills were spread over the run


MOMENTS = [
    ("config.yaml", 0, "half"),
    ("step=*.ckpt", 0, "half"),
    ("step=*.ckpt", 1, "there"),
    ("last.ckpt", 1, "half"),
    ("step=*.png", 0, "half"),
    ("last.ckpt", 0, "there"),
    ("final.png", 0, "half"),
    ("card.json", 0, "half"),
    ("*.onnx", 0, "half"),
]


def test_a_run_killed_in_the_middle_of_every_kind_of_file_goes_on(forks, config, uninterrupted):
    arguments = config("files")
    for moment in MOMENTS:
        request = {"noise": True, "export": moment[0] == "*.onnx", "moment": [*moment, "SIGKILL"]}
        assert forks.run(*resumed(arguments), **request) == -signal.SIGKILL, (moment, forks.log.read_text())
        assert len(unfinished(folder_of(arguments))) == (moment[2] == "half"), moment
    assert forks.run(*arguments, "--resume", noise=True, export=True) == 0, forks.log.read_text()
    assert_same_weights(arguments, uninterrupted[0])
    assert not unfinished(folder_of(arguments))
    assert Stylizer(folder_of(arguments))(np.zeros((16, 16, 3), np.uint8)).shape == (16, 16, 3)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_a_signal_ends_the_run_after_its_step_and_tells_how_to_go_on(name, forks, config, uninterrupted):
    arguments = config(name, workers=1)
    assert forks.run(*arguments, noise=True, step=[5, [name]]) == 128 + getattr(signal, name)
    errors = [line for line in forks.log.read_text().splitlines() if line.startswith("fast-nst")]
    assert errors == ["fast-nst: stopped at step 6; the same command with --resume goes on from there"]
    assert read_checkpoint(folder_of(arguments) / "last.ckpt")["global_step"] == 6
    if name == "SIGTERM":
        assert forks.run(*arguments, "--resume", noise=True) == 0
        assert_same_weights(arguments, uninterrupted[0])


def test_a_second_signal_ends_the_run_at_once(forks, config):
    arguments = config("twice", workers=1)
    assert forks.run(*arguments, step=[5, ["SIGINT", "SIGINT"]]) == 130
    assert read_checkpoint(folder_of(arguments) / "last.ckpt")["global_step"] == 4


def test_a_signal_where_no_step_is_made_ends_the_run_there(forks, config):
    arguments = config("outside")
    assert forks.run(*arguments, moment=["config.yaml", 0, "there", "SIGINT"]) == 130
    assert "the same command starts again" in forks.log.read_text()
    assert forks.run(*arguments, moment=["final.png", 0, "there", "SIGTERM"]) == 143
    assert "the same command with --resume goes on from last.ckpt" in forks.log.read_text()
    assert not (folder_of(arguments) / "card.json").exists()


def middle_of_largest_member(path: Path) -> int:
    """Where a checkpoint's largest tensor has its middle: between the members is padding, which nobody misses."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read(max(archive.infolist(), key=lambda member: member.file_size))
    return path.read_bytes().index(data) + len(data) // 2


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "cut":
        del content[len(content) // 2 :]
    elif how == "empty":
        content.clear()
    else:
        content[middle_of_largest_member(path)] ^= 1  # a bit of a tensor: torch.load does not see it
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "empty", "flipped"])
def test_a_damaged_checkpoint_is_passed_over_with_a_line(how, forks, config, uninterrupted):
    arguments = config(how)
    assert forks.run(*arguments, noise=True, step=[6, ["SIGTERM"]]) == 143
    damage(folder_of(arguments) / "last.ckpt", how)
    damage(next(folder_of(arguments).glob("step=000006*")), how)
    assert forks.run(*arguments, "--resume", noise=True) == 0
    damaged = r"last.ckpt, step=000006-\S+ damaged, passed over: going on from step=000004-\S+"
    assert re.search(damaged, forks.log.read_text())
    assert_same_weights(arguments, uninterrupted[0])


def test_a_run_without_a_whole_checkpoint_is_not_resumed(forks, config):
    arguments = config("broken")
    assert forks.run(*arguments, step=[3, ["SIGTERM"]]) == 143
    for path in folder_of(arguments).glob("*.ckpt"):
        damage(path, "cut")
    assert forks.run(*arguments, "--resume") == 2
    assert re.search(r"no checkpoint in .* is whole \(last.ckpt, .*\); start again", forks.log.read_text())


FULL = (
    r"fast-nst: cannot write to .*: No space left on device: going on needs about [\d.]+ MB, [\d.]+ MB are free; make room,"
)


@pytest.mark.parametrize(("size", "logger"), [(600_000, True), (700_000, False), (1_000_000, True), (2_000_000, True)])
def test_a_full_disk_stops_the_run_with_a_line_and_leaves_its_last_checkpoint(
    size, logger, forks, config, uninterrupted, tmp_path
):
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    trainer = {"enable_progress_bar": False, "accelerator": "cpu", "logger": logger}
    arguments = config("full", trainer=trainer, checkpoints=str(small))
    code = forks.run(*arguments, noise=True, disk=[str(small), size, str(kept)])
    if code == NO_DISK:
        pytest.skip("a disk cannot be mounted here")
    (line,) = [line for line in forks.log.read_text().splitlines() if line.startswith("fast-nst: ")]
    assert code == 2 and re.match(FULL + " then --resume goes on from", line)
    assert forks.run(*arguments, "--checkpoints", str(kept), "--resume", noise=True) == 0, forks.log.read_text()
    in_the_end = config(f"full{size}")
    shutil.copytree(kept / "full", folder_of(in_the_end))
    assert_same_weights(in_the_end, uninterrupted[0])


def test_no_room_for_the_model_is_told_and_resuming_writes_it(forks, config, uninterrupted):
    arguments = config("model")
    code = forks.run(*arguments, noise=True, moment=["*.onnx", 0, "there", "ENOSPC"])
    assert code == 2 and re.search(FULL + " then --resume goes on from last.ckpt", forks.log.read_text())
    assert not unfinished(folder_of(arguments)) and not list(folder_of(arguments).glob("*.onnx"))
    assert forks.run(*arguments, "--resume", noise=True) == 0
    assert (folder_of(arguments) / "model.onnx").exists()
    assert_same_weights(arguments, uninterrupted[0])


def test_a_deterministic_training_equals_one_that_is_so_by_itself(forks, config, uninterrupted):
    arguments = config("deterministic")
    assert forks.run(*arguments, "--trainer.deterministic", "true", noise=True) == 0, forks.log.read_text()
    assert_same_weights(arguments, uninterrupted[0])


@pytest.fixture
def painting(tiny_settings: dict, tmp_path: Path) -> Callable[[str], list[str]]:
    """The arguments of an optimisation of 6 small steps under a name."""
    photo, style = (f"{tiny_settings['data']}/{name}.jpg" for name in ("chelsea", "coffee"))
    flags = ["--size", "48", "--steps", "6", "--checkpoint_every", "2", "--checkpoints", str(tmp_path)]
    return lambda name: ["optimize", "--content", photo, "--style", style, *flags, "--name", name]


def picture_of(folder: Path) -> torch.Tensor:
    return read_checkpoint(folder / "last.ckpt")["descent"]["best"]


@pytest.mark.parametrize("moment", [("half", "SIGKILL"), ("there", "SIGKILL"), ("there", "SIGTERM"), ("there", "SIGINT")])
def test_a_disturbed_optimisation_ends_with_the_same_picture(moment, forks, painting, tmp_path):
    assert forks.run(*painting("whole")) == forks.run(*painting("again")) == 0
    assert torch.equal(picture_of(tmp_path / "whole"), picture_of(tmp_path / "again"))
    number = getattr(signal, moment[1])
    code = forks.run(*painting("disturbed"), moment=["last.ckpt", 1, *moment])
    assert code == (-number if moment[1] == "SIGKILL" else 128 + number)
    if moment[1] != "SIGKILL":
        assert "stopped at step 4; the same command with --resume goes on from there" in forks.log.read_text()
    assert forks.run(*painting("disturbed"), "--resume") == 0, forks.log.read_text()
    assert torch.equal(picture_of(tmp_path / "whole"), picture_of(tmp_path / "disturbed"))
    assert not unfinished(tmp_path)


def test_a_damaged_state_of_an_optimisation_is_one_line(forks, painting, tmp_path):
    assert forks.run(*painting("broken")) == 0
    damage(tmp_path / "broken" / "last.ckpt", "cut")
    assert forks.run(*painting("broken"), "--resume") == 2
    (line,) = forks.log.read_text().splitlines()
    assert line == f"fast-nst: no checkpoint in {tmp_path}/broken is whole (last.ckpt); start again with --overwrite"
