"""Every code block of README and docs is pasted into a shell in a clean folder, page by page and in order.

A block fails with a command whose exit code is not 0, and with an ``--output`` that is not there afterwards. Before a page,
the folder holds only what its text presupposes: photographs, paintings and films under the names that it uses, and those
files of the repository that its commands name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from command_server import CLIENT
from conftest import random_state_dict
from PIL import Image

from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.networks.loss_network import ARCHITECTURES
from fast_nst.stylize.library import shipped_styles

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LONG = {  # pages of trainings, or of more than a minute, which are pasted by pytest --full
    "command_line.md": "trains",
    "benchmarks.md": "trains and evaluates under VGG-19",
    "experiments.md": "optimizes under five networks",
    "export.md": "exports eight models",
    "optimize.md": "optimizes a dozen pictures",
    "styles.md": "trains seven parts of the base",
    "train.md": "trains eight times",
    "tutorial.md": "trains twice and exports",
}
ELSEWHERE = {  # pages that are not pasted
    "app.md": "starts an app, which Ctrl-C ends",
    "cluster.md": "starts clusters; tests/cluster runs its local examples",
    "page.md": "builds with Node; tests/web runs the page",
}
LEFT_OUT = {  # lines that hold these words, and Python that does
    "--camera": "takes a camera",
    "fast-nst engines": "times every engine for half a minute",
    "--engine auto": "times every engine as well",
}
MISSING = {  # the same where a package is not installed
    "openvino": ("openvino",),
    "film.mp4": ("av", "cv2"),
    "for_film": ("cv2",),
}
REPLACED = {"step=008000*.ckpt": "step=*.ckpt"}  # a training is one step here
NOTHING = ("pip", "git", "pytest")  # they install or test the package itself, as .ci/run does
WRITTEN = {  # by commands that name no output
    "README.md": ["photo.great_wave.jpg", "film.starry_night.mp4", "checkpoints/mine/mine.onnx", "photo.mine.jpg"]
    + ["checkpoints/quickstart/quickstart.onnx", "drawn.jpg"],
    "index.md": ["photo.great_wave.jpg"],
    "stylize.md": [
        "photo.great_wave.jpg",
        "cat.great_wave.gif",
        "film.great_wave.mp4",
        "panorama.great_wave.tif",
        "out.png",
    ],
    "train.md": ["checkpoints/mine/previews/final.png", "checkpoints/classical/classical.onnx", "photo.mine_strong.jpg"],
    "tutorial.md": ["checkpoints/bolder/bolder.onnx", "mine_phone.json", "as_on_the_phone.png"],
    "export.md": ["mine_int8.report.json", "mine_web.json", "drawn.png"],
}
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
OUTPUT = re.compile(r"(?:--output|-o|>)[ =]([\w./-]+)")


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of the blocks of a page that are to be pasted."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def left_out() -> dict[str, str]:
    """Words -> why lines that hold them are not pasted here."""
    absent = {words: [name for name in names if not find_spec(name)] for words, names in MISSING.items()}
    return LEFT_OUT | {words: f"{', '.join(names)} not installed" for words, names in absent.items() if names}


def prepared(language: str, block: str) -> str:
    """A block as it is pasted: without what cannot run here, line by line in a shell and as a whole in Python."""
    for words, others in REPLACED.items():
        block = block.replace(words, others)
    reasons = left_out()
    for words in (words for words in MISSING if words in reasons and words in block):
        warnings.warn(f"{words} is left out of a page: {reasons[words]}", stacklevel=2)
    if language == "python":
        return "" if any(words in block for words in reasons) else block
    return "".join(line for line in block.splitlines(keepends=True) if not any(words in line for words in reasons))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of everything that the pages presuppose, small."""
    folder = tmp_path_factory.mktemp("pictures")
    for place in ("photos", "holiday", "COCO", "PHOTOS"):
        (folder / place).mkdir()
        for name in ("astronaut", "chelsea"):
            Image.fromarray(getattr(skimage.data, name)()[:96, :128]).save(folder / place / f"{name}.jpg")
    photo, painting = (
        Image.open(folder / "photos" / "chelsea.jpg"),
        Image.fromarray(draw_style("impasto", 1)).resize((160, 128)),
    )
    for name in ("photo.jpg", "panorama.tif", "scan.tif"):
        photo.save(folder / name)
    for name in ("painting", *shipped_styles()):
        painting.save(folder / f"{name}.jpg")
    photo.convert("L").save(folder / "sky.png")
    photo.save(folder / "cat.gif", save_all=True, append_images=[photo.rotate(90)], duration=50)
    if find_spec("av"):
        write_film(folder / "film.mp4")
    return folder


def write_film(path: Path) -> None:
    """A film of three frames."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in (50, 120, 200):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``TORCH_HOME`` in which torchvision finds weights of every loss network, random ones."""
    folder = tmp_path_factory.mktemp("torch")
    (folder / "hub" / "checkpoints").mkdir(parents=True)
    deepest = {"vgg16": "relu5_3", "vgg19": "conv5_2", "squeezenet1_0": "fire5", "squeezenet1_1": "fire5"}
    for name, layer in (deepest | {"resnet50": "layer3_6", "inception_v3": "mixed6a"}).items():
        state = random_state_dict(name, layer)
        for key, value in state.items():
            if value.dim() == 4:  # features of one size from layer to layer
                state[key] = torch.randn(value.shape) * (2 / value[0].numel()) ** 0.5
        torch.save(state, folder / "hub" / "checkpoints" / ARCHITECTURES[name].weights.url.rpartition("/")[2])
    return folder


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables of a shell that finds ``fast-nst`` and ``python``, both of which run in forks of one process."""
    folder = tmp_path_factory.mktemp("bin")
    address = str(folder / "socket")
    for name in ("fast-nst", "python"):
        (folder / name).write_text(CLIENT.format(python=sys.executable, address=address))
    for name in NOTHING:
        (folder / name).write_text("#!/bin/sh\n")
    for program in folder.iterdir():
        program.chmod(0o755)
    variables = {"PATH": f"{folder}:{os.environ['PATH']}", "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("command_server.py")), address],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    )
    assert server.stdout.readline() == "ready\n"
    yield variables
    server.kill()
    server.wait()


def lay_out(folder: Path, pictures: Path) -> None:
    """The pictures, and what commands name of the repository."""
    shutil.copytree(pictures, folder, dirs_exist_ok=True)
    for name in ("benchmarks", "configs", "tests", "train.py"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "fast_nst" / "pretrained").mkdir(parents=True)


def pasted(page: Path, folder: Path, environment: dict[str, str]) -> None:
    """Run the blocks of ``page`` in ``folder``, one after the other; what each one was to write is there."""
    for place, (language, block) in enumerate(blocks(page), 1):
        text = prepared(language, block)
        if language == "python":
            (folder / f"block_{place}.py").write_text(text)
        script = text if language == "sh" else f"python block_{place}.py"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        assert done.returncode == 0, f"{page.name}, block {place}:\n{text}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        for output in OUTPUT.findall(text) if language == "sh" else ():
            assert (folder / output).exists(), f"{page.name}, block {place} wrote no {output}:\n{text}"


def page_case(page: Path) -> object:
    return pytest.param(page, id=page.name, marks=[pytest.mark.full] * (page.name in LONG))


@pytest.mark.skipif(os.name == "nt", reason="the blocks are written for a POSIX shell")
@pytest.mark.parametrize("page", [page_case(page) for page in PAGES if blocks(page) and page.name not in ELSEWHERE])
def test_the_blocks_of_a_page_run_when_they_are_pasted(page, tmp_path, pictures, shell, request):
    lay_out(tmp_path, pictures)
    own = {"FAST_NST_STYLES": str(tmp_path / "styles"), "HOME": str(tmp_path), "PWD": str(tmp_path)}
    if page.name in LONG:
        own["TORCH_HOME"] = str(request.getfixturevalue("weights"))
        shutil.copy(Path(own["TORCH_HOME"]) / "hub" / "checkpoints" / "vgg16-397923af.pth", tmp_path)
        torch.save(request.getfixturevalue("mosaic"), tmp_path / "mosaic.pth")
    pasted(page, tmp_path, os.environ | shell | own)
    for name in WRITTEN.get(page.name, ()):
        assert (tmp_path / name).exists() or ("film" in name and "film.mp4" in left_out()), name


@pytest.fixture(scope="session")
def mosaic() -> dict[str, torch.Tensor]:
    """A state dict in the names of pytorch/examples fast_neural_style, of random numbers, width 4."""
    kernels = {"conv1": (4, 3, 9), "conv2": (8, 4, 3), "conv3": (16, 8, 3), "deconv1": (8, 16, 3), "deconv2": (4, 8, 3)}
    kernels |= {"deconv3": (3, 4, 9)} | {f"res{block}.conv{part}": (16, 16, 3) for block in range(1, 6) for part in (1, 2)}
    norms = {"in1": 4, "in2": 8, "in3": 16, "in4": 8, "in5": 4}
    norms |= {f"res{block}.in{part}": 16 for block in range(1, 6) for part in (1, 2)}
    state = {
        f"{name}.conv2d.weight": torch.rand(out, into, side, side) / side**2 for name, (out, into, side) in kernels.items()
    }
    state |= {f"{name}.conv2d.bias": torch.rand(shape[0]) for name, shape in kernels.items()}
    return state | {f"{name}.{part}": torch.rand(count) for name, count in norms.items() for part in ("weight", "bias")}


def test_pages_and_words_that_are_treated_apart_exist():
    names, text = {page.name for page in PAGES}, "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(LONG) | set(WRITTEN) <= names
    assert all(words in text for words in [*LEFT_OUT, *MISSING, *REPLACED])
