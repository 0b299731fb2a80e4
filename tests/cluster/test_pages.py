"""docs/cluster.md: its commands are understood, and those that need no cluster run as they stand. The simulation by hand."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from fast_nst.cli.main import arguments_for, main, parser_of
from fast_nst.imaging.images import save_image

from .conftest import tree

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) for line in block.splitlines()]
COMMANDS = [shlex.split(line, comments=True)[1:] for line in LINES if line.startswith("fast-nst ")]
LOCAL = [words for words in COMMANDS if words[0] == "stylize" and "--ray" not in words]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_commands_of_the_page_are_understood(words):
    assert arguments_for(parser_of(words[0]), words[1:]) is not None


def test_the_local_commands_of_the_page_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = np.random.default_rng(0)
    for name in ("a.jpg", "b/c.png"):
        save_image(made.integers(0, 256, (24, 32, 3), dtype=np.uint8), Path("photos", name))
    assert len(LOCAL) == 3
    for words in LOCAL:
        main(words)
    names = sorted(name.split(".")[0] for name in tree(Path("painted")))
    assert 6 <= len(names) <= 8 and set(names) == {"a", "b/c"}  # one style of seed 0 each, three of seed 1, some the same


@pytest.mark.parametrize("before", ["  'fast-nst ", "entrypoint: fast-nst "], ids=["SLURM", "Kubernetes"])
def test_the_commands_within_other_files_are_understood(before):
    (words,) = [line.partition(before)[2] for line in LINES if before in line]
    words = shlex.split(words.rstrip("'").replace("$SLURM_ARRAY_TASK_ID", "7"))
    assert arguments_for(parser_of(words[0]), words[1:]) is not None


@pytest.fixture(scope="module")
def cluster():
    """The module of the benchmark."""
    pytest.importorskip("psutil")
    spec = importlib.util.spec_from_file_location("cluster_benchmark", ROOT / "benchmarks" / "cluster.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_workers_that_wait_for_nothing_share_the_work_evenly(cluster):
    free = cluster.Parts(draw=0.7, read=0.2, write=0.1, size=0, driver=0, start=5, table=10)
    assert cluster.simulate(free, 400, 4) == (pytest.approx(105), "nothing")
    assert cluster.simulate(free, 400, 3)[0] == pytest.approx(145)  # 40 tables of 10 s on three workers: 14 rounds


def test_a_driver_that_is_always_busy_sets_the_pace(cluster):
    slow = cluster.Parts(draw=0.1, read=0, write=0, size=0, driver=2, start=0, table=10)
    assert cluster.simulate(slow, 1000, 50) == (pytest.approx(100 * 2 + 1), "driver")


def test_a_store_that_is_always_busy_sets_the_pace(cluster):
    slow = cluster.Parts(draw=0.1, read=0, write=0, size=100, driver=0, start=0, table=10, bandwidth=500)
    assert cluster.simulate(slow, 1000, 50) == (pytest.approx(1000 * 100 / 500), "store")
