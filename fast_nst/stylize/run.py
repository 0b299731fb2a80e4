"""The run of ``fast-nst stylize``: picture files through a stylizer, as its settings say."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, cast

from tqdm import tqdm

from fast_nst.errors import PartlyDone, UserError
from fast_nst.imaging.images import open_image
from fast_nst.settings.stylize import RANDOM, StylizeSettings
from fast_nst.stylize.camera import check_live_film, draw_camera
from fast_nst.stylize.effects import Mask
from fast_nst.stylize.jobs import ALL, Job, check_single, gallery_of, plan
from fast_nst.stylize.library import PaintingAsStyle, parse_blend, plan_blend
from fast_nst.stylize.pipeline import draw_job, naming, read_job, say, stylize_film, stylize_jobs, write_job
from fast_nst.stylize.style_sheet import StyleSheet
from fast_nst.stylize.stylizer import Stylizer

Made = TypeVar("Made")
MOST_STYLES = 64  # stylizers that are kept of --style random; shipped styles share a model, an added one has its own


def stylize_files(settings: StylizeSettings, stylizer: Stylizer | None = None) -> list[Path]:
    """Stylize the pictures that ``settings`` name; with several, one that fails does not stop the others.

    Args:
        stylizer: draws (none: the one that ``settings`` describe).
    Returns:
        the files written; those that existed and may not be overwritten are left out.
    Raises:
        UserError: nothing to do, an unusable output, or one picture that fails.
        PartlyDone: some of several pictures failed, and the others are written.
    """
    if settings.camera is not None:
        return _stylize_camera(settings, stylizer)
    jobs = plan(settings)
    stylizer_for = stylizers_of(settings, stylizer)
    mask = mask_of(settings)
    if len(jobs) == 1 and settings.shard is None:
        return _stylize_one(stylizer_for(jobs[0]), mask, jobs[0], settings)
    return _stylize_many(stylizer_for, mask, jobs, settings)


def planned(settings: StylizeSettings) -> list[Job]:
    """The jobs of a command, a file for each photograph; no model is loaded, and nothing is drawn.

    Raises:
        UserError: as ``stylize_files``, as far as it can be known before.
    """
    check_style(settings)
    if settings.camera is not None:
        return [Job(Path(f"camera {settings.camera}"), Path(settings.output or "a window"))]
    return plan(settings)


def check_style(settings: StylizeSettings) -> None:
    """Raise a UserError where ``settings`` name no style at hand; no model is loaded."""
    if settings.style not in (ALL, RANDOM):
        _checked(settings, lambda: plan_blend(parse_blend(settings.style)))


def stylizer_of(settings: StylizeSettings) -> Stylizer:
    """The stylizer that ``settings`` describe."""
    names = ("style", "threads", "strength", "stroke_size", "preserve_color", "engine", "provider", "tile")
    values = {name: getattr(settings, name) for name in names}
    if settings.style == ALL:
        del values["style"]
        return cast(Stylizer, StyleSheet(**values))  # which stands in for one
    return _checked(settings, lambda: Stylizer(**values))


def _checked(settings: StylizeSettings, make: Callable[[], Made]) -> Made:
    """The result of ``make``; a painting given as a style is answered with commands on the photograph of ``settings``."""
    try:
        return make()
    except PaintingAsStyle as error:
        photo = next((name for name in settings.inputs if os.path.isfile(name)), "photo.jpg")
        raise PaintingAsStyle(error.painting, photo) from error


def mask_of(settings: StylizeSettings) -> Mask | None:
    """The mask that ``settings`` name."""
    return Mask(settings.mask, open_image(settings.mask)) if settings.mask else None


def stylizers_of(settings: StylizeSettings, stylizer: Stylizer | None = None) -> Callable[[Job], Stylizer]:
    """The stylizer of each job: ``stylizer`` (none: that of ``settings``), or for --style random one a style."""
    if settings.style != RANDOM:
        one = stylizer or stylizer_of(settings)
        return lambda job: one
    first = stylizer_of(replace(settings, style=gallery_of(settings)[0], styles_per_picture=1))
    of_style = lru_cache(MOST_STYLES)(first.with_style)
    return lambda job: of_style(job.style)


def _stylize_one(stylizer: Stylizer, mask: Mask | None, job: Job, settings: StylizeSettings) -> list[Path]:
    with naming(job):
        check_single(job, settings.overwrite)
        picture = read_job(job, settings)
        if picture is None:
            stylize_film(job, stylizer, mask, settings)
        else:
            write_job(job, draw_job(job, stylizer, picture, mask))
    return [job.target] if job.target else []


def _stylize_many(
    stylizer_for: Callable[[Job], Stylizer], mask: Mask | None, jobs: list[Job], settings: StylizeSettings
) -> list[Path]:
    wanted = [job for job in jobs if settings.overwrite or job.problem or not (job.target and os.path.lexists(job.target))]
    if not jobs:
        say(f"none of the pictures falls into --shard {settings.shard}")
    if len(wanted) < len(jobs):
        say(f"{len(jobs) - len(wanted)} pictures exist and are left alone; --overwrite replaces them")
    outcomes = list(tqdm(stylize_jobs(wanted, stylizer_for, mask, settings), total=len(wanted), unit="picture"))
    written = [outcome.job.target for outcome in outcomes if outcome.job.target and not outcome.problem]
    failures = [outcome.problem for outcome in outcomes if outcome.problem]
    if failures:
        listed = "".join(f"\n  {failure}" for failure in failures)
        rest = "the others are written" if written else "none is written"
        raise PartlyDone(f"{len(failures)} of {len(wanted)} pictures failed, {rest}:{listed}")
    return written


def _stylize_camera(settings: StylizeSettings, stylizer: Stylizer | None) -> list[Path]:
    """Draw what a camera sees, into a film or a window."""
    target = None if settings.output is None else Path(settings.output)
    if settings.inputs:
        raise UserError(f"--camera takes no photographs beside it, got {', '.join(settings.inputs)}; give one or the other")
    if target is not None:
        check_live_film(target)
        check_single(Job(None, target), settings.overwrite)
    mask = mask_of(settings)
    film = (stylizer or stylizer_of(settings)).for_film(settings.stabilize)
    seen = draw_camera(str(settings.camera), lambda pixels: film(pixels, mask and mask.image), target, settings.size)
    print(f"{seen.drawn} pictures drawn, {seen.passed_over} passed over for newer ones", file=sys.stderr)
    return [target] if target else []
