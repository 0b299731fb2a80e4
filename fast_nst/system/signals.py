"""Signals that ask a process to end: Ctrl-C, SIGTERM, SIGHUP of a closed terminal, and SIGUSR1 and SIGUSR2 of schedulers.

The first one is answered at once, or between two steps where steps are being made, so that the saved state can be resumed
exactly. The second ends the process immediately.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from fast_nst.errors import Stopped

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]  # Windows has two of them
HANG_UP = getattr(signal, "SIGHUP", None)


def leave_to_parent(*_: object) -> None:
    """Handle only the parent's signals, in processes that load photographs.

    A terminal or a scheduler sends its signals to all processes at once, and the parent answers them; but SIGTERM from the
    parent itself, which Python sends to its children when it exits, ends this process. Only a thread that waits for a
    signal is told who sent it.
    """
    if not hasattr(signal, "sigwaitinfo"):
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while True:
        sent = signal.sigwaitinfo(SIGNALS)
        if sent.si_signo == signal.SIGTERM and sent.si_pid == parent:
            os._exit(0)


class StopSignals:
    """Handler of ``SIGNALS`` (context manager), for the main thread of the process that entered it.

    A signal raises ``Stopped`` where it arrives; while ``deferred``, its number is only kept in ``asked``. SIGHUP stays
    ignored where ``nohup`` made it so.

    Attributes:
        asked: the number of the signal that came, 0 for none.
        deferred: whether a signal waits until ``asked`` is read.
    """

    def __init__(self) -> None:
        self.asked, self.deferred = 0, False
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        self._process = os.getpid()
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        self._before = {number: old for number, old in handlers.items() if number != HANG_UP or old != signal.SIG_IGN}
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._set(self._before)

    def listen(self) -> None:
        """Install the handlers, again where another library replaced them."""
        self._set(dict.fromkeys(self._before, self._receive))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Defer signals within the block; one that came raises ``Stopped`` at its end."""
        self.deferred = True
        try:
            yield
        finally:
            self.deferred = False
        if self.asked:
            raise Stopped(self.asked)

    def _set(self, handlers: dict[int, Any]) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a forked process that loads photographs: its parent answers
        if self.asked:
            os._exit(128 + number)  # the second signal ends the process even where it hangs
        self.asked = number
        if not self.deferred:
            raise Stopped(number)
