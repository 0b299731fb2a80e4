"""Shared fixtures: real photographs, a small loss network's weights, and one short run that several tests look at."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage.data
import torch

from fast_nst.imaging.images import save_image
from fast_nst.networks.loss_network import ARCHITECTURES, LossNetwork, _truncated_chain
from fast_nst.runs.folder import Run
from fast_nst.settings.train import TrainSettings
from fast_nst.stylize.stylizer import Stylizer
from fast_nst.training.run import train

if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup, say, lets every process ignore

FUZZED = 2000
SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz", type=int, default=FUZZED, help="damaged files that tests/test_fuzz.py tries")
    parser.addoption("--full", action="store_true", help="run the long tests as well, those that are marked full")


def pytest_configure(config: pytest.Config) -> None:
    """Tests that run in parallel share the cores: each process computes on one."""
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that are marked ``full`` take minutes; they are skipped unless asked for."""
    for item in items:
        if item.get_closest_marker("full") and not config.getoption("--full"):
            item.add_marker(pytest.mark.skip(reason="a long test, run by pytest --full"))


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three photographs in the public domain."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("astronaut", "chelsea", "coffee"):
        save_image(getattr(skimage.data, name)()[:300, :400], folder / f"{name}.jpg")
    return folder


@pytest.fixture(scope="session")
def tiny_settings(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Settings of a training of a few seconds on real photographs."""
    return {
        "data": str(photos),
        "checkpoints": str(tmp_path_factory.mktemp("checkpoints")),
        "width": 12,
        "style_size": 64,
        "image_size": 32,
        "batch_size": 2,
        "steps": 20,
        "checkpoint_every": 10,
        "preview_every": 10,
        "workers": 0,
        "trainer": {"enable_progress_bar": False, "accelerator": "cpu"},
    }


@pytest.fixture(scope="session")
def finished_run(tiny_settings: dict) -> Run:
    return train(TrainSettings(**tiny_settings, name="finished"))


@pytest.fixture(scope="session")
def lite() -> LossNetwork:
    return LossNetwork("lite")


def random_state_dict(name: str, depth: str) -> dict[str, torch.Tensor]:
    """A state dict in torchvision's keys for ``name`` up to layer ``depth``, filled with small random numbers."""
    paths = ARCHITECTURES[name].paths
    state = {}
    for layer, module in _truncated_chain(name, [depth]).items():
        for key, value in module.state_dict().items():
            state[f"{paths[layer]}.{key}"] = torch.rand(value.shape) * 0.1 if value.dim() else torch.zeros(())
    return state


def needs_shared(path: str) -> Path:
    """A file of the test material, or a loud skip."""
    if not (SHARED / path).exists():
        pytest.skip(f"test material {path} is not here")
    return SHARED / path


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches out, nor finds what somebody downloaded before."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", os.devnull + "-absent")


@pytest.fixture(scope="session")
def negative(tmp_path_factory: pytest.TempPathFactory) -> Stylizer:
    """A model whose result is known by hand: 255 - x."""
    helper, shape = onnx.helper, ["b", "h", "w", 3]
    kind = onnx.TensorProto.UINT8
    graph = helper.make_graph(
        [helper.make_node("BitwiseNot", ["image"], ["picture"])],
        "negative",
        [helper.make_tensor_value_info("image", kind, shape), helper.make_tensor_value_info("style", 1, [1])],
        [helper.make_tensor_value_info("picture", kind, shape)],
        [helper.make_tensor("style", 1, [1], [1.0])],
    )
    path = tmp_path_factory.mktemp("negative") / "negative.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, {"rows": '["negative"]', "own": "negative"})
    onnx.save(model, path)
    return Stylizer(path)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.fixture
def small_files() -> Callable[[], AbstractContextManager[None]]:
    """Makes a context in which no file may grow beyond 4096 bytes, as on a full disk; pytest's own output is outside."""
    return _small_files


@contextmanager
def _small_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
