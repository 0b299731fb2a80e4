"""The page does what a visitor asks of it, and draws what fast-nst draws."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import skimage.data
from PIL import Image
from serving import CAMERA, CHROMIUM, DIST, WEB, build, film, missing, serve

from fast_nst.imaging.images import open_image, save_image
from fast_nst.stylize.library import shipped_styles
from fast_nst.stylize.stylizer import Stylizer

if TYPE_CHECKING:
    from fast_nst.training.run import Run

STROKES = ["auto", 0.5, 0.75, 1, 1.25, 1.5, 2]  # in the order of the slider
FOCUSED = "document.activeElement.id || document.activeElement.value"
LARGEST = 6_000_000  # bytes of the page with its model, compressed
PATIENCE = 240_000  # milliseconds; a machine at work takes its time


@pytest.fixture(scope="module")
def built() -> Path:
    """The folder of the built page."""
    if absent := missing():
        pytest.skip(
            f"the page is not tested: {', '.join(absent)} missing; apt-get install npm chromium, pip install playwright"
        )
    return build()


@pytest.fixture(scope="module")
def browser(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    from playwright.sync_api import sync_playwright

    camera = film(tmp_path_factory.mktemp("camera") / "camera.y4m")
    options = [
        "use-fake-device-for-media-stream",
        "use-fake-ui-for-media-stream",
        f"use-file-for-fake-video-capture={camera}",
    ]
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", *(f"--{option}" for option in options)]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_page(browser, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """Opens the page at an address and waits for its first picture, of a smaller photograph than usual."""
    sample = photo(48, 40, tmp_path_factory.mktemp("sample"))

    def opened(address: str):
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        page.set_default_timeout(PATIENCE)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.route("**/astronaut.*.jpg", lambda route: route.fulfill(path=sample))
        page.goto(address)
        drawn(page, 48, 40)
        return page

    return opened


@pytest.fixture(scope="module")
def page(built: Path, open_page: Callable) -> Iterator:
    """The page, with its first picture drawn; what a test changes stays for the next."""
    with serve(built) as address:
        page = open_page(address)
        yield page
        assert not page.errors


def photo(width: int, height: int, folder: Path) -> Path:
    """A piece of a photograph in a file."""
    path = folder / f"photo {width}x{height}.png"
    whole = np.tile(skimage.data.astronaut(), (1, 3, 1))
    save_image(np.ascontiguousarray(whole[50 : 50 + height, 180 : 180 + width]), path)
    return path


def open_photo(page, path: Path) -> None:
    page.get_by_label("Open a picture").last.set_input_files(path)
    with Image.open(path) as image:
        drawn(page, *image.size)


def drawn(page, width: int, height: int) -> None:
    """Wait until the picture is drawn."""
    page.wait_for_function(f"document.querySelector('#status').textContent === '{width} × {height}'")


def set_look(page, style: str, strength: float = 1, strokes: float | str = "auto", blend: tuple = ("", 0.5), colors=False):
    page.locator("#search").fill("")
    page.locator(f"#gallery input[value='{style}']").check()
    page.locator("#strength").fill(str(strength))
    page.locator("#strokes").fill(str(STROKES.index(strokes)))
    page.locator("#second").select_option(blend[0])
    if blend[0]:
        page.locator("#mix").fill(str(blend[1]))
    page.locator("#colors").set_checked(colors)


def download(page, folder: Path) -> tuple[str, np.ndarray]:
    """The name and the pixels of the file that the page gives."""
    with page.expect_download() as found:
        page.get_by_role("button", name="Download").click()
    path = folder / found.value.suggested_filename
    found.value.save_as(path)
    return path.name, np.asarray(open_image(path))


LOOKS = {
    "plain": ((83, 61), {"style": "great_wave"}, {"style": "great_wave"}),
    "blend": (
        (50, 97),
        {"style": "starry_night", "strength": 1.3, "blend": ("the_scream", 0.4)},
        {"style": "starry_night:0.6,the_scream:0.4", "strength": 1.3},
    ),
    "strokes and colors": (
        (121, 35),
        {"style": "the_kiss", "strength": 0.7, "strokes": 2, "colors": True},
        {"style": "the_kiss", "strength": 0.7, "stroke_size": 2, "preserve_color": True},
    ),
    "large": ((1301, 37), {"style": "monet"}, {"style": "monet"}),  # the network sees 1280 x 36
}


@pytest.mark.parametrize(("size", "look", "settings"), LOOKS.values(), ids=LOOKS)
def test_a_download_is_the_picture_that_python_draws(page, tmp_path, size, look, settings):
    path = photo(*size, tmp_path)
    set_look(page, **look)
    open_photo(page, path)
    name, found = download(page, tmp_path)
    assert name == f"{path.stem}.{look['style']}.png"
    assert off(found, Stylizer(**settings), path) <= 1
    assert np.abs(found.astype(int) - open_image(path)).mean() > 5  # not the photograph


def off(found: np.ndarray, stylizer: Stylizer, path: Path) -> int:
    """The largest difference from what Python draws."""
    expected = np.asarray(stylizer(open_image(path)))
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected).max())


def test_every_control_changes_the_picture(page, tmp_path):
    set_look(page, "great_wave")
    open_photo(page, photo(64, 48, tmp_path))
    seen = {picture(page)}
    for look in ({"strength": 0.5}, {"strokes": 2}, {"blend": ("monet", 0.5)}, {"colors": True}, {"style": "monet"}):
        set_look(page, **({"style": "great_wave"} | look))
        page.wait_for_timeout(400)  # the picture follows its draft after a pause
        drawn(page, 64, 48)
        seen.add(picture(page))
    assert len(seen) == 6


def picture(page) -> str:
    """The picture that is shown."""
    return page.evaluate("document.querySelector('#picture').toDataURL()")


def test_a_jpeg_can_be_downloaded(page, tmp_path):
    page.locator("#type").select_option("JPEG")
    name, found = download(page, tmp_path)
    page.locator("#type").select_option("PNG")
    assert name.endswith(".jpg") and found.size


def test_a_picture_may_be_dropped_or_pasted(page, tmp_path):
    for event, field, width in (("drop", "dataTransfer", 40), ("paste", "clipboardData", 56)):
        content = base64.b64encode(photo(width, 32, tmp_path).read_bytes()).decode()
        page.evaluate(
            """([event, field, content]) => {
                const data = new DataTransfer();
                const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                data.items.add(new File([bytes], "some.png", { type: "image/png" }));
                const made = event === "drop" ? DragEvent : ClipboardEvent;
                document.dispatchEvent(new made(event, { [field]: data, bubbles: true, cancelable: true }));
            }""",
            [event, field, content],
        )
        drawn(page, width, 32)


def test_transparency_stays(page, tmp_path):
    image = Image.open(photo(40, 40, tmp_path)).convert("RGBA")
    image.putalpha(Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 20, axis=1).repeat(40, axis=0)))
    image.save(tmp_path / "clear.png")
    open_photo(page, tmp_path / "clear.png")
    name, _ = download(page, tmp_path)
    with Image.open(tmp_path / name) as found:
        assert found.getchannel("A").tobytes() == image.getchannel("A").tobytes()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("broken.jpg", b"\xff\xd8\xff\xe0 not a picture", "broken.jpg is no picture that this browser can read"),
        ("notes.txt", b"words", "notes.txt is no picture that this browser can read"),
        ("broken.onnx", b"\x08\x09\xff\xff\xff", "broken.onnx is no model of styles"),
        ("tiny.png", None, "tiny.png has 8 x 8 pixels; it takes at least 16 x 16"),
    ],
)
def test_a_wrong_file_is_one_sentence_and_the_picture_stays(page, tmp_path, name, content, sentence):
    open_photo(page, photo(44, 40, tmp_path))
    before = picture(page)
    if content is None:
        save_image(np.zeros((8, 8, 3), np.uint8), tmp_path / name)
        content = (tmp_path / name).read_bytes()
    page.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})
    alert = page.get_by_role("alert")
    page.wait_for_function("document.querySelector('#problem').textContent")
    assert alert.inner_text().startswith(sentence) and alert.inner_text().count(".") - sentence.count(".") == 1
    assert picture(page) == before
    set_look(page, "monet")
    drawn(page, 44, 40)


def test_the_gallery_shows_every_style_and_its_search_finds_painters_without_accents(page):
    known = shipped_styles()
    labels = page.locator("#gallery label")
    assert labels.count() >= len(known)
    for style in known.values():
        label = page.locator(f"#gallery label:has(input[value='{style.name}'])")
        assert style.title in label.inner_text() and style.painter in label.inner_text()
    page.locator("#search").fill("GRENOUILLERE")
    assert page.locator("#gallery label:visible").count() == 1
    page.locator("#search").fill("gogh")
    assert page.locator("#gallery label:visible").count() == sum("Gogh" in style.painter for style in known.values())
    page.locator("#search").fill("nobody at all")
    assert page.get_by_text("No style of that name.").is_visible()
    page.locator("#search").fill("")


def test_the_keyboard_reaches_every_control(page, tmp_path):
    open_photo(page, photo(48, 48, tmp_path))
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    assert {"split", "file", "camera", "type", "save", "search", "model", "strength", "strokes", "second", "colors"} <= set(
        reached
    )
    assert set(shipped_styles()) & set(reached)  # one of the radio buttons stands for all


def test_a_style_is_found_and_drawn_without_a_mouse(page, tmp_path):
    set_look(page, "monet")
    open_photo(page, photo(48, 40, tmp_path))
    page.locator("#search").focus()
    page.keyboard.type("hokusai")
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('#picture').getAttribute('aria-label').includes('Great Wave')")
    page.locator("#split").focus()
    page.keyboard.press("ArrowRight")
    assert re.fullmatch(r"\d+ % photograph", page.locator("#split").get_attribute("aria-valuetext"))
    page.locator("#strength").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#strength").get_attribute("aria-valuetext") == "1.05"


def test_a_screen_reader_hears_a_name_for_every_control(page):
    page.get_by_role("searchbox").fill("")
    page.get_by_role("radio").nth(len(shipped_styles()) - 1).wait_for()
    tree = page.locator("body").aria_snapshot()
    controls = re.findall(r"- (button|slider|combobox|radio|searchbox|switch)\b(?! \")(.*)", tree)
    assert not controls, controls
    assert "- radiogroup" in tree and "- status" in tree
    for style in shipped_styles().values():
        assert f'- radio "{style.title}, {style.painter}, {style.year}"' in tree


def test_a_model_that_train_wrote_is_a_style(page, finished_run: Run, tmp_path):
    (model,) = finished_run.folder.path.glob("*.onnx")
    path = photo(45, 38, tmp_path)
    page.locator("#model").set_input_files(model)
    page.wait_for_function("document.querySelector('#gallery input:checked').value.startsWith('added')")
    set_look(page, page.locator("#gallery input:checked").input_value())
    open_photo(page, path)
    assert off(download(page, tmp_path)[1], Stylizer(model), path) <= 1

    set_look(page, page.locator("#gallery input:checked").input_value(), strength=0.8, blend=("great_wave", 0.25))
    page.wait_for_timeout(400)
    drawn(page, 45, 38)
    blend = Stylizer(f"{model}:0.75,great_wave:0.25", strength=0.8)  # two models, mixed as pictures
    assert off(download(page, tmp_path)[1], blend, path) <= 1


def test_the_camera_is_drawn_live_and_its_picture_is_taken(page):
    page.get_by_role("button", name="Camera").click()
    page.wait_for_function("document.querySelector('#frame[data-live][data-drawn]')")
    first = picture(page)
    page.wait_for_function("(first) => document.querySelector('#picture').toDataURL() !== first", arg=first)
    page.get_by_role("button", name="Take the picture").click()
    drawn(page, *CAMERA)
    assert page.get_by_role("button", name="Camera").is_visible()
    assert page.evaluate("document.querySelector('#video').srcObject") is None


def test_without_the_headers_it_draws_with_one_thread(built, page, open_page: Callable):
    assert page.evaluate("crossOriginIsolated")
    with serve(built, isolated=False) as address:
        plain = open_page(address)
        assert not plain.evaluate("crossOriginIsolated") and not plain.errors
        plain.close()


def test_a_narrow_screen_has_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.set_viewport_size({"width": 1200, "height": 800})


def test_the_page_and_its_model_are_small(built):
    files = [path for path in DIST.rglob("*") if path.is_file()]
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in files) < LARGEST


def test_the_lock_file_names_no_registry():
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert all(
        package.get("resolved", "https://registry.npmjs.org/").startswith("https://registry.npmjs.org/")
        for package in packages.values()
    )
    assert all("integrity" in package for name, package in packages.items() if name)
