import math

import pytest
import torch

from fast_nst.training.structure_target import StructureTarget


def test_a_style_above_the_target_gets_more_weight_and_one_below_it_less():
    steering = StructureTarget(3, 0.45)
    steering.update(torch.tensor([0, 1]), torch.tensor([0.65, 0.25]))
    assert steering.factors(torch.tensor([0, 1, 2])).tolist() == pytest.approx([math.exp(0.02), math.exp(-0.02), 1])


def test_pictures_of_one_style_add_up():
    steering = StructureTarget(1, 0.5)
    steering.update(torch.tensor([0, 0]), torch.tensor([0.6, 0.8]))
    assert steering.factors(torch.tensor([0])).item() == pytest.approx(math.exp(0.1 * (0.1 + 0.3)))


def test_factors_stay_between_a_sixteenth_and_sixteen():
    steering = StructureTarget(2, 0.5)
    for _ in range(100):
        steering.update(torch.tensor([0, 1]), torch.tensor([1.0, -1.0]))
    assert steering.factors(torch.tensor([0, 1])).tolist() == pytest.approx([16, 1 / 16])


def test_without_a_target_the_weight_stays():
    steering = StructureTarget(1, None)
    steering.update(torch.tensor([0]), torch.tensor([0.9]))
    assert steering.factors(torch.tensor([0])).item() == 1


def test_a_network_that_yields_to_its_weight_settles_at_the_target():
    steering, r = StructureTarget(1, 0.45), 0.9
    for _ in range(4000):
        r += 0.05 * (0.5 / (0.5 + steering.factors(torch.tensor([0])).item()) - r)
        steering.update(torch.tensor([0]), torch.tensor([r]))
    assert r == pytest.approx(0.45, abs=1e-3)
