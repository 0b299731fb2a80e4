"""Writes docs/styles.md from the card of the base, the paintings' titles and the tables in docs/benchmarks.

    python benchmarks/shipped_styles.py ... && python benchmarks/johnson_fig5.py ...
    python benchmarks/showcase.py strengths --output docs/images/strengths
    python benchmarks/styles_page.py

The text around tables and titles is styles_page.md.template, beside this file.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from string import Template

import numpy as np

from fast_nst.stylize.library import shipped_styles

DOCS = Path(__file__).parents[1] / "docs"
TEMPLATE = Path(__file__).with_name("styles_page.md.template")
CARD = Path(__file__).parents[1] / "fast_nst" / "pretrained" / "base.json"
QUALITY = {
    "Gram relu1_2": "vgg19 Gram relu1_2",
    "relu2_2": "vgg19 Gram relu2_2",
    "relu3_3": "vgg19 Gram relu3_3",
    "relu4_2": "vgg19 Gram relu4_2",
    "mean within": "vgg19 within",
    "SqueezeNet fire5": "squeezenet1_0 Gram fire5",
    "r relu2_2": "vgg19 r relu2_2",
    "r relu3_3": "vgg19 r relu3_3",
    "r relu4_2": "vgg19 r relu4_2",
    "checkerboard": "checkerboard",
    "border artifact": "border artifact",
}
STRENGTHS = ("0", "0.3", "0.6", "1", "1.25", "1.5")
STRENGTH = {("VGG-19 at " if one == "0" else "") + one: f"vgg19 style at {one}" for one in STRENGTHS}
STRENGTH |= {("SqueezeNet at " if one == "0" else " ") + one: f"squeezenet1_0 style at {one}" for one in STRENGTHS}
STRENGTH |= {"r relu3_3 at 1.5": "vgg19 r relu3_3 at 1.5"}
DESCENTS = ((256, "photo"), (256, "noise"), (512, "photo"))  # size and start


def table(rows: list[dict[str, str]], columns: dict[str, str]) -> str:
    """A Markdown table of ``columns`` (heading -> column of ``rows``), a line for each style."""
    lines = [["style", *columns], ["---"] * (len(columns) + 1)]
    lines += [[row["style"], *(row[column] for column in columns.values())] for row in rows]
    return "\n".join("| " + " | ".join(cell.strip() for cell in line) + " |" for line in lines)


def equivalents() -> str:
    """A Markdown table of N* in docs/benchmarks/equivalents.csv: least, median and greatest, for each style and size."""
    with (DOCS / "benchmarks" / "equivalents.csv").open() as file:
        rows = list(csv.DictReader(file))
    headings = {f"{size} pixels, from {start}": (size, start) for size, start in DESCENTS}
    found = []
    for name in shipped_styles():
        spreads = {heading: _spread(_counts(rows, name, *column)) for heading, column in headings.items()}
        found.append({"style": name} | spreads)
    return table(found, {heading: heading for heading in headings})


def _counts(rows: list[dict[str, str]], name: str, size: int, start: str) -> list[int]:
    column, of_style = f"n_{start}", [row for row in rows if (row["style"], row["size"]) == (name, str(size))]
    return [int(row[column]) for row in of_style if row[column]]


def _spread(counts: list[int]) -> str:
    return f"{min(counts)}, {np.median(counts):g}, {max(counts)}" if counts else "not measured"


def gallery() -> str:
    """A heading, the painting's title and license, and a row of pictures for each style."""
    parts = []
    for name, style in shipped_styles().items():
        line = f"{style.painter}, *{style.title}*, {style.year}; {style.license}."
        parts.append(f"## {name}\n\n{line}\n\n![photograph, and strength 0.3, 0.6, 1 and 1.5](images/strengths/{name}.jpg)")
    return "\n\n".join(parts)


def training(card: dict) -> str:
    """Steps, time and place of the run on the card, which is the last part of the base's training."""
    sizes, machine = card["sizes"], card["machine"]
    crops = f"{card['steps']:,} steps of {sizes['batch']} crops of {sizes['crop']}"
    return f"last part: {crops}, {card['seconds'] / 60:.0f} minutes, {_threads(machine['threads'])}, {machine['device']}"


def _threads(count: int) -> str:
    return f"{count} thread" + "s" * (count != 1)


def losses(card: dict) -> str:
    """The card's losses on its preview photographs, in a line."""
    found, weight = card["preview_losses"], card["loss"]["style_weight"]
    return f"content {found['content']}, style {found['style']} (weight {weight:g}), structure r {found['structure']}"


def main() -> None:
    card = json.loads(CARD.read_text())
    with (DOCS / "benchmarks" / "styles.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = {"gallery": gallery(), "quality": table(rows, QUALITY), "strengths": table(rows, STRENGTH)}
    values |= {"equivalents": equivalents(), "training": training(card), "losses": losses(card)}
    (DOCS / "styles.md").write_text(Template(TEMPLATE.read_text()).substitute(values))


if __name__ == "__main__":
    main()
