"""The page in Chromium: a photograph is chosen, a style is picked by its thumbnail, and the result is downloaded."""

import os
import re
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import skimage.data

from fast_nst.imaging.images import load_image, save_image
from fast_nst.stylize.library import shipped_styles
from fast_nst.stylize.stylizer import Stylizer

pytest_plugins = ["served_app"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 300_000  # milliseconds, on a machine that has other things to do


@pytest.fixture
def page(app) -> Iterator:
    """A page of Chromium on the app; it remembers requests that leave this machine, and errors."""
    sync = pytest.importorskip("playwright.sync_api", reason="no browser test: pip install playwright")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no browser test: Chromium is not installed (apt-get install chromium)")
    options = ["--no-sandbox"] if os.name != "nt" and os.geteuid() == 0 else []
    with sync.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=options)
        page = chromium.new_page()
        page.set_default_timeout(PATIENCE)
        page.outside, page.broken = [], []
        page.on("request", lambda sent: page.outside.append(sent.url) if not is_own(sent.url, app.url) else None)
        page.on("pageerror", lambda error: page.broken.append(str(error)))
        page.goto(app.url, wait_until="domcontentloaded")
        yield page
        chromium.close()


def is_own(url: str, app: str) -> bool:
    return url.startswith((app, "data:", "blob:"))


def test_a_photograph_is_stylized_by_a_click_on_a_thumbnail(page, tmp_path):
    photo = skimage.data.chelsea()[:96, :128]
    save_image(photo, tmp_path / "cat.png")
    page.get_by_role("button", name="Stylize", exact=True).wait_for()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "cat.png")
    page.get_by_label(re.compile(f"^Thumbnail {list(shipped_styles()).index('the_scream') + 1} of")).click()
    page.get_by_role("button", name="Stylize", exact=True).click()
    with page.expect_download() as download:
        page.locator("a[download]").filter(has_text="cat").or_(page.locator("a[download*=the_scream]")).first.click()
    download.value.save_as(tmp_path / "result.png")
    assert np.array_equal(load_image(tmp_path / "result.png"), Stylizer("the_scream")(photo))
    assert page.outside == [] and page.broken == []


def test_a_mistake_is_a_sentence_on_the_page(page):
    page.get_by_role("button", name="Stylize", exact=True).click()
    page.get_by_text("the photograph is missing: choose a picture").wait_for()
    assert page.broken == []
