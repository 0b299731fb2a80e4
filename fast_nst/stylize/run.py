"""Picture files through a stylizer, as the settings of ``fast-nst stylize`` say."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from fast_nst.errors import PartlyDone, UserError
from fast_nst.imaging.images import open_image
from fast_nst.imaging.video import is_film
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.camera import check_live_film, draw_camera
from fast_nst.stylize.jobs import Job, check_single, plan
from fast_nst.stylize.pipeline import Way, ahead, draw_job, read_job, stylize_film, write_job
from fast_nst.stylize.stylizer import Stylizer


def stylize_files(settings: StylizeSettings, stylizer: Stylizer | None = None) -> list[Path]:
    """Stylise the pictures that ``settings`` name; with several, one that fails does not stop the others.

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
    stylizer = stylizer or stylizer_of(settings)
    mask = open_image(settings.mask) if settings.mask else None
    jobs = plan(settings)
    if len(jobs) == 1:
        check_single(jobs[0], settings.overwrite)
        if is_film(jobs[0].source):
            stylize_film(jobs[0], stylizer, mask, settings)
        else:
            write_job(jobs[0], draw_job(jobs[0], stylizer, read_job(jobs[0], settings), mask))
        return [jobs[0].target] if jobs[0].target else []
    return _stylize_many(stylizer, mask, jobs, settings)


def stylizer_of(settings: StylizeSettings) -> Stylizer:
    """The stylizer that ``settings`` describe."""
    names = ("style", "threads", "strength", "stroke_size", "preserve_color", "engine", "provider", "tile")
    return Stylizer(**{name: getattr(settings, name) for name in names})


def _stylize_many(stylizer: Stylizer, mask: Image.Image | None, jobs: list[Job], settings: StylizeSettings) -> list[Path]:
    wanted = [job for job in jobs if settings.overwrite or not job.target.exists()]
    if len(wanted) < len(jobs):
        print(f"{len(jobs) - len(wanted)} pictures exist and are left alone; --overwrite replaces them", file=sys.stderr)
    with ThreadPoolExecutor(2) as readers, ThreadPoolExecutor(2) as writers:
        way = Way(stylizer, mask, settings, writers)
        for job, reading in tqdm(
            ahead(readers, lambda job: read_job(job, settings), wanted), total=len(wanted), unit="picture"
        ):
            way.take(job, reading)
        way.finish()
    if way.failures:
        listed = "".join(f"\n  {failure}" for failure in way.failures)
        raise PartlyDone(f"{len(way.failures)} of {len(wanted)} pictures failed, the others are written:{listed}")
    return way.written


def _stylize_camera(settings: StylizeSettings, stylizer: Stylizer | None) -> list[Path]:
    """Draw what a camera sees, into a film or a window."""
    target = None if settings.output is None else Path(settings.output)
    if settings.inputs:
        raise UserError(f"--camera takes no photographs beside it, got {', '.join(settings.inputs)}; give one or the other")
    if target is not None:
        check_live_film(target)
        check_single(Job(None, target), settings.overwrite)
    mask = open_image(settings.mask) if settings.mask else None
    film = (stylizer or stylizer_of(settings)).for_film(settings.stabilize)
    seen = draw_camera(settings.camera, lambda pixels: film(pixels, mask), target, settings.size)
    print(f"{seen.drawn} pictures drawn, {seen.passed_over} passed over for newer ones", file=sys.stderr)
    return [target] if target else []
