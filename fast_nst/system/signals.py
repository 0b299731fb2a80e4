"""Signals that ask a long work to end: Ctrl-C, SIGTERM, and SIGUSR1 and SIGUSR2, which schedulers send ahead of time.

The first one is answered at once, or between two steps where steps are being made, so that what is saved then goes on
exactly. The second ends the process on the spot.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fast_nst.errors import Stopped

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]


def leave_to_parent(*_: object) -> None:
    """Heed the signals of the parent alone: in processes that load photographs.

    A terminal or a scheduler sends its signals to all processes at once, and it is the parent that answers them; but SIGTERM
    from the parent itself, which Python sends to whoever is left when it exits, is an end. Only a thread that waits for a
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
    """Answers the signals while it is entered, in the main thread of the process that entered it.

    A signal raises ``Stopped`` where it arrives, unless ``deferred``: then it waits in ``asked`` until somebody looks.
    """

    def __init__(self) -> None:
        self.asked, self.deferred = 0, False  # the signal's number, 0 for none
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        self._process = os.getpid()
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._set(self._before)

    def listen(self) -> None:
        """Take the signals, also from whoever took them since."""
        self._set(dict.fromkeys(SIGNALS, self._receive))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Defer signals within the block; one that nobody looked at is answered at its end."""
        self.deferred = True
        try:
            yield
        finally:
            self.deferred = False
        if self.asked:
            raise Stopped(self.asked)

    def _set(self, handlers: dict[int, object]) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a process that loads photographs: whoever started it decides
        if self.asked:
            os._exit(128 + number)  # the second time: at once, whatever hangs
        self.asked = number
        if not self.deferred:
            raise Stopped(number)
