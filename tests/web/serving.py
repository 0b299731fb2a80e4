"""The page for its tests: built from this tree, served on this machine alone, with a film for the browser's camera."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
DIST = WEB / "dist"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SOURCES = ("src", "scripts", "public/_headers", "index.html", "vite.config.ts", "tsconfig.json", "package-lock.json")
CAMERA = (64, 48)  # width and height of the camera's pictures


def missing() -> list[str]:
    """What the tests need and is not here."""
    absent = [name for name in ("node", "npm") if not shutil.which(name)] + ([] if CHROMIUM else ["chromium"])
    return absent + ([] if importlib.util.find_spec("playwright") else ["playwright"])


def build() -> Path:
    """The folder of the built page; built anew if a source is newer."""
    if not (WEB / "node_modules" / "vite").exists():
        _npm("ci")
    if not (DIST / "index.html").exists() or (DIST / "index.html").stat().st_mtime < _newest():
        _npm("run", "build")
    return DIST


def _newest() -> float:
    """When the newest source of the page was changed."""
    paths = [WEB / name for name in SOURCES] + [ROOT / "fast_nst" / "pretrained"]
    return max(file.stat().st_mtime for path in paths for file in ([path] if path.is_file() else path.rglob("*.*")))


def _npm(*words: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # `python` is the one that tests
    done = subprocess.run(["npm", *words], cwd=WEB, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


class _Handler(SimpleHTTPRequestHandler):
    """Files of a folder with the headers of ``web/public/_headers``, if ``isolated``."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".wasm": "application/wasm"}

    def __init__(self, *arguments, isolated: bool, **keywords) -> None:
        self.isolated = isolated
        super().__init__(*arguments, **keywords)

    def end_headers(self) -> None:
        for line in (DIST / "_headers").read_text().splitlines()[1:] if self.isolated else ():
            self.send_header(*line.strip().split(": "))
        super().end_headers()

    def log_message(self, *_) -> None: ...


@contextmanager
def serve(folder: Path, isolated: bool = True) -> Iterator[str]:
    """The address of ``folder`` on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder), isolated=isolated))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def film(path: Path) -> Path:
    """A short film in YUV 4:2:0, for the camera: a gray that gets lighter."""
    width, height = CAMERA
    frames = [
        b"FRAME\n" + bytes([gray]) * (width * height) + bytes([128]) * (width * height // 2) for gray in range(60, 200, 10)
    ]
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode() + b"".join(frames))
    return path
