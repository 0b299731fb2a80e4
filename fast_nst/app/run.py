"""The command ``fast-nst app``: serve the page until a signal ends it.

A training runs in a process of its own; the end of the app stops it as Ctrl-C does, and it can be continued.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fast_nst.app.jobs import Trainings
from fast_nst.app.privacy import guarded, keep_to_itself, middleware
from fast_nst.errors import Stopped, UserError
from fast_nst.settings.app import AppSettings
from fast_nst.system.signals import StopSignals

if TYPE_CHECKING:
    from gradio import Blocks

NEEDS = "the app needs Gradio, which is not installed: pip install 'fast_nst[app]'"
WAITING = 20  # visitors of a busy tab


def serve(settings: AppSettings) -> None:
    """Serve the app as ``settings`` say, until a signal comes.

    Raises:
        UserError: Gradio is not installed, or the address cannot be listened at.
    """
    check_installed()
    with StopSignals() as signals, tempfile.TemporaryDirectory(prefix="fast_nst_app-", ignore_cleanup_errors=True) as folder:
        try:
            page, trainings = launched(settings, Path(folder))
            try:
                print(f"the app is at {page.share_url or page.local_url}; Ctrl-C ends it", flush=True)
                while True:
                    time.sleep(1)
            finally:
                with signals.waiting():
                    trainings.close()
                    page.close(verbose=False)
        except Stopped:
            print("the app has ended")


def check_installed() -> None:
    """Raise a UserError unless Gradio can be imported; it is not imported."""
    if importlib.util.find_spec("gradio") is None:
        raise UserError(NEEDS)


def launched(settings: AppSettings, folder: Path) -> tuple[Blocks, Trainings]:
    """The page, being served from threads of this process, and the trainings that it starts.

    Args:
        folder: of uploads and results; nothing outside of it is served.
    """
    keep_to_itself(folder / "served")
    from fast_nst.app.page import STYLE, build, theme

    trainings = Trainings(settings)
    page = build(settings, folder / "results", trainings).queue(max_size=WAITING, default_concurrency_limit=1)
    try:
        with guarded(settings.host):
            page.launch(
                server_name=settings.host,
                server_port=settings.port,
                share=settings.share,
                inbrowser=settings.browser,
                prevent_thread_lock=True,
                quiet=True,
                max_file_size=settings.max_upload * 1_000_000,
                allowed_paths=[],
                footer_links=[],
                ssr_mode=False,
                theme=theme(),
                css=STYLE,
                app_kwargs={"middleware": middleware()},
            )
    except OSError as error:
        where = f"{settings.host}:{settings.port or 'any port from 7860'}"
        raise UserError(f"cannot listen at {where}: {error}; choose another --host or --port") from error
    return page, trainings
