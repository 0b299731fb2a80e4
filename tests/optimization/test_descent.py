import math

import pytest
import torch

from fast_nst.errors import UserError
from fast_nst.losses.perceptual import PerceptualLoss
from fast_nst.losses.terms import LossTerms
from fast_nst.optimization.descent import Descent, optimize
from fast_nst.settings.train import LossSettings

NOTHING = torch.zeros(())


def towards(target: torch.Tensor):
    """The objective 1/2 |x - target|^2, whose minimum is known."""

    def objective(picture):
        total = 0.5 * (picture - target).square().sum()
        return LossTerms(total, total, NOTHING, NOTHING, NOTHING)

    return objective


@pytest.fixture(scope="module")
def scene() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    photo, painting = (torch.rand(1, 3, 6, 8, generator=generator) for _ in range(2))
    smooth = [torch.nn.functional.interpolate(x, (32, 40), mode="bicubic").clamp(0, 1) for x in (photo, painting)]
    return smooth[0], smooth[1]


@pytest.fixture(scope="module")
def objective(lite, scene):
    settings = LossSettings(style_weight=3, tv_weight=0, content="squared", palette_weight=0)
    return PerceptualLoss(lite, [scene[1][0]], settings).objective(scene[0])


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_minimum_of_a_parabola_is_found(optimizer):
    target = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(1))
    found = optimize(towards(target), torch.full_like(target, 0.5), 200, optimizer=optimizer).best
    torch.testing.assert_close(found, target, atol=1e-3, rtol=0)


def test_a_minimum_outside_the_range_of_pictures_is_met_at_the_border():
    target = torch.tensor([-1.0, 0.25, 3.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    found = optimize(towards(target), torch.full_like(target, 0.5), 30).best
    torch.testing.assert_close(found, target.clamp(0, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_the_scale_of_the_objective_does_not_change_the_path(objective, scene, factor):
    def scaled(picture):
        return LossTerms(*(factor * term for term in objective(picture)))

    expected, found = (optimize(function, scene[0], 5).picture for function in (objective, scaled))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_content_features_are_computed_once(lite, scene, monkeypatch):
    criterion, calls = PerceptualLoss(lite, [scene[1][0]], LossSettings()), []
    objective, forward = criterion.objective(scene[0]), type(lite).forward
    monkeypatch.setattr(type(lite), "forward", lambda *args: calls.append(1) or forward(*args))
    descent = optimize(objective, scene[0], 5)
    assert len(calls) == descent.evaluations == 6
    torch.testing.assert_close(tuple(descent.terms), tuple(criterion(descent.picture, scene[0])))


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("start", ["content", "style", "gaussian", "uniform"])
def test_a_hundred_steps_bring_the_objective_below_a_third_of_its_start(objective, scene, optimizer, start):
    generator = torch.Generator().manual_seed(2)
    starts = {"content": scene[0], "style": scene[1], "uniform": torch.rand(scene[0].shape, generator=generator)}
    starts["gaussian"] = 0.5 + 0.25 * torch.randn(scene[0].shape, generator=generator)
    first = objective(starts[start].clamp(0, 1)).total
    assert optimize(objective, starts[start], 100, optimizer=optimizer).best_terms.total < first / 3


def test_the_descent_stops_at_a_target(objective, scene):
    whole = Descent(objective, scene[0])
    totals = [whole.step().total.item() for _ in range(10)]
    target = totals[4] * 1.0001
    assert optimize(objective, scene[0], 10, until=target).iteration == next(
        i for i, total in enumerate(totals, start=1) if total <= target
    )


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, 1e6])
def test_a_step_that_leads_nowhere_is_taken_back(optimizer, wrong):
    target, count = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(3)), iter(range(1000))

    def faulty(picture):
        terms = towards(target)(picture)
        return LossTerms(terms.total * (wrong if next(count) == 5 else 1), *terms[1:])

    descent = Descent(faulty, torch.zeros_like(target), optimizer, 0.05 if optimizer == "adam" else None)
    for _ in range(60):
        before = descent.best_terms.total
        descent.step()
        assert descent.best_terms.total <= before
    assert descent.restarts >= 1
    assert torch.isfinite(descent.picture).all()
    torch.testing.assert_close(descent.best_terms.total, towards(target)(descent.best).total)


def test_the_result_is_the_best_step_seen():
    target, wobble = torch.full((1, 3, 4, 4), 0.5), iter([5.0, 4.0, 3.0, 3.5, 4.5, 3.9])

    def noisy(picture):
        total = (picture * 0).sum() + (target - picture).sum() * 1e-6 + next(wobble)
        return LossTerms(total, total, NOTHING, NOTHING, NOTHING)

    descent, seen = Descent(noisy, torch.zeros_like(target), "adam"), []
    for _ in range(5):
        descent.step()
        seen.append(descent.picture.clone())
    torch.testing.assert_close(descent.best, seen[1])
    assert descent.best_terms.total.item() == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_resumed_descent_equals_an_uninterrupted_one(objective, scene, optimizer, tmp_path):
    options = {"optimizer": optimizer, "history": 3, "average": 0.9}
    whole = optimize(objective, scene[0], 12, **options)
    torch.save(optimize(objective, scene[0], 6, **options).state_dict(), tmp_path / "state.ckpt")
    resumed = Descent(objective, scene[1], **options)
    resumed.load_state_dict(torch.load(tmp_path / "state.ckpt", weights_only=True))
    for _ in range(6):
        resumed.step()
    assert resumed.iteration == 12 and resumed.evaluations == whole.evaluations
    torch.testing.assert_close(resumed.picture, whole.picture, atol=1e-6, rtol=0)
    torch.testing.assert_close(resumed.average, whole.average, atol=1e-6, rtol=0)
    torch.testing.assert_close(tuple(resumed.best_terms), tuple(whole.best_terms))


def test_the_average_of_iterates_is_their_weighted_mean():
    descent, pictures = Descent(towards(torch.ones(1, 3, 2, 2)), torch.zeros(1, 3, 2, 2), "adam", average=0.8), []
    for _ in range(4):
        descent.step()
        pictures.append(descent.picture.clone())
    weights = [0.8**age for age in (3, 2, 1, 0)]
    expected = sum(w * p for w, p in zip(weights, pictures, strict=True)) / sum(weights)
    torch.testing.assert_close(descent.average, expected)


def test_a_picture_at_its_minimum_stays_there():
    target = torch.full((1, 3, 4, 4), 0.5)
    torch.testing.assert_close(optimize(towards(target), target, 5).picture, target)


def weighted(target: torch.Tensor):
    """The objective 1/2 sum of c (x - target)^2 with a curvature c of its own for each number."""
    curvature = 0.2 + torch.rand(target.shape, generator=torch.Generator().manual_seed(4))

    def objective(picture):
        total = 0.5 * (curvature * (picture - target).square()).sum()
        return LossTerms(total, total, NOTHING, NOTHING, NOTHING)

    return objective


def test_where_nothing_is_clamped_the_path_is_that_of_torch_s_own_lbfgs():
    target = 0.3 + 0.4 * torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(5))
    start, objective = torch.full_like(target, 0.5), weighted(target)
    descent, x = Descent(objective, start), start.clone().requires_grad_()
    scale = torch.autograd.grad(objective(x).total, x)[0].abs().mean()
    theirs = torch.optim.LBFGS([x], max_iter=1, history_size=20, tolerance_grad=0, tolerance_change=0)

    def closure():
        theirs.zero_grad()
        loss = objective(x).total / scale
        loss.backward()
        return loss

    for step in range(8):
        theirs.param_groups[0]["lr"] = x.numel() / 255 if step == 0 else 1
        theirs.step(closure)
        descent.step()
        assert descent.picture.min() > 0 and descent.picture.max() < 1
        torch.testing.assert_close(descent.picture, x.detach(), atol=2e-5, rtol=0)


def test_lbfgs_pairs_gradients_with_the_clamped_steps():
    target = torch.linspace(-1, 2, 60).view(1, 3, 4, 5)
    descent, moved = Descent(weighted(target), torch.full_like(target, 0.5)), []
    for _ in range(5):
        before = descent.picture.clone()
        descent.step()
        moved.append((descent.picture - before).flatten())
    assert ((descent.picture == 0) | (descent.picture == 1)).any()
    (state,) = descent.optimizer.state.values()
    assert len(state["old_stps"]) == len(moved) - 1  # the last step is paired at the next one
    for found, expected in zip(state["old_stps"], moved, strict=False):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_saved_states_keep_the_names_of_earlier_versions(objective, scene):
    assert {"caution", "unit", "_sum"} < set(Descent(objective, scene[0]).state_dict())


def test_bad_arguments_are_named(objective, scene):
    with pytest.raises(UserError, match="did you mean lbfgs"):
        Descent(objective, scene[0], "lbgfs")
    with pytest.raises(UserError, match="not finite at the start"):
        Descent(towards(torch.full((1, 3, 2, 2), math.nan)), torch.zeros(1, 3, 2, 2))
