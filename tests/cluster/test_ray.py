"""Ray itself: three nodes on this machine, one of which is killed, and a driver that is killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

pytest.importorskip("ray", reason="no cluster is tested: pip install 'fast_nst[ray]'")

import ray
from ray.cluster_utils import Cluster

from fast_nst.cluster.stylize import stylize_data_set
from fast_nst.imaging.images import save_image
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.run import stylize_files

from .conftest import rows, tree

pytestmark = pytest.mark.full

COUNT = 24
LONG = 1800.0  # seconds after which something hangs
SMALL = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_log_monitor": False}
PATIENT = {  # Ray gives up on a process that takes longer to start, as on a busy machine
    "RAY_worker_register_timeout_seconds": "900",
    "RAY_health_check_failure_threshold": "100",
    "RAY_gcs_server_request_timeout_seconds": "600",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@pytest.fixture(scope="module")
def cluster():
    """Three nodes of one processor core each; this process is connected to them."""
    patch = pytest.MonkeyPatch()
    for name, value in PATIENT.items():
        patch.setenv(name, value)
    nodes = Cluster(initialize_head=True, head_node_args={**SMALL, "include_dashboard": False})
    nodes.add_node(**SMALL)
    nodes.add_node(**SMALL)
    try:
        ray.init(address=nodes.address, log_to_driver=False)
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()
        patch.undo()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Pictures in two folders."""
    folder, made = tmp_path_factory.mktemp("ray") / "in", np.random.default_rng(1)
    for place in range(COUNT):
        save_image(made.integers(0, 256, (64, 64, 3), dtype=np.uint8), folder / f"{place % 2}" / f"{place}.png")
    return folder


@pytest.fixture(scope="module")
def alone(pictures) -> dict[str, bytes]:
    """What the command makes of the pictures without Ray."""
    stylize_files(settings_of(pictures, pictures.parent / "alone", ray=False))
    return tree(pictures.parent / "alone")


def settings_of(source, target, **values) -> StylizeSettings:
    return StylizeSettings(
        [str(source)], "great_wave", str(target), **{"recursive": True, "threads": 1, "ray": True, **values}
    )


def wait_for(folder: Path, count: int, process: subprocess.Popen | None = None) -> None:
    """Wait until so many pictures are in ``folder``, and no longer than the run that draws them."""
    begin = time.monotonic()
    while not folder.exists() or len(tree(folder)) < count:
        assert time.monotonic() - begin < LONG and (process is None or process.poll() is None)
        time.sleep(0.05)


def test_a_node_that_dies_costs_no_picture(cluster, pictures, alone):
    output = pictures.parent / "node"
    victim = cluster.add_node(**SMALL)

    def kill() -> None:
        wait_for(output, 4)
        cluster.remove_node(victim, allow_graceful=False)

    killer = Thread(target=kill)
    killer.start()
    summary = stylize_data_set(settings_of(pictures, output, workers=4))
    killer.join()
    assert vars(summary) == {"drawn": COUNT, "there": 0, "failed": 0}
    assert tree(output) == alone
    assert {row["output"] for row in rows(output)} == set(alone)


def test_after_a_driver_was_killed_the_same_command_draws_the_rest(cluster, pictures, alone):
    output = pictures.parent / "driver"
    words = ["stylize", str(pictures), "-s", "great_wave", "-o", str(output), "--recursive", "--ray", cluster.address]
    driver = subprocess.Popen([sys.executable, "-m", "fast_nst", *words], stderr=subprocess.PIPE)
    wait_for(output, 3, driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    before = {name: (output / name).stat().st_mtime_ns for name in tree(output)}
    summary = stylize_data_set(settings_of(pictures, output))
    assert summary.drawn + summary.there == COUNT and summary.there >= 3
    assert tree(output) == alone
    assert all((output / name).stat().st_mtime_ns == then for name, then in before.items() if name in alone and then)
    assert {row["output"] for row in rows(output)} == set(alone)
