"""Schemas of saved states: what a checkpoint may hold, checked value by value.

A schema is a tree. A dictionary stands for one of the same names, a list or tuple for one of the same length, a tensor for
one of the same shape and kind of number, None for None, a function ``(value, at) -> value`` for whatever it returns. What
passes is built anew, so that nothing else of the file is left; anything else raises a ``Misfit``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor

MOST = 10**9  # steps, photographs, seconds
Check = Callable[[Any, str], Any]


class Misfit(ValueError):
    """A value that is not what its schema asks for; the text names the place and what is needed."""


def matched(schema: Any, value: Any, at: str = "") -> Any:
    """``value`` as ``schema`` describes it, found at the dotted name ``at``.

    Raises:
        Misfit: it is anything else.
    """
    if callable(schema):
        return schema(value, at)
    if schema is None:
        return only(None)(value, at)
    if isinstance(schema, Tensor):
        return tensor_like(schema)(value, at)
    if isinstance(schema, dict):
        if not isinstance(value, Mapping) or {*map(_key, value)} != {*map(_key, schema)}:
            raise Misfit(f"{at or 'its content'} has other entries")
        return {key: matched(part, value[key], _below(at, key)) for key, part in schema.items()}
    if not isinstance(value, list | tuple) or len(value) != len(schema):
        raise Misfit(f"{at} is no list of {len(schema)}")
    return type(schema)(
        matched(part, one, _below(at, place)) for place, (part, one) in enumerate(zip(schema, value, strict=True))
    )


def whole(low: int = 0, high: int = MOST) -> Check:
    """A whole number from ``low`` to ``high``."""
    return _checked(f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


def number(low: float = -math.inf, high: float = math.inf, finite: bool = True) -> Check:
    """A number from ``low`` to ``high``; infinities and NaN only unless ``finite``."""

    def fits(value: Any) -> bool:
        if type(value) is int:
            return abs(value) <= 2**53 and low <= value <= high
        return type(value) is float and (low <= value <= high if math.isfinite(value) else not finite)

    return _checked(f"a number{'' if low == -math.inf else f' from {low:g} to {high:g}'}", fits)


def flag(value: Any, at: str) -> bool:
    """True or false."""
    return _checked("true or false", lambda value: type(value) is bool)(value, at)


def only(expected: Any) -> Check:
    """``expected``, a plain value, of the same type."""
    return _checked(repr(expected), lambda value: type(value) is type(expected) and value == expected)


def either(*schemas: Any) -> Check:
    """The first of ``schemas`` that fits."""

    def check(value: Any, at: str) -> Any:
        for schema in schemas[:-1]:
            try:
                return matched(schema, value, at)
            except Misfit:
                continue
        return matched(schemas[-1], value, at)

    return check


def entries(schema: Any, names: Collection) -> Check:
    """A dictionary of some of ``names``; ``schema`` for each value, or by name where it is a dictionary."""

    def check(value: Any, at: str) -> dict:
        known = {*map(_key, names)}
        if not isinstance(value, Mapping) or not {*map(_key, value)} <= known:
            raise Misfit(f"{at} has other entries")
        parts = schema if isinstance(schema, dict) else dict.fromkeys(names, schema)
        return {key: matched(parts[key], part, _below(at, key)) for key, part in value.items()}

    return check


def several(schema: Any, most: int) -> Check:
    """A list of up to ``most`` values, each as ``schema`` says."""

    def check(value: Any, at: str) -> list:
        if not isinstance(value, list | tuple) or len(value) > most:
            raise Misfit(f"{at} is no list of at most {most}")
        return [matched(schema, part, _below(at, place)) for place, part in enumerate(value)]

    return check


def tensor_like(like: Tensor, low: float | None = None, high: float | None = None) -> Check:
    """A tensor of the shape of ``like``, of its type or both floating, with values from ``low`` to ``high``."""
    shape = tuple(like.shape)

    def fits(value: Any) -> bool:
        same = isinstance(value, Tensor) and tuple(value.shape) == shape
        if not same or (value.dtype != like.dtype and not (value.is_floating_point() and like.is_floating_point())):
            return False
        return not value.numel() or (
            (low is None or bool(value.min() >= low)) and (high is None or bool(value.max() <= high))
        )

    bounds = "" if low is None else f", of values from {low:g}{'' if high is None else f' to {high:g}'}"
    return _checked(f"a tensor of shape {shape} and type {like.dtype}{bounds}", fits)


def optimizer_schema(optimizer: torch.optim.Optimizer) -> dict:
    """The state of one of Adam's kind: its moments, and of the options only the rate and the decay of the moments."""
    return {"state": moments_schema(optimizer), "param_groups": [_group(g) for g in optimizer.state_dict()["param_groups"]]}


def moments_schema(optimizer: torch.optim.Optimizer) -> Check:
    """The schema of the state of Adam or Muon for some of its parameters, by their places."""
    shapes, place = {}, 0
    for group in optimizer.param_groups:
        names = ("momentum",) if group.get("use_muon") else ("exp_avg", "exp_avg_sq")
        for parameter in group["params"]:
            moments = {name: tensor_like(parameter, 0 if name == "exp_avg_sq" else None) for name in names}
            shapes[place] = {"step": tensor_like(torch.tensor(0.0), 0, MOST), **moments}
            place += 1
    return entries(shapes, shapes)


def lbfgs_schema(optimizer: torch.optim.Optimizer, like: Tensor) -> dict:
    """The state of L-BFGS on the one parameter ``like``: nothing, or its pairs of steps and gradients."""
    flat, scalar = tensor_like(like.flatten()), either(tensor_like(torch.tensor(0.0)), number())
    (group,), pairs = optimizer.state_dict()["param_groups"], optimizer.param_groups[0]["history_size"]
    state = {"func_evals": whole(), "n_iter": whole(1), "d": flat, "t": scalar, "H_diag": scalar, "prev_flat_grad": flat}
    state |= {"old_dirs": several(flat, pairs), "old_stps": several(flat, pairs), "ro": several(scalar, pairs)}
    first = state | {"prev_loss": number()}
    later = first | {"al": several(either(None, scalar), pairs)}
    kept = either(first, later)
    return {"state": either({}, {0: lambda value, at: _pairs(kept(value, at), at)}), "param_groups": [_group(group)]}


def schedule_schema(schedule: torch.optim.lr_scheduler.LRScheduler, step: int) -> Check:
    """The state of a schedule after at most ``step`` steps; its options are those of ``schedule``."""
    own = schedule.state_dict()
    wanted: dict[str, Any] = {"last_epoch": whole(0, step), "_step_count": whole(0, step + 1)}
    wanted |= {"_last_lr": [number(0, 1e6) for _ in own["_last_lr"]]}
    return _within(own, wanted)


def _pairs(state: dict[str, Any], at: str) -> dict[str, Any]:
    """``state``, whose lists are of one length."""
    if len({len(state[name]) for name in ("old_dirs", "old_stps", "ro")}) > 1 or len(state.get("al", state["ro"])) < len(
        state["ro"]
    ):
        raise Misfit(f"{at} holds lists of several lengths")
    return state


def _group(own: dict) -> Check:
    """Options of a group of parameters: ``own``, but for the rate and the decay of the moments."""
    wanted: dict[str, Any] = {"lr": number(0, 1e6)}
    if isinstance(own.get("betas"), tuple):
        wanted["betas"] = tuple(number(0, 1) for _ in own["betas"])
    if isinstance(own.get("use_muon"), bool):
        wanted["use_muon"] = only(own["use_muon"])
    wanted["params"] = [only(place) for place in own["params"]]
    check = _within(own, wanted)
    return lambda value, at: check(_renamed(value), at)


def _renamed(group: Any) -> Any:
    """``group`` with the name ``use_muon`` where earlier checkpoints have ``orthogonal``."""
    if isinstance(group, Mapping) and "orthogonal" in group:
        return {"use_muon" if name == "orthogonal" else name: value for name, value in group.items()}
    return group


def _within(own: dict, wanted: dict[str, Any]) -> Check:
    """A dictionary that holds ``wanted``, whatever else is in it; the rest is ``own``."""

    def check(value: Any, at: str) -> dict:
        if not isinstance(value, Mapping):
            raise Misfit(f"{at} has no entries")
        for name in wanted:
            if name not in value:
                raise Misfit(f"{at} has no {name}, of another version of fast_nst")
        return own | {name: matched(schema, value[name], _below(at, name)) for name, schema in wanted.items()}

    return check


def _checked(needed: str, fits: Callable[[Any], bool]) -> Check:
    def check(value: Any, at: str) -> Any:
        if not fits(value):
            raise Misfit(f"{at} is not {needed}")
        return value

    return check


def _key(name: Any) -> tuple:
    return type(name).__name__, name if isinstance(name, str | int) else id(name)


def _below(at: str, name: Any) -> str:
    return f"{at}.{name}" if at else str(name)
