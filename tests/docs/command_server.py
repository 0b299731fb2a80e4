"""Runs the commands of a shell in forks of one process, which imports PyTorch once for all of them.

``fast-nst`` and ``python`` on the shell's path are ``CLIENT``: it sends its words, its folder, its environment and its three
streams over a socket, and ends with the exit code that comes back. ``python command_server.py SOCKET`` is the server.
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import sys
from pathlib import Path

CLIENT = """#!{python} -SEs
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = {{"words": [os.path.basename(sys.argv[0]), *sys.argv[1:]], "folder": os.getcwd(), "environment": dict(os.environ)}}
socket.send_fds(server, [json.dumps(request).encode() + b"\\n"], [0, 1, 2])
sys.exit(int(server.makefile().readline()))
"""
WITH_TORCH = ("train", "export", "evaluate", "optimize", "sweep", "reconstruct", "style-check")
SMALLER = {  # what is added to a command's words, so that it takes a moment; the last of two equal options counts
    "stylize": "--threads 1",
    "train": "--steps 1 --minutes null --image_size 64 --batch_size 1 --style_size 64 --workers 0 --device cpu",
    "optimize": "--steps 1 --fine_steps 1 --size 96 --device cpu",
    "sweep": "--steps 1 --fine_steps 1 --size 96 --device cpu",
    "reconstruct": "--steps 1 --size 48 --device cpu",
    "evaluate": "--count 1 --size 64 --iterations 1",
}
SCRIPTS = {"train.py": "train", "stylize.py": "stylize", "export.py": "export"}
LOOKS_ONLY = {"--help", "--print_config"}


def smaller(name: str, words: list[str]) -> list[str]:
    """The words of command ``name`` with those of ``SMALLER``."""
    return words if LOOKS_ONLY & set(words) else [*words, *SMALLER.get(name, "").split()]


def run_words(program: str, words: list[str]) -> None:
    """Run ``fast-nst WORDS``, or ``python WORDS``, a file or ``-c`` and code."""
    if program == "fast-nst":
        from fast_nst.cli.main import main

        main([*words[:1], *smaller(words[0], words[1:])])
    elif words[0] == "-c":
        exec(compile(words[1], "-c", "exec"), {"__name__": "__main__"})
    else:
        name = SCRIPTS.get(Path(words[0]).name, "")
        sys.argv = [words[0], *(smaller(name, words[1:]) if name else words[1:])]
        runpy.run_path(words[0], run_name="__main__")


def exit_code(program: str, words: list[str]) -> int:
    try:
        run_words(program, words)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def needs_torch(program: str, words: list[str]) -> bool:
    first = words[0] if words else ""
    name = first if program == "fast-nst" else SCRIPTS.get(Path(first).name)
    return name in WITH_TORCH and not LOOKS_ONLY & set(words)


def answer(connection: socket.socket) -> None:
    """Run the command that ``connection`` asks for in a fork, and send its exit code back."""
    text, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not text.endswith(b"\n"):
        text += connection.recv(1 << 20)
    request = json.loads(text)
    program, *words = request["words"]
    if needs_torch(program, words):
        import torch

        import fast_nst.training.run  # noqa: F401

        torch.set_num_threads(1)
    child = os.fork()
    if child == 0:
        for place, stream in enumerate(streams):
            os.dup2(stream, place)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        code = exit_code(program, words)
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    for stream in streams:
        os.close(stream)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(f"{code if code >= 0 else 128 - code}\n".encode())


def serve(address: str) -> None:
    import onnxruntime  # noqa: F401

    import fast_nst.stylize.run  # noqa: F401

    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    print("ready", flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            answer(connection)


if __name__ == "__main__":
    serve(sys.argv[1])
