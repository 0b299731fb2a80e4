import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from fast_nst.cli.main import main
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.images import save_image
from fast_nst.training.style_check import check_style, energy_shares, find_frame


@pytest.fixture(scope="module")
def painting() -> np.ndarray:
    return draw_style("impasto", 1)


def check(pixels: np.ndarray) -> list[str]:
    return check_style(Image.fromarray(pixels)).warnings


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_photographs_and_drawn_paintings_pass(painting, name):
    assert check(painting) == []
    assert check(getattr(skimage.data, name)()) == []


def test_a_name_with_control_characters_stays_one_line_of_visible_characters(painting):
    report = check_style(Image.fromarray(painting))
    first = report.text("night\n  warning: none\x1b[2J.png").splitlines()[0]
    assert first == f"night\\n  warning: none\\x1b[2J.png: {painting.shape[1]}x{painting.shape[0]} pixels"


def test_a_small_picture_is_named(painting):
    assert "only 200x160 pixels" in check(np.asarray(Image.fromarray(painting).resize((200, 160))))[0]


def test_heavy_jpeg_compression_is_named(painting):
    file = io.BytesIO()
    Image.fromarray(painting).save(file, "JPEG", quality=15)
    pixels = np.asarray(Image.open(file))
    assert "JPEG blocks" in check(pixels)[0]
    assert "JPEG blocks" in check(pixels[3:, 5:])[0]  # wherever the blocks start


@pytest.mark.parametrize("gray", [0, 255])
def test_a_frame_is_named_with_its_width(painting, gray):
    framed = painting.copy()
    framed[:12] = framed[-12:] = gray
    assert set(find_frame(framed.mean(2) / 255)) == {"top", "bottom"}
    assert all(abs(width - 12) <= 2 for width in find_frame(framed.mean(2) / 255).values())
    assert "frame or margin" in check(framed)[0]


def test_nearly_one_colour_is_named():
    noise = np.random.default_rng(0).integers(100, 110, (512, 640, 3), dtype=np.uint8)
    assert any("nearly one color" in warning for warning in check(noise))


def test_energy_shares_sum_to_one_and_belong_to_the_layers(lite, painting):
    shares = energy_shares(lite, painting[:64, :64])
    assert set(shares) == set(lite.layers) and sum(shares.values()) == pytest.approx(1)


def test_the_command_prints_warnings_and_shares(painting, tmp_path, capsys):
    save_image(painting[:160, :200], tmp_path / "small.png")
    main(["style-check", str(tmp_path / "small.png")])
    printed = capsys.readouterr().out
    assert "warning: only 200x160 pixels" in printed
    assert "relu4_3" in printed and "%" in printed
