"""Freed memory that stays with the process."""

import platform
import subprocess
import sys

import pytest

from fast_nst.cli import main
from fast_nst.system import allocator

PAGES = """
import ctypes, resource, sys
from fast_nst.system.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes, libc.free.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], [ctypes.c_void_p]

def piece(size=2**26):
    address = libc.malloc(size)
    libc.memset(address, 1, size)
    libc.free(address)

piece()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    piece()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this system's malloc is not glibc's")
def test_memory_that_is_freed_and_taken_again_costs_no_page_faults():
    def faults(way: str) -> int:
        return int(subprocess.run([sys.executable, "-c", PAGES, way], capture_output=True, text=True, check=True).stdout)

    assert faults("keep") < faults("return") / 10


def test_another_malloc_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("a library was looked for"))
    assert allocator.keep_freed_memory() is False


PAINT = ["optimize", "--content", "missing.jpg", "--style", "missing.png"]


@pytest.mark.parametrize(("arguments", "kept"), [(PAINT, True), ([*PAINT, "--low_memory", "true"], False)])
def test_commands_that_repeat_a_step_keep_its_memory_unless_memory_is_short(arguments, kept, monkeypatch):
    calls = []
    monkeypatch.setattr(main, "keep_freed_memory", lambda: calls.append("kept"))
    with pytest.raises(SystemExit):
        main.main(arguments)
    assert bool(calls) == kept


def test_other_commands_leave_memory_as_it_is(monkeypatch, capsys):
    monkeypatch.setattr(main, "keep_freed_memory", lambda: pytest.fail("kept"))
    main.main(["styles"])
    assert "great_wave" in capsys.readouterr().out
