import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fast_nst.errors import DiskFull, UserError, escape_name, printable
from fast_nst.system.files import atomic_path, check_readable, check_writable, is_unfinished, read_card, write_bytes


def test_a_full_disk_leaves_the_old_file_and_no_part_of_the_new_one(tmp_path, small_files):
    (tmp_path / "a.bin").write_bytes(b"old")
    with small_files(), pytest.raises(DiskFull, match=r"a\.bin: File too large: more than"):
        write_bytes(tmp_path / "a.bin", bytes(10_000))
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"


def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done, sync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("sync"), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("rename"), replace(*paths)))
    write_bytes(tmp_path / "a", b"1")
    assert done == ["sync", "rename", "sync"]  # the last is the folder's


def test_what_the_disk_reports_at_the_sync_is_an_error_of_the_write(tmp_path, monkeypatch):
    def failing(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(DiskFull):
        write_bytes(tmp_path / "a", b"1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("mask", "mode"), [("022", 0o644), ("077", 0o600), ("002", 0o664)])
def test_files_get_the_permissions_that_the_umask_leaves_at_that_moment(tmp_path, mask, mode):
    code = f"import os; from fast_nst.system.files import write_text; os.umask(0o{mask}); write_text('a', 'b')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_the_umask_is_never_changed():
    sources = (Path(__file__).parents[2] / "fast_nst").rglob("*.py")
    assert [path.name for path in sources if "umask(" in path.read_text()] == []


@pytest.mark.parametrize("name", ["é" * 120 + ".jpg", "夜" * 83 + ".png", "x" * 251 + ".png", "a." + "b" * 250])
def test_a_name_as_long_as_the_system_allows_is_written(tmp_path, name):
    check_writable(tmp_path / name)
    with atomic_path(tmp_path / name) as temporary:
        assert is_unfinished(temporary) and temporary.parent == tmp_path
    assert (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["x" * 260 + ".jpg", "夜" * 90, "a\0b"])
def test_a_name_that_no_system_takes_is_one_sentence(tmp_path, name):
    for function in (check_writable, lambda path: write_bytes(path, b"")):
        with pytest.raises(UserError, match="cannot write"):
            function(tmp_path / name)
    with pytest.raises(UserError, match="cannot read|no file at"):
        check_readable(tmp_path / name)


def test_what_cannot_be_read_is_said_as_it_is(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    check_readable(tmp_path / "file")
    for name, words in {"absent": "no photo at", ".": "a folder", "pipe": "no regular file", "file/b": "no photo"}.items():
        with pytest.raises(UserError, match=words):
            check_readable(tmp_path / name, "photo")

    def denied(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "stat", denied)
    with pytest.raises(UserError, match="cannot read .*: Permission denied"):
        check_readable(tmp_path / "file")


def test_a_pipe_that_is_called_a_card_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "card.json")
    with pytest.raises(UserError, match="cannot be read as a card"):
        read_card(tmp_path / "card.json")


def test_names_are_shown_on_one_line_with_their_control_characters_escaped():
    assert escape_name("a\nb\x1b[2J\udcffé夜") == r"a\nb\x1b[2J\udcffé夜"
    assert escape_name(Path("a b/c")) == "a b/c"


def test_long_lists_are_shown_whole_and_long_lines_are_cut():
    lines = printable("\n".join(["x" * 3000, *["photo"] * 1000])).split("\n")
    assert len(lines) == 1001 and len(lines[0]) == 2003
