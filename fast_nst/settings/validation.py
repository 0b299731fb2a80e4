"""Checks of settings' values."""

from __future__ import annotations

from fast_nst.errors import UserError


def in_range(name: str, value: float, low: float, high: float) -> None:
    """Raise a UserError that names the setting unless ``low <= value <= high`` (never so for NaN)."""
    if value is None or not low <= value <= high:
        shown = "nothing" if value is None else f"{value:g}" if not abs(value) > 1e300 else "a larger number"
        raise UserError(f"{name} needs to be between {low:g} and {high:g}, got {shown}")
