"""Strength of a style as weights of a model's rows, from the photograph to the style and beyond it. Never imports torch.

Strength 0 is the row ``identity``, 1 the style's own, and ``MAX_STRENGTH`` its strong row, called ``NAME@1.5``, where the
model has one; between these, neighbors mix linearly. Without a strong row, the line from ``identity`` through the style
goes on; that exaggerates what the style changes, but need not come nearer to the painting.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_STRENGTH = 1.5
SUFFIX = f"@{MAX_STRENGTH}"

IDENTITY = "identity"  # the row of a network that is the photograph itself


def strong(style: str) -> str:
    """The name of ``style``'s strong row."""
    return style + SUFFIX


def is_style(row: str, rows: Sequence[str]) -> bool:
    """Whether ``row`` of ``rows`` is a style's own, neither ``identity`` nor a strong row."""
    return row != IDENTITY and not (row.endswith(SUFFIX) and row.removesuffix(SUFFIX) in rows)


def row_weights(style: str, strength: float, rows: Sequence[str]) -> list[float]:
    """A weight for each of ``rows`` that draws ``style`` at ``strength``; they sum to 1.

    Args:
        strength: 0 is the photograph, 1 the style; without a row ``identity`` it is taken for 1.
    """
    weights = dict.fromkeys(rows, 0.0)
    if strength > 1 and strong(style) in weights:
        beyond = (strength - 1) / (MAX_STRENGTH - 1)
        weights[style], weights[strong(style)] = 1 - beyond, beyond
    elif IDENTITY in weights:
        weights[IDENTITY] = 1 - strength
        weights[style] += strength
    else:
        weights[style] = 1.0
    return list(weights.values())
