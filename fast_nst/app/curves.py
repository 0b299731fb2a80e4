"""The losses of a running training, from TensorBoard's file in its folder."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHOWN = {"train/content": "content", "train/style": "style"}
POINTS = 200  # of a curve on the page


@dataclass(frozen=True)
class Curve:
    """A loss by step: both lists have the same length. ``seconds`` are clock times."""

    steps: list[int]
    values: list[float]
    seconds: list[float]


class Curves:
    """Reads the events of one run, and later only those that are new."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._lock = folder, threading.Lock()
        self._events: Any = None

    def read(self) -> dict[str, Curve]:
        """The curves so far, by name; none before the first step."""
        with self._lock:
            if self._events is None:
                if not list(self.folder.glob("events.out.tfevents.*")):
                    return {}
                self._events = _events_of(self.folder)
            self._events.Reload()
            known = self._events.Tags()["scalars"]
            return {name: _curve(self._events.Scalars(tag)) for tag, name in SHOWN.items() if tag in known}


def table_of(curves: Mapping[str, Curve]) -> dict[str, list]:
    """The curves as columns, step, loss and term, thinned to ``POINTS`` each; the values relative to their first."""
    table: dict[str, list] = {"step": [], "loss": [], "term": []}
    for name, curve in curves.items():
        every = max(1, len(curve.steps) // POINTS)
        table["step"] += curve.steps[::every]
        table["loss"] += [value / curve.values[0] for value in curve.values[::every]]
        table["term"] += [name] * len(curve.steps[::every])
    return table


def seconds_left(curves: Mapping[str, Curve], steps: int) -> float | None:
    """Seconds to the end of a run of ``steps``, at the speed of the last events; None before there are two."""
    curve = next(iter(curves.values()), None)
    if curve is None or len(curve.steps) < 2:
        return None
    first = max(0, len(curve.steps) - 10)
    made, took = curve.steps[-1] - curve.steps[first], curve.seconds[-1] - curve.seconds[first]
    return (steps - curve.steps[-1]) * took / made if made > 0 else None


def _events_of(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 1, "tensors": 1})


def _curve(events: list) -> Curve:
    return Curve([one.step for one in events], [one.value for one in events], [one.wall_time for one in events])
