"""A process that has imported torch once and forks a real ``fast-nst`` for every line of JSON that it is given.

It answers with the process id, and after an empty line with how that process ended: minus the signal, or the exit code.
Until then the id belongs to no other process. A request may name a ``moment`` (a file's pattern, how many such files are
written before it, whether it is half written or there, and the signal that then comes), a ``step`` at which signals come, a
small ``disk`` to work on, and ``noise``.
"""

import ctypes
import errno
import fnmatch
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import torch
import torch.utils.tensorboard

from fast_nst.cli import main as command
from fast_nst.system.files import write_text
from fast_nst.training import run as training_run
from fast_nst.training.module import StyleTransferModule

PRIVATE_USERS, PRIVATE_MOUNTS = 0x10000000, 0x00020000


def send(name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))


def signal_at(pattern: str, before: int, when: str, name: str) -> None:
    """Get a signal when a file is half written, or as soon as it is there; ENOSPC is no signal, but no room for it."""
    honest, left = os.replace, before

    def replace(source, target):
        nonlocal left
        left -= fnmatch.fnmatch(os.path.basename(target), pattern)
        if name == "ENOSPC" and left == -1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        now = left == -1 and fnmatch.fnmatch(os.path.basename(target), pattern)
        if now and when == "half":
            os.truncate(source, os.path.getsize(source) // 2)
            send(name)
        honest(source, target)
        if now:
            send(name)

    os.replace = replace


def signals_at_step(step: int, names: list[str]) -> None:
    honest = StyleTransferModule.training_step

    def training_step(module, *arguments):
        if module.global_step == step:
            for name in names:
                os.killpg(0, getattr(signal, name))  # to the processes that load photographs as well, as a terminal does
        return honest(module, *arguments)

    StyleTransferModule.training_step = training_step


def noise(module, *_):
    """Draws from all random states go into the weights, so that the end depends on them."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1 + 1e-3 * (random.random() + np.random.random() + torch.rand(())))


def small_disk(folder: str, size: int) -> None:
    """Mount a disk of ``size`` bytes on ``folder``, for this process alone."""
    identities, system = {"uid": os.getuid(), "gid": os.getgid()}, ctypes.CDLL(None, use_errno=True)
    if system.unshare(PRIVATE_USERS | PRIVATE_MOUNTS):
        raise SystemExit(77)
    Path("/proc/self/setgroups").write_text("deny")
    for kind, number in identities.items():
        Path(f"/proc/self/{kind}_map").write_text(f"0 {number} 1")
    if system.mount(b"none", folder.encode(), b"tmpfs", 0, f"size={size}".encode()):
        raise SystemExit(77)


def work(request: dict) -> None:
    os.setpgrp()
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(log, 1), os.dup2(log, 2)
    if request.get("moment"):
        signal_at(*request["moment"])
    if request.get("step"):
        signals_at_step(*request["step"])
    if request.get("noise"):
        StyleTransferModule.on_train_batch_start = noise
    if not request.get("export"):
        training_run.export_onnx = lambda network, path, *_: write_text(
            path, ""
        )  # the true one takes longer than these runs
    if not request.get("disk"):
        return command.main(request["arguments"])
    folder, size, kept = request["disk"]
    small_disk(folder, size)
    try:
        command.main(request["arguments"])
    finally:
        shutil.copytree(folder, kept)


def ended(request: dict) -> int:
    """The exit code of ``request``'s work."""
    try:
        work(request)
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


torch.set_num_threads(1)
for line in iter(sys.stdin.readline, ""):
    child = os.fork()
    if child == 0:
        code = ended(json.loads(line))
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    print(child, flush=True)
    sys.stdin.readline()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
