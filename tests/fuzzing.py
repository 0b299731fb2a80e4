"""Damaged files, and what became of them: seeds are mutated, read by what the commands read with, and counted.

    python tests/fuzzing.py KIND FIRST COUNT FOLDER

mutates the seeds of one kind (picture, checkpoint, onnx, config) that lie in FOLDER/KIND, with the numbers FIRST to
FIRST + COUNT - 1, and prints counts as JSON. It runs in a process of its own, so that a crash of native code is seen: the
number under way is in FOLDER/KIND.now. Python's errors other than UserError end it with that number.
"""

from __future__ import annotations

import faulthandler
import io
import json
import resource
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fast_nst.errors import PartlyDone, UserError

HANGS = 60  # seconds for one input, on a busy machine
NUMBERS = [0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]


def mutated(seeds: list[bytes], number: int) -> bytes:
    """One of ``seeds`` with one to four damages, all chosen by ``number``."""
    chance = np.random.default_rng(number)
    content = bytearray(seeds[chance.integers(len(seeds))])
    for _ in range(chance.integers(1, 5)):
        damage = DAMAGES[chance.integers(len(DAMAGES))]
        content = damage(content or bytearray(b"\0"), chance, seeds)
    return bytes(content)


def _flipped(content: bytearray, chance: np.random.Generator, _: list[bytes]) -> bytearray:
    for _ in range(chance.integers(1, 9)):
        content[chance.integers(len(content))] ^= 1 << chance.integers(8)
    return content


def _cut(content: bytearray, chance: np.random.Generator, _: list[bytes]) -> bytearray:
    return content[: chance.integers(len(content))]


def _spliced(content: bytearray, chance: np.random.Generator, seeds: list[bytes]) -> bytearray:
    other = seeds[chance.integers(len(seeds))]
    return content[: chance.integers(len(content))] + other[chance.integers(len(other)) :]


def _inserted(content: bytearray, chance: np.random.Generator, _: list[bytes]) -> bytearray:
    place = chance.integers(len(content))
    return content[:place] + chance.bytes(chance.integers(1, 64)) + content[place:]


def _deleted(content: bytearray, chance: np.random.Generator, _: list[bytes]) -> bytearray:
    place = chance.integers(len(content))
    return content[:place] + content[place + chance.integers(1, 64) :]


def _doubled(content: bytearray, chance: np.random.Generator, _: list[bytes]) -> bytearray:
    place, length = chance.integers(len(content)), chance.integers(1, 256)
    return content[:place] + content[place : place + length] * int(chance.integers(2, 9)) + content[place:]


def _extreme(content: bytearray, chance: np.random.Generator, _: list[bytes]) -> bytearray:
    width, order = [(1, "B"), (2, "H"), (4, "I"), (8, "Q")][chance.integers(4)], "<>"[chance.integers(2)]
    number = NUMBERS[chance.integers(len(NUMBERS))] % 256 ** width[0]
    place = chance.integers(len(content))
    content[place : place + width[0]] = struct.pack(order + width[1], number)
    return content


def _digits(content: bytearray, chance: np.random.Generator, _: list[bytes]) -> bytearray:
    """Another number where the file has one in plain digits."""
    places = [place for place, letter in enumerate(content) if 48 <= letter <= 57]
    if not places:
        return content
    place, texts = (
        places[chance.integers(len(places))],
        [*map(str, NUMBERS), "-1", "1e999", ".nan", "1" * 400, "null", "[[["],
    )
    return content[:place] + texts[chance.integers(len(texts))].encode() + content[place + 1 :]


DAMAGES = [_flipped, _cut, _spliced, _inserted, _deleted, _doubled, _extreme, _digits]


def read_as_picture(path: Path) -> None:
    """Decode every frame and write it again, as ``fast-nst stylize`` does."""
    from fast_nst.imaging.frames import read_picture, write_picture
    from fast_nst.imaging.images import load_image

    picture = read_picture(path, max_pixels=1_000_000)
    assert all(frame.pixels.dtype == np.uint8 and frame.pixels.shape[2] == 3 for frame in picture.frames)
    write_picture(picture, io.BytesIO(), picture.suffix.lower())
    if len(picture.frames) == 1:
        assert load_image(path, 16).shape[2] == 3


def read_as_checkpoint(path: Path) -> None:
    import torch

    from fast_nst.networks.weights import load_network

    with torch.inference_mode():
        assert load_network(path)(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def read_as_model(path: Path) -> None:
    from fast_nst.stylize.stylizer import Stylizer

    photo = np.arange(17 * 18 * 3, dtype=np.uint32).astype(np.uint8).reshape(17, 18, 3)
    picture = Stylizer(path, threads=1)(photo)
    assert picture.shape == photo.shape and picture.dtype == np.uint8


def read_as_config(path: Path) -> None:
    from fast_nst.cli.main import arguments_for, parser_of

    arguments_for(parser_of("train"), ["--config", str(path)])


READERS: dict[str, Callable[[Path], None]] = {
    "picture": read_as_picture,
    "checkpoint": read_as_checkpoint,
    "onnx": read_as_model,
    "config": read_as_config,
}


def outcome(kind: str, path: Path) -> str:
    """``read`` or ``refused``; anything but a right value and a UserError of one line is raised."""
    try:
        READERS[kind](path)
    except PartlyDone:
        raise
    except UserError as error:
        assert "\n" not in str(error).strip() and str(error), repr(str(error))
        return "refused"
    return "read"


def main(kind: str, first: int, count: int, folder: Path) -> None:
    files = sorted((folder / kind).iterdir()) if (folder / kind).is_dir() else []
    if not files:
        raise SystemExit(f"no seeds: put sound files of this kind into {folder / kind}")
    seeds, counts = {}, Counter()
    for file in files:
        assert outcome(kind, file) == "read", f"the seed {file} itself"
        seeds.setdefault(file.suffix, []).append(file.read_bytes())
    suffixes, before = sorted(seeds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(first, first + count):
        suffix = suffixes[number % len(suffixes)]
        path = folder / f"{kind}{suffix}"
        path.write_bytes(
            mutated(seeds[suffix] if kind != "picture" else [seed for own in seeds.values() for seed in own], number)
        )
        (folder / f"{kind}.now").write_text(str(number))
        faulthandler.dump_traceback_later(HANGS, exit=True)
        counts[outcome(kind, path)] += 1
    faulthandler.cancel_dump_traceback_later()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(json.dumps(counts | {"megabytes": grown}))


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[1] not in READERS:
        raise SystemExit(f"usage: python tests/fuzzing.py {{{','.join(READERS)}}} FIRST COUNT FOLDER")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
