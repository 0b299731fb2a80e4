"""Trainings that the page starts: each is ``fast-nst train`` in a process of its own, with an ordinary run folder.

The page shows what lies in that folder, so a closed browser loses nothing. The painting, uploaded photographs and what the
command printed are kept in ``checkpoints/.app/NAME/``, as a training that goes on needs them again.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fast_nst.errors import UserError
from fast_nst.imaging.images import save_image
from fast_nst.runs.folder import RunFolder
from fast_nst.settings.app import AppSettings
from fast_nst.system.files import check_folder

OWN, PAINTING, PHOTOS, LOG = ".app", "painting.png", "photos", "log.txt"
FAREWELL = 120  # seconds that a training has to save its state
TAIL = 20_000  # bytes of a log that are read
APART: dict[str, Any]  # how a training is started on its own
if sys.platform == "win32":
    STOP, APART = signal.CTRL_BREAK_EVENT, {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    STOP, APART = signal.SIGINT, {"start_new_session": True}  # Ctrl-C in the terminal is the app's own


@dataclass(eq=False)
class Training:
    """A process that trains.

    Attributes:
        folder: the run's.
        log: the file that it prints to.
        stopped: whether it was asked to end.
    """

    process: subprocess.Popen
    folder: RunFolder
    log: Path
    stopped: bool = False

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    @property
    def succeeded(self) -> bool:
        """Whether it has ended, and trained to the end."""
        return self.process.poll() == 0

    def last_line(self) -> str:
        """What the process printed last; of an error, its sentence."""
        return last_line_of(self.log)

    def stop(self) -> None:
        """Ask the process to save its state and end, and wait until it has."""
        if self.is_running:
            self.stopped = True
            self.process.send_signal(STOP)
        try:
            self.process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Trainings:
    """The trainings of one app, one at a time."""

    def __init__(self, settings: AppSettings) -> None:
        self.settings, self.root = settings, Path(settings.checkpoints).absolute()
        self.current: Training | None = None
        self._lock = threading.Lock()

    def start(
        self, painting: np.ndarray, name: str, minutes: float, photos: Sequence[str] = (), folder: str | None = None
    ) -> Training:
        """Train from the network that ``fast-nst train`` starts from.

        Args:
            painting: uint8 RGB (H, W, 3).
            name: of the style.
            minutes: length of the training.
            photos: uploaded photographs.
            folder: or a folder of them; without either, the package draws scenes.
        Raises:
            UserError: a training is running, the name is taken or no name, or there is no such folder.
        """
        with self._lock:
            self._check_idle()
            run = RunFolder(self.root, name.strip())
            run.check({}, resume=False, overwrite=False)
            if folder:
                check_folder(folder, "folder of photographs", "the path")
            data = folder or self._kept(run.name, photos)
            save_image(painting, self._own(run.name) / PAINTING)
            words = [str(self._own(run.name) / PAINTING), *(["--data", data] if data else [])]
            return self._launch(run, [*words, *self._flags(run.name, minutes)])

    def resume(self, name: str) -> Training:
        """Go on with a stopped run."""
        with self._lock:
            self._check_idle()
            if name not in self.stopped():
                raise UserError(f"no stopped training is called {name!r}; choose one of the list")
            run = RunFolder(self.root, name)
            return self._launch(run, ["--config", str(run.config), "--checkpoints", str(self.root), "--resume"])

    def stop_and_keep(self) -> Path:
        """Stop the training that is running and export what it has learned; the model's path.

        Raises:
            UserError: none is running, or it had no checkpoint yet.
        """
        with self._lock:
            training = self.current
            if training is None or not training.is_running:
                raise UserError("no training is running")
            training.stop()
            if not training.folder.checkpoints():
                raise UserError(training.last_line())
            words = [str(training.folder.path), "--output", str(training.folder.onnx), "--overwrite"]
            done = subprocess.run(_command("export", words), capture_output=True, text=True, errors="replace")
            if done.returncode:
                raise UserError(_last(done.stderr))
            return training.folder.onnx

    def stopped(self) -> list[str]:
        """Names of the trainings that may go on, the newest first."""
        busy = self.current.folder.name if self.current and self.current.is_running else None
        configs = sorted(self.root.glob("*/config.yaml"), key=lambda path: -path.stat().st_mtime)
        return [path.parent.name for path in configs if path.parent.name != busy and _may_go_on(path.parent)]

    def close(self) -> None:
        """Stop the training that is running, as the app ends."""
        if self.current and self.current.is_running:
            self.current.stop()
            print(f"the training {self.current.folder.name} is stopped; it goes on from the tab Train")

    def _check_idle(self) -> None:
        if self.current and self.current.is_running:
            raise UserError(f"{self.current.folder.name} is being trained; wait for its end, or stop it")

    def _flags(self, name: str, minutes: float) -> list[str]:
        values: dict[str, Any] = {"minutes": minutes} | self.settings.train
        if "steps" in values:
            del values["minutes"]
        flags = [word for key, value in values.items() for word in (f"--{key}", str(value))]
        return [*flags, "--name", name, "--checkpoints", str(self.root)]

    def _launch(self, run: RunFolder, words: Sequence[str]) -> Training:
        log = self._own(run.name) / LOG
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
            process = subprocess.Popen(_command("train", words), **streams, **APART)
        self.current = Training(process, run, log)
        return self.current

    def _own(self, name: str) -> Path:
        return self.root / OWN / name

    def _kept(self, name: str, photos: Sequence[str]) -> str | None:
        """The folder to which uploaded photographs are copied; None without any."""
        if not photos:
            return None
        folder = self._own(name) / PHOTOS
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for number, photo in enumerate(photos):
            shutil.copyfile(photo, folder / f"{number:05d}{Path(photo).suffix}")
        return str(folder)


def last_line_of(log: Path) -> str:
    """The last line that a command printed to ``log``; of an error, its sentence; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            return _last(file.read().decode("utf-8", "replace"))
    except FileNotFoundError:
        return ""


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("fast-nst: ") if lines else ""


def _command(name: str, words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "fast_nst", name, *words]


def _may_go_on(folder: Path) -> bool:
    """Whether ``folder`` holds a training that was stopped after a checkpoint."""
    run = RunFolder(folder.parent, folder.name)
    try:
        is_training = "image_size" in run.saved_config()
    except UserError:
        return False
    return is_training and not run.card.exists() and bool(run.checkpoints())
