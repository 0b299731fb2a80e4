"""A pytest plugin: the app, served from this process for the tests of its page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fast_nst.settings.app import AppSettings

TINY = {"image_size": 32, "batch_size": 1, "style_size": 64, "workers": 0, "trainer.accelerator": "cpu"}


@dataclass
class Served:
    """An app that is being served."""

    url: str
    settings: AppSettings
    folder: Path


@pytest.fixture(scope="session")
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No thumbnail goes into the user's cache, and no proxy stands between a test and the app."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        yield


@pytest.fixture(scope="session")
def app(own_folders: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app with tiny limits; Gradio is part of the extra [app]."""
    pytest.importorskip("gradio", reason="the page is not tested: pip install 'fast_nst[app]'")
    from fast_nst.app.run import launched

    settings = AppSettings(
        browser=False,
        checkpoints=str(tmp_path_factory.mktemp("runs")),
        max_upload=1,
        max_megapixels=1,
        train={**TINY, "steps": 2},
    )
    folder = tmp_path_factory.mktemp("app")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
            patch.setenv(name, os.environ.get(name, ""))  # so that it is put back
        page, trainings = launched(settings, folder)
        yield Served(page.local_url.rstrip("/"), settings, folder)
        trainings.close()
        page.close(verbose=False)
