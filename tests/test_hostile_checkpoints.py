"""Checkpoints from elsewhere: whatever their fields hold, a run goes on rightly or says in a sentence why not.

Nothing outside of the run's folder is touched.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fast_nst.cli.main import main
from fast_nst.errors import UserError
from fast_nst.optimization import run as optimization_run
from fast_nst.optimization.run import optimize
from fast_nst.settings.distill import DistillSettings
from fast_nst.settings.optimize import OptimizeSettings
from fast_nst.settings.train import OptimizerSettings, TrainSettings
from fast_nst.training import distillation
from fast_nst.training import run as training_run
from fast_nst.training.callbacks import Record
from fast_nst.training.distillation import distill
from fast_nst.training.resume_state import OwnFiles, accepted
from fast_nst.training.resuming import CheckpointFiles
from fast_nst.training.run import train

SAVER = (
    "{'monitor': None, 'mode': 'min', 'every_n_train_steps': 2, 'every_n_epochs': 0, 'train_time_interval': None}"  # its key
)
HOSTILE = [
    None,
    "local:///VICTIM",
    "../../victim",
    "\x1b[2J",
    "",
    -1,
    2**70,
    10**8,
    float("nan"),
    -1e300,
    True,
    [],
    {},
    {"a": {"b": [{"c": "VICTIM"}]}},
    torch.zeros(3, 2, 1),
    torch.zeros(0, dtype=torch.int64),
]


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may touch."""
    folder = tmp_path / "victim"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "step=1.ckpt").write_text("precious")
    yield folder
    assert (folder / "deep" / "step=1.ckpt").read_text() == "precious"


@pytest.fixture(scope="module")
def settings(tiny_settings: dict, tmp_path_factory: pytest.TempPathFactory) -> dict:
    changes = {"steps": 4, "checkpoint_every": 2, "batch_size": 1, "optimizer": OptimizerSettings(average=0.9)}
    return {**tiny_settings, **changes, "checkpoints": str(tmp_path_factory.mktemp("hostile")), "name": "a"}


@pytest.fixture(scope="module")
def run(settings: dict) -> Path:
    """The folder of a run of 4 steps, as it was after the second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_run, "export_onnx", lambda *_: None)
        folder = train(TrainSettings(**settings)).folder.path
    for path in [folder / "last.ckpt", *folder.glob("step=000004*")]:
        path.unlink()
    return folder


@pytest.fixture
def resume(settings, run, tmp_path, monkeypatch) -> Callable[[dict], Path]:
    """Goes on from a checkpoint of this content, in a copy of the run; gives its last.ckpt."""
    monkeypatch.setattr(training_run, "export_onnx", lambda *_: None)

    def resume(content: dict) -> Path:
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        shutil.copytree(run, tmp_path / "a")
        torch.save(content, next((tmp_path / "a").glob("step=000002*")))
        changes = {"checkpoints": str(tmp_path), "resume": True}
        return train(TrainSettings(**{**settings, **changes})).folder.last

    return resume


def content_of(folder: Path) -> dict[str, Any]:
    return torch.load(next(folder.glob("step=000002*")), weights_only=True)


@pytest.fixture
def judge(settings, run, resume, monkeypatch) -> Callable[[Any], Any]:
    """What a run would restore of a content."""
    seen = []
    monkeypatch.setattr(training_run, "accepted", lambda *given: seen.append(given) or accepted(*given))
    resume(content_of(run))
    _, trainer, module, path = seen[0]
    trainer.fit_loop.load_state_dict(copy.deepcopy(accepted(*seen[0])["loops"]["fit_loop"]))
    return lambda content: accepted(content, trainer, module, path)


def leaves(tree: Any, path: tuple = ()) -> Iterator[tuple]:
    """The places of all values in ``tree``, and of all that hold values; of many alike the first and the last."""
    if path:
        yield path
    names = list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list | tuple) else []
    many_alike = len(names) > (12 if isinstance(tree, dict) else 2) and len({type(tree[name]) for name in names}) == 1
    for name in [names[0], names[-1]] if many_alike else names:
        yield from leaves(tree[name], (*path, name))


def at(tree: Any, path: tuple) -> Any:
    return at(tree[path[0]], path[1:]) if path else tree


def changed(tree: Any, path: tuple, value: Any) -> Any:
    """``tree`` with another value at ``path``; what does not lie on the way is shared."""
    if not path:
        return value
    copied = list(tree) if isinstance(tree, tuple) else copy.copy(tree)
    copied[path[0]] = changed(tree[path[0]], path[1:], value)
    return tuple(copied) if isinstance(tree, tuple) else copied


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def without_paths(tree: Any) -> bool:
    """Whether no text in ``tree`` names a place elsewhere."""
    if isinstance(tree, dict):
        return all(map(without_paths, tree.values()))
    if isinstance(tree, list | tuple):
        return all(map(without_paths, tree))
    return not isinstance(tree, str) or not set(tree) & set("/\\\x1b")


def survivors(content: dict, judge: Callable[[Any], Any]) -> Iterator[tuple[tuple, Any]]:
    """Every hostile change of ``content`` that is neither refused in a sentence nor without effect."""
    sound = judge(content)
    for path in leaves(content):
        for value in HOSTILE:
            try:
                found = judge(changed(content, path, value))
            except UserError as error:
                assert "\n" not in str(error)
                continue
            assert without_paths(found), (path, value)
            if not same(found, sound):
                yield path, value


def test_a_checkpoint_that_names_a_folder_to_remove_removes_none(run, resume, victim, tmp_path):
    for place in (f"local://{victim}", f"{tmp_path}/a/../victim"):
        content = content_of(run)
        for name in ("ModelCheckpoint", "Saver"):
            state = {"best_model_path": place, "last_model_path": place, "kth_best_model_path": place, "best_k_models": {}}
            content["callbacks"][name + SAVER] = state | {"best_model_score": None, "kth_value": torch.tensor(0.0)}
        assert torch.load(resume(content), weights_only=True)["global_step"] == 4
        assert victim.exists()


def test_files_are_removed_only_where_they_are_checkpoints_of_the_run(victim, tmp_path):
    folder = tmp_path / "a"
    (folder / "step=3.ckpt").mkdir(parents=True)
    for name in ("step=1.ckpt", "last.ckpt", "card.json", "notes.ckpt"):
        (folder / name).write_text("")
    (folder / "step=2.ckpt").symlink_to(victim / "deep" / "step=1.ckpt")
    files = OwnFiles(CheckpointFiles(), folder, r"step=.*\.ckpt|last\.ckpt", None)
    for path in [*folder.iterdir(), folder, victim, victim / "deep/step=1.ckpt", folder / "../victim/deep/step=1.ckpt"]:
        files.remove_checkpoint(path)
    for text in (f"local://{victim}", f"file://{victim}", str(victim)):
        files.remove_checkpoint(text)
    assert {path.name for path in folder.iterdir()} == {"step=2.ckpt", "step=3.ckpt", "card.json", "notes.ckpt"}


def test_checkpoints_name_no_path(run, settings):
    assert without_paths({name: part for name, part in content_of(run).items() if name != "state_dict"})


def test_every_field_of_a_checkpoint_is_taken_rightly_or_refused_in_a_sentence(run, judge, resume, victim):
    content = content_of(run)
    passed: dict[tuple, list] = {}
    for path, value in survivors(content, judge):
        passed.setdefault(path, []).append(value)
    assert passed  # losses that are no numbers, seconds: whatever they are, they harm nobody
    for turn in range(max(map(len, passed.values()))):
        hostile = content
        for path, values in passed.items():
            try:
                hostile = changed(hostile, path, values[turn % len(values)])
            except (KeyError, IndexError, TypeError):
                continue  # another change took its place away
        try:
            assert torch.load(resume(hostile), weights_only=True)["global_step"] == 4
        except UserError as error:
            assert "\n" not in str(error)


def test_a_checkpoint_with_the_earlier_name_of_use_muon_is_resumed(run, resume):
    content = content_of(run)
    for group in content["optimizer_states"][0]["param_groups"]:
        group["orthogonal"] = group.pop("use_muon")
    assert torch.load(resume(content), weights_only=True)["global_step"] == 4


STRUCTURES: list[Callable[[dict], Any]] = [
    lambda content: {},
    lambda content: {"global_step": 2},
    lambda content: {name: None for name in content},
    lambda content: {name: {} for name in content},
    lambda content: content["state_dict"],
    lambda content: {1: content},
    lambda content: content | {"global_step": "2"},
    lambda content: content | {"global_step": 10**30},
    lambda content: content | {"state_dict": dict(list(content["state_dict"].items())[1:])},
    lambda content: content | {"state_dict": {name: value[..., :1] for name, value in content["state_dict"].items()}},
    lambda content: content | {"optimizer_states": []},
    lambda content: content | {"lr_schedulers": [{}]},
    lambda content: content | {"loops": {"fit_loop": {}}},
    lambda content: content | {"callbacks": {name: [] for name in content["callbacks"]}},
    lambda content: content | {"pytorch-lightning_version": "owned"},
]


@pytest.mark.parametrize("number", range(len(STRUCTURES)))
def test_a_checkpoint_of_a_wrong_structure_is_refused_in_a_sentence(number, run, resume):
    with pytest.raises(
        UserError, match=r"step=000002-\S+ is no checkpoint of this run: [^\n]*; start again with --overwrite$"
    ):
        resume(STRUCTURES[number](content_of(run)))


@pytest.fixture
def painting(tiny_settings, tmp_path) -> OptimizeSettings:
    photo, style = (f"{tiny_settings['data']}/{name}.jpg" for name in ("chelsea", "coffee"))
    common = {"size": 48, "steps": 3, "progress": False, "checkpoints": str(tmp_path), "name": "b"}
    return OptimizeSettings(content=photo, style=style, **common)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_every_field_of_an_optimization_s_state_is_taken_rightly_or_refused(optimizer, painting, victim):
    painting.optimizer = optimizer
    last = optimize(painting).folder.last
    painting.steps += 1
    content, made = torch.load(last, weights_only=True), optimization_run.Optimization(painting)
    for path, value in survivors(content, lambda state: optimization_run._accepted(state, made, last)):
        made.load_state_dict(optimization_run._accepted(changed(content, path, value), made, last))
        while not made.finished:
            made.step()
        assert np.isfinite(made.pixels()).all()


@pytest.mark.parametrize("content", [{}, {"scale": "x"}, {"scale": 7}, {"scale": 0, "descent": []}, {"global_step": "x"}])
def test_a_state_of_an_optimization_of_a_wrong_structure_is_one_line_and_exit_code_2(content, painting, capsys, tmp_path):
    last = optimize(painting).folder.last
    torch.save(content, last)
    with pytest.raises(SystemExit) as ended:
        main(["optimize", "--config", str(tmp_path / "b" / "config.yaml"), "--resume"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1 and f"{last} is no state of this run" in said


def test_a_distillation_goes_on_from_its_own_checkpoint_and_refuses_others(photos, tmp_path, victim, monkeypatch):
    from conftest import random_state_dict
    from safetensors.torch import save_file

    save_file(random_state_dict("vgg16", "relu4_3"), tmp_path / "teacher.safetensors")
    common = {"batch_size": 1, "image_size": 32, "workers": 0, "held_out": str(photos), "teacher": "vgg16"}
    common |= {"trainer": {"enable_progress_bar": False, "accelerator": "cpu"}, "output": str(tmp_path / "lite.safetensors")}
    plan = DistillSettings([str(photos)], teacher_weights=str(tmp_path / "teacher.safetensors"), steps=2, **common)
    keep, made = tmp_path / "lite.ckpt", distillation.pl.Trainer.fit
    monkeypatch.setattr(
        distillation.pl.Trainer, "fit", lambda self, *a, **k: (made(self, *a, **k), self.save_checkpoint(keep))
    )
    monkeypatch.setattr(distillation, "write_text", lambda *_: shutil.copy(keep, tmp_path / "kept"))
    distill(plan)
    content = torch.load(tmp_path / "kept", weights_only=True)
    content["callbacks"] = {"ModelCheckpoint" + SAVER: {"last_model_path": f"local://{victim}", "best_model_path": ""}}
    torch.save(content, keep)
    assert distill(plan)["steps"] == 2
    torch.save(content | {"global_step": "2"}, keep)
    with pytest.raises(UserError, match="lite.ckpt is no checkpoint of this run: global_step is not a whole number"):
        distill(plan)


def test_the_record_of_a_run_has_the_entries_that_its_schema_names():
    assert Record(1).state_dict().keys() == {"seconds", "photos", "losses"}
