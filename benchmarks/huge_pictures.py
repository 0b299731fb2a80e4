"""Large pictures in tiles: time, memory and disk by size, the error of tiling, and the effect of a thumbnail's statistics.

    python benchmarks/huge_pictures.py                                  # all of it, about 15 minutes on two cores
    python benchmarks/huge_pictures.py --megapixels 1 100 --exact --thumbnails
    python benchmarks/huge_pictures.py --model johnson.onnx --whole 4 --exact 1 4

A whole picture takes 0.3 GB a megapixel with the preset `fast`, 0.9 GB with `johnson`: choose --whole and --exact by that.

Prints Markdown. The picture is one of scikit-image's photographs, enlarged, so it is smoother than a photograph of its size.
Each size is drawn by a process of its own (``alone``).
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import alone
import numpy as np
import onnx
import onnxruntime
from alone import photograph
from onnx import TensorProto, helper
from PIL import Image

from fast_nst.inference import tiling
from fast_nst.inference.model import Model
from fast_nst.inference.stages import Graph
from fast_nst.system.files import SHIPPED


def weights_of(model: Model, style: str | None) -> np.ndarray:
    return model.weights({style: 1.0} if style else None)


def measured(megapixels: float, way: str, arguments: argparse.Namespace) -> dict[str, float]:
    """The fastest of some rounds of one size, and the peak of memory."""
    settings = {"way": way, "photo": arguments.photo, "model": arguments.model, "style": arguments.style}
    settings["rounds"] = max(1, min(arguments.rounds, round(30 / megapixels)))
    found = alone.measured("picture", arguments.threads, megapixels=megapixels, **settings)
    return {"seconds": min(found["seconds"]), "processor": min(found["processor"]), "peak": found["peak"]}


def table_of_sizes(arguments: argparse.Namespace) -> None:
    model = Model(Path(arguments.model))
    print("| megapixels | drawn | seconds | seconds a megapixel | processor seconds a megapixel | peak MB | files GB |")
    print("|---|---|---|---|---|---|---|")
    for megapixels in arguments.megapixels:
        side = round(math.sqrt(megapixels) * 1000)
        for way in ("tiled", "whole") if megapixels <= arguments.whole else ("tiled",):
            row = measured(megapixels, way, arguments)
            files = f"{tiling.disk_bytes(model, side, side) / 1e9:.2f}" if way == "tiled" else "-"
            each = [row["seconds"] / megapixels, row["processor"] / megapixels]
            print(f"| {megapixels:g} | {way} | {row['seconds']:.2f} | {each[0]:.3f} | {each[1]:.3f} ", end="")
            print(f"| {row['peak']:.0f} | {files} |", flush=True)


def drawn_under(statistics: dict[str, np.ndarray], pixels: np.ndarray, weights: np.ndarray, drawer: Model) -> np.ndarray:
    """The whole picture by a session that takes its norms' statistics instead of taking them; its memory is given back."""
    model = onnx.load(drawer.path)
    graph = Graph(model)
    nodes = graph.part(graph.statistics, ["picture"])
    read = {name for node in nodes for name in node.input}
    takes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in sorted(graph.statistics)]
    constants = [tensor for name, tensor in graph.constants.items() if name in read and name != "style"]
    part = helper.make_graph(nodes, "whole", [*model.graph.input, *takes], list(model.graph.output), constants)
    whole = helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = drawer.threads, 3
    session = onnxruntime.InferenceSession(whole.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": pixels[None], "style": weights, **statistics})[0][0]


def print_difference(what: str, one: np.ndarray, other: np.ndarray) -> None:
    apart = np.abs(one.astype(np.int16) - other)
    print(f"| {what} | {apart.max()} | {apart.mean():.4f} | {100 * (apart > 2).mean():.3g} |", flush=True)


def print_header(title: str) -> None:
    print(f"\n{title}\n\n| what | largest, of 255 | mean | % of values apart by more than 2 |\n|---|---|---|---|")


def table_of_exactness(arguments: argparse.Namespace) -> None:
    """The tiled picture against the whole one, with the statistics as onnxruntime sums them, and with exact ones."""
    model = Model(Path(arguments.model), arguments.threads)
    weights = weights_of(model, arguments.style)
    print_header("How exact")
    for megapixels in arguments.exact:
        pixels = photograph(megapixels, arguments.photo)
        seen = tiling.statistics(model, pixels, weights)
        tiled, exact = tiling.tiled(model, pixels, weights), drawn_under(seen, pixels, weights, model)
        plain = Model(model.path, model.threads)(pixels[None], weights)[0]  # of its own, so that its memory is given back
        print_difference(f"{megapixels:g} megapixels: tiled, and whole with the same statistics", tiled, exact)
        print_difference(f"{megapixels:g} megapixels: tiled, and whole", tiled, plain)
        print_difference(f"{megapixels:g} megapixels: whole, and whole with exact statistics", plain, exact)


def table_of_thumbnails(arguments: argparse.Namespace) -> None:
    """The whole picture under the statistics of a reduced one (Chen et al. 2022), against its own."""
    model = Model(Path(arguments.model), arguments.threads)
    weights, pixels = weights_of(model, arguments.style), photograph(arguments.enlarged, arguments.photo)
    exact = drawn_under(tiling.statistics(model, pixels, weights), pixels, weights, model)
    print_header(f"Statistics of a thumbnail, for {arguments.enlarged:g} megapixels")
    for side in arguments.thumbnails:
        thumbnail = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))
        reduced = drawn_under(tiling.statistics(model, thumbnail, weights), pixels, weights, model)
        print_difference(f"a thumbnail of {side} x {side}", reduced, exact)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, nargs="*", default=[1, 4, 12, 24, 50, 100])
    parser.add_argument("--whole", type=float, default=12, help="megapixels up to which a picture is drawn whole as well")
    parser.add_argument("--exact", type=float, nargs="*", default=[1, 6, 12])
    parser.add_argument("--thumbnails", type=int, nargs="*", default=[1024, 512, 256])
    parser.add_argument("--enlarged", type=float, default=6)
    parser.add_argument("--model", default=str(SHIPPED / "base.onnx"))
    parser.add_argument("--style", help="a row of the model (none: its own)")
    parser.add_argument("--photo", default="coffee", choices=("astronaut", "chelsea", "coffee"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="of which the fastest counts, for small pictures")
    arguments = parser.parse_args()
    if arguments.megapixels:
        table_of_sizes(arguments)
    if arguments.exact:
        table_of_exactness(arguments)
    return table_of_thumbnails(arguments) if arguments.thumbnails else None


if __name__ == "__main__":
    main()
