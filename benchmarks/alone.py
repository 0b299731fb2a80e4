"""Times and peak memory of a task in a process of its own. Arguments and result are JSON; torch is not imported.

    python benchmarks/alone.py '{"function": "picture", "megapixels": 4}'

The peak includes the picture, its result and all libraries; ``before`` is the memory at the start of the task, with
libraries and model.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fast_nst.system.files import SHIPPED

BASE = str(SHIPPED / "base.onnx")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def measured(function: str, threads: int, **arguments: object) -> dict[str, Any]:
    """The result of ``function`` of this module with ``arguments``, in a process with ``threads`` threads.

    Raises:
        RuntimeError: the process failed; the end of what it said.
    """
    text = json.dumps({"function": function, "threads": threads} | arguments)
    environment = os.environ | dict.fromkeys(THREADS, str(threads))
    done = subprocess.run([sys.executable, __file__, text], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{function} of {arguments} failed: {done.stderr[-1000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def picture(
    threads: int,
    megapixels: float,
    way: str = "whole",
    rounds: int = 1,
    model: str = BASE,
    style: str | None = None,
    photo: str = "coffee",
) -> dict[str, Any]:
    """One square picture, stylized whole or in tiles, ``rounds`` times; splitting the model, done once, is not timed."""
    from fast_nst.inference import tiling
    from fast_nst.inference.model import Model

    drawer, pixels = Model(Path(model), threads), photograph(megapixels, photo)
    weights = drawer.weights({style: 1.0} if style else None)
    draw = {
        "tiled": lambda picture: tiling.tiled(drawer, picture, weights),
        "whole": lambda picture: drawer(picture[None], weights)[0],
    }[way]
    draw(pixels[:64, :64])
    before, wall, processor = memory("VmRSS"), [], []
    for _ in range(rounds):
        started = time.perf_counter(), time.process_time()
        draw(pixels)
        wall.append(time.perf_counter() - started[0])
        processor.append(time.process_time() - started[1])
    return {"seconds": wall, "processor": processor, "before": before, "peak": memory("VmHWM")}


def folder(threads: int, source: str, output: str, style: str = "great_wave") -> dict[str, Any]:
    """All pictures of the folder ``source`` by `fast-nst stylize`, from files to files."""
    from fast_nst.settings.stylize import StylizeSettings
    from fast_nst.stylize.run import stylize_files, stylizer_of

    settings = StylizeSettings([source], style, output, overwrite=True, threads=threads)
    stylizer, before = stylizer_of(settings), memory("VmRSS")
    started = time.perf_counter()
    written = stylize_files(settings, stylizer)
    seconds = time.perf_counter() - started
    return {"seconds": [seconds], "written": len(written), "before": before, "peak": memory("VmHWM")}


def product(threads: int, side: int, rounds: int) -> dict[str, Any]:
    """NumPy's product of two square float32 matrices; ``threads`` are those of the environment."""
    one, other = np.random.default_rng(0).random((2, side, side), np.float32)
    taken = []
    for _ in range(1 + rounds):
        started = time.perf_counter()
        one @ other
        taken.append(time.perf_counter() - started)
    return {"seconds": taken[1:]}


def photograph(megapixels: float, name: str) -> np.ndarray:
    """A square photograph of so many megapixels, uint8 RGB: one of scikit-image's, enlarged strip by strip."""
    import skimage.data

    photo, side = getattr(skimage.data, name)(), round(math.sqrt(megapixels) * 1000)
    source = Image.fromarray(photo[: min(photo.shape[:2]), : min(photo.shape[:2])])
    pixels = np.empty((side, side, 3), np.uint8)
    for top in range(0, side, 1000):
        bottom = min(top + 1000, side)
        box = (0, top * source.height / side, source.width, bottom * source.height / side)
        pixels[top:bottom] = source.resize((side, bottom - top), Image.Resampling.BICUBIC, box)
    return pixels


def memory(field: str) -> float:
    """Megabytes of this process: VmRSS, now, or VmHWM, at most so far; elsewhere than on Linux the most for both.

    Linux's own ``ru_maxrss`` would count what the parent held when it started this process.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    print(json.dumps({"picture": picture, "folder": folder, "product": product}[arguments.pop("function")](**arguments)))
