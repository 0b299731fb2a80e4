"""Photographs, folders and style pictures that the user may not read: said so, neither called damaged nor passed over."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fast_nst.data.datasets import Photos
from fast_nst.data.folders import Fault, find_photos
from fast_nst.errors import UserError
from fast_nst.imaging.images import open_image
from fast_nst.settings.train import TrainSettings

NOBODY = 65534


@pytest.fixture
def locked(photos: Path) -> Iterator[Path]:
    """A folder with a photograph, one that may not be read, and a folder that may not be entered; seen by no superuser."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "below").mkdir()
    for place in ("open.jpg", "shut.jpg", "below/other.jpg"):
        shutil.copyfile(photos / "coffee.jpg", folder / place)
    closed = [folder / "shut.jpg", folder / "below"]
    for path in closed:
        path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    yield folder
    if root:
        os.seteuid(0)
    for path in closed:
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_what_may_not_be_read_is_named_and_the_rest_is_used(locked):
    faults: dict[Path, Fault] = {}
    photos = Photos(find_photos(locked, faults), 32, unlisted=faults)
    assert all(photos[position].shape == (3, 32, 32) for position in range(4))
    assert photos.skipped == {locked / "below": Fault.DENIED, locked / "shut.jpg": Fault.DENIED}


@pytest.mark.parametrize("use", [lambda path: TrainSettings(style=str(path)).check_paths(), open_image])
def test_a_style_picture_that_may_not_be_read_is_not_called_damaged(use, locked):
    with pytest.raises(UserError, match="shut.jpg: Permission denied"):
        use(locked / "shut.jpg")


@pytest.mark.parametrize("use", [lambda path: TrainSettings(data=str(path)).check_paths(), find_photos])
def test_a_folder_that_may_not_be_entered_is_not_called_empty_or_absent(use, locked):
    with pytest.raises(UserError, match="cannot read .*below: Permission denied; check --data"):
        use(locked / "below")


def test_a_folder_of_which_all_may_not_be_read_says_so(locked):
    with pytest.raises(UserError, match=r"no pictures in .* that can be used \(1 no permission to read it\)"):
        find_photos(only_folders(locked))


def only_folders(folder: Path) -> Path:
    """A new folder with a link to the one below ``folder``."""
    place = Path(tempfile.mkdtemp())
    (place / "link").symlink_to(folder / "below")
    return place
