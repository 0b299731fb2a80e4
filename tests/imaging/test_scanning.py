import errno
import os

import pytest

from fast_nst.imaging.scanning import NotAFile, find_images


@pytest.fixture
def folder(tmp_path):
    for name in ("b.PNG", "a.jpg", "text.txt", ".hidden.png", "below/c.heic", "below/deeper/d.gif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_images_are_found_by_their_suffix_in_order_of_their_paths(folder):
    assert names(find_images(folder)) == ["a.jpg", "b.PNG", "c.heic", "d.gif"]
    assert names(find_images(folder, recursive=False)) == ["a.jpg", "b.PNG"]


def test_links_to_folders_are_followed_once_and_circles_end(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    (root / "one").symlink_to(folder)
    (root / "two").symlink_to(folder)
    (folder / "below" / "up").symlink_to(folder)
    assert names(find_images(root)) == ["a.jpg", "b.PNG", "c.heic", "d.gif"]


def test_what_cannot_be_read_is_reported_with_its_reason(folder, monkeypatch):
    os.mkfifo(folder / "pipe.jpg")
    (folder / "gone.jpg").symlink_to("nothing")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("deeper"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("fast_nst.imaging.scanning.os.scandir", denied)
    problems = {}
    assert names(find_images(folder, problems=problems)) == ["a.jpg", "b.PNG", "c.heic"]
    found = {path.name: getattr(error, "errno", None) for path, error in problems.items()}
    assert found == {"pipe.jpg": None, "gone.jpg": errno.ENOENT, "circle.jpg": errno.ELOOP, "deeper": errno.EACCES}
    assert isinstance(problems[folder / "pipe.jpg"], NotAFile)
