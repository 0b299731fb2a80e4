"""The losses of a run, read from TensorBoard's file."""

import pytest
from torch.utils.tensorboard import SummaryWriter

from fast_nst.app.curves import POINTS, Curve, Curves, seconds_left, table_of


def test_curves_are_read_as_they_grow(tmp_path):
    curves = Curves(tmp_path)
    assert curves.read() == {}
    with SummaryWriter(tmp_path) as writer:
        for step in (10, 20, 30):
            writer.add_scalar("train/style", 1 / step, step)
            writer.flush()
            assert curves.read()["style"].steps[-1] == step
    assert curves.read()["style"].values == pytest.approx([1 / 10, 1 / 20, 1 / 30])


def test_a_table_is_relative_to_the_first_value_and_of_limited_length():
    steps = list(range(1, 1001))
    table = table_of({"style": Curve(steps, [4.0] + [2.0] * 999, [0.0] * 1000)})
    assert table["loss"][:2] == [1.0, 0.5] and table["step"][0] == 1 and set(table["term"]) == {"style"}
    assert POINTS <= len(table["step"]) <= 2 * POINTS


def test_time_left_follows_from_the_speed_of_the_last_steps():
    slow, fast = [0.0, 100.0, 200.0], [200.0 + second for second in range(1, 11)]
    steps = [10, 20, 30, *range(40, 140, 10)]
    curve = Curve(steps, [1.0] * 13, slow + fast)
    assert seconds_left({"style": curve}, 230) == pytest.approx((230 - 130) * 1 / 10)  # a second for 10 steps
    assert seconds_left({}, 230) is None and seconds_left({"style": Curve([1], [1.0], [0.0])}, 230) is None
