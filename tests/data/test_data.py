import multiprocessing
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from fast_nst.data.datasets import Photos, Scenes
from fast_nst.data.folders import find_photos, find_preview_photos
from fast_nst.data.loader import Positions, batches
from fast_nst.errors import UserError
from fast_nst.functional.pixels import to_pixels, to_tensor
from fast_nst.imaging.images import save_image


@pytest.fixture
def coco(photos: Path, tmp_path: Path) -> Path:
    for part in ("train2017", "val2017"):
        shutil.copytree(photos, tmp_path / "coco" / part)
    (tmp_path / "coco" / "val2017" / "coffee.jpg").rename(tmp_path / "coco" / "val2017" / "held_out.jpg")
    return tmp_path / "coco"


def test_a_coco_folder_trains_on_train2017_and_previews_val2017(coco):
    assert {path.parent.name for path in find_photos(coco)} == {"train2017"}
    assert "held_out.jpg" in {path.name for path in find_preview_photos([str(coco)], 4)}


def test_any_folder_is_searched_recursively(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "a" / "b")
    (tmp_path / "notes.txt").write_text("no picture")
    assert [path.name for path in find_photos(tmp_path)] == ["astronaut.jpg", "chelsea.jpg", "coffee.jpg"]


def test_empty_and_absent_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="no pictures in"):
        find_photos(tmp_path)
    with pytest.raises(UserError, match="no folder of photographs"):
        find_photos(tmp_path / "absent")


def test_what_stands_at_a_position_depends_on_seed_and_position_alone(photos):
    paths = find_photos(photos)
    first, second = Photos(paths, 64, seed=1), Photos(paths, 64, seed=1)
    second[5], torch.rand(3)
    torch.testing.assert_close(first[7], second[7])
    assert not torch.allclose(first[7], Photos(paths, 64, seed=2)[7])
    assert not torch.allclose(first[7], first[7 + len(paths)])


def test_worker_processes_change_nothing(photos):
    dataset = Photos(find_photos(photos), 32)
    alone = torch.cat(list(batches(dataset, Positions(0, 8), 2, workers=0)))
    helped = torch.cat(list(batches(dataset, Positions(0, 8), 2, workers=2)))
    torch.testing.assert_close(alone, helped)


def test_every_pass_shows_every_photograph_once(photos):
    dataset = Photos(find_photos(photos), 16)
    opened = []
    dataset._open = lambda index: opened.append(index)  # reads nothing, so every position tries all photographs in turn
    dataset.faults[:] = 0
    for position in range(6):
        with pytest.raises(UserError):
            dataset[position]
    firsts = opened[::3]
    assert sorted(firsts[:3]) == sorted(firsts[3:]) == [0, 1, 2]


def test_unreadable_and_small_files_are_passed_over_and_counted(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "mixed")
    whole = (photos / "coffee.jpg").read_bytes()
    (tmp_path / "mixed" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "mixed" / "text.png").write_text("no picture")
    save_image(np.zeros((20, 20, 3), np.uint8), tmp_path / "mixed" / "tiny.png")
    dataset = Photos(find_photos(tmp_path / "mixed"), 64)
    crops = torch.cat(list(batches(dataset, Positions(0, 24), 4, workers=1)))
    assert crops.shape == (24, 3, 64, 64)
    assert {path.name for path in dataset.skipped} == {"truncated.jpg", "text.png", "tiny.png"}


def test_a_folder_of_nothing_but_broken_files_ends_in_one_sentence(tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(UserError, match="none of the photographs can be used .1 damaged"):
        Photos(find_photos(tmp_path), 64)[0]


def test_processes_share_the_positions_between_them():
    parts = [list(Positions(10, 30, rank, 3)) for rank in range(3)]
    assert sorted(sum(parts, [])) == list(range(10, 30))


def test_scenes_differ_by_position_and_repeat_by_seed():
    scenes = Scenes(48, seed=3)
    torch.testing.assert_close(scenes[2], Scenes(48, seed=3)[2])
    assert scenes[2].shape == (3, 48, 48)
    assert not torch.allclose(scenes[2], scenes[3])
    assert not torch.allclose(scenes[2], Scenes(48, seed=4)[2])


def test_scenes_have_the_falling_spectrum_of_natural_pictures():
    """Power falls with frequency as about f^-2 (Field 1987); noise would stay flat, one gradient would fall faster."""
    power = np.zeros((128, 128))
    for position in range(12):
        grey = Scenes(128)[position].mean(0).numpy()
        power += np.abs(np.fft.fft2((grey - grey.mean()) * np.outer(np.hanning(128), np.hanning(128)))) ** 2
    low, high = power[0, 4:8].mean() + power[4:8, 0].mean(), power[0, 16:32].mean() + power[16:32, 0].mean()
    assert -3.2 < np.log(high / low) / np.log(4) < -1.2


def test_pixels_survive_the_way_to_tensor_and_back():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_pixels(to_tensor(pixels)), pixels)


def test_a_process_ends_although_its_loader_is_still_at_work():
    code = """
        import builtins
        from fast_nst.data.datasets import Scenes
        from fast_nst.data.loader import Positions, batches
        builtins.kept = iter(batches(Scenes(16), Positions(0, 99), 1, 1))  # that is what a traceback may do
        next(builtins.kept)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="signals have no sender there")
def test_workers_heed_no_signal_but_that_of_their_parent():
    given = iter(batches(Scenes(16), Positions(0, 99), 1, 1))
    next(given)
    (worker,) = multiprocessing.active_children()
    for name in ("TERM", "INT", "USR1"):
        subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)
    next(given)
    worker.join(1)
    assert worker.is_alive()
    worker.terminate()
    worker.join(60)
    assert worker.exitcode == 0
