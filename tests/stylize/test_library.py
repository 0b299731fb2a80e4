import json
import os
import re
import shlex
import stat
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from fast_nst.cli.main import arguments_for, main, parser_of
from fast_nst.errors import UserError
from fast_nst.export.onnx_graph import export_onnx
from fast_nst.inference.model import Model
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.style_rows import strong
from fast_nst.stylize import library
from fast_nst.stylize.effects import SRGB_TO_LIGHT, mixed
from fast_nst.stylize.library import add_style, added_styles, find_style, find_styles, parse_blend, plan_blend, remove_style
from fast_nst.stylize.stylizer import Stylizer


@pytest.fixture(autouse=True)
def empty_library(tmp_path, monkeypatch):
    monkeypatch.setenv("FAST_NST_STYLES", str(tmp_path / "library"))


@pytest.fixture(scope="module")
def network() -> TransformerNet:
    """Three rows whose pictures differ plainly: glass lets the photograph through darkened, ink is flat."""
    torch.manual_seed(0)
    network = TransformerNet("fast", 12, ["identity", "glass", "ink"]).eval()
    with torch.no_grad():
        network.net.out.conv.weight.mul_(0.3)
        network.net.out.gate[1], network.net.out.shift[1] = 0.5, 0.1
        network.net.out.gate[2], network.net.out.shift[2] = 0.0, 0.4
    return network


@pytest.fixture(scope="module")
def model(network, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("models") / "glass.onnx"
    export_onnx(network, path, "glass", {"style": {"file": "glass.jpg"}})
    return str(path)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)


def drawn(network: TransformerNet, pixels: np.ndarray, weights: list[float]) -> np.ndarray:
    with torch.no_grad():
        picture = network(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255, torch.tensor([weights]))
    return (picture[0].clamp(0, 1) * 255).permute(1, 2, 0).numpy()


def test_every_shipped_style_is_a_row_of_the_shipped_model():
    shipped = library.shipped_styles()
    assert len(shipped) == 9
    model = Model(library.SHIPPED / "base.onnx")
    assert {"identity", *shipped, *map(strong, shipped)} == set(model.rows)
    assert all(style.title and style.painter and style.year and style.license for style in shipped.values())


def test_strength_0_of_a_shipped_style_is_the_photograph_exactly(pixels):
    np.testing.assert_array_equal(Stylizer("great_wave", strength=0)(pixels), pixels)


def test_a_blend_is_the_mixture_of_its_rows(network, model, pixels):
    add_style(model)
    found = Model(find_style("glass").model)
    weights = found.weights({"glass": 0.75, "ink": 0.25}, strength=0.6)
    assert weights.tolist() == pytest.approx([0.4, 0.45, 0.15])
    picture = found(pixels[None], weights)[0]
    assert np.abs(picture - drawn(network, pixels, [0.4, 0.45, 0.15])).max() <= 1


def test_strength_moves_from_the_photograph_to_the_style_and_beyond(network, model, pixels):
    for strength in (0.0, 0.6, 1.0, 1.5):
        expected = drawn(network, pixels, [1 - strength, strength, 0])
        assert np.abs(Stylizer(model, strength=strength)(pixels) - expected).max() <= 1


def test_styles_of_two_models_mix_as_light(model, pixels):
    one, two = add_style(model, "one"), add_style(model, "two")
    assert [part.share for part in plan_blend({"one": 0.25, "two": 0.75})] == [0.25, 0.75]
    picture = Stylizer("one")(pixels)
    mixed = Stylizer("one:1,two:3")(pixels)
    assert one.model != two.model
    assert np.abs(mixed.astype(int) - picture).max() <= 1  # both draw the same picture


def test_half_white_and_half_black_light_is_the_gray_of_srgb():

    white, black = np.full((1, 1, 1, 3), 255, np.uint8), np.zeros((1, 1, 1, 3), np.uint8)
    assert mixed([(white, 0.5), (black, 0.5)]).ravel().tolist() == [188] * 3  # IEC 61966-2-1
    assert SRGB_TO_LIGHT[188] == pytest.approx(0.5, abs=0.003)


def test_a_style_grown_from_the_base_blends_with_it_in_one_model(monkeypatch, model):
    shipped = {"ink": library.Style("ink", library.SHIPPED / "base.onnx", "ink", ("ink",), "Ink")}
    monkeypatch.setattr(library, "shipped_styles", lambda: shipped)
    add_style(model)
    (part,) = plan_blend({"glass": 0.5, "ink": 0.5})
    assert part.model == find_style("glass").model
    assert part.rows == {"glass": 0.5, "ink": 0.5}


def test_a_style_is_added_listed_and_removed_by_name(model, capsys):
    before = set(find_styles())
    main(["styles", "add", model, "--name", "my glass"])
    main(["styles"])
    assert "my glass" in capsys.readouterr().out
    assert set(find_styles()) == before | {"my glass"}
    assert find_style("my glass").title == "glass.jpg"
    main(["styles", "remove", "my glass"])
    assert set(find_styles()) == before
    assert [path.name for path in library.library().iterdir()] == [".lock"]


def test_adding_that_is_killed_half_way_leaves_the_old_set(model, monkeypatch):
    add_style(model, "old")
    with monkeypatch.context() as patch:
        patch.setattr(library, "write_text", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            add_style(model, "new")
    assert set(added_styles()) == {"old"}
    add_style(model, "new")
    assert set(added_styles()) == {"old", "new"}
    assert not list(library.library().glob(".adding-*"))


def test_removing_that_is_killed_half_way_leaves_no_half_style(model, monkeypatch):
    add_style(model, "old"), add_style(model, "gone")
    with monkeypatch.context() as patch:
        patch.setattr(library.shutil, "rmtree", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            remove_style("gone")
    assert set(added_styles()) == {"old"}


def test_two_who_add_at_once_get_one_style(model):
    failures = []

    def add():
        try:
            add_style(model, "same")
        except UserError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=add) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert set(added_styles()) == {"same"}
    assert len(failures) == 3 and "is there already" in failures[0]


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("great_wave", {"great_wave": 1.0}),
        ("great_wave:0.7,the_scream:0.3", {"great_wave": 0.7, "the_scream": 0.3}),
        ("great_wave:2, the_scream:6", {"great_wave": 0.25, "the_scream": 0.75}),
        ("great_wave,the_scream:0", {"great_wave": 1.0}),
    ],
)
def test_blends_are_read_as_shares_of_one(text, shares):
    assert parse_blend(text) == pytest.approx(shares)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("great_wave:-1,the_scream:2", "the weight of great_wave needs to be a number of 0 or more"),
        ("great_wave:nan", "the weight of great_wave"),
        ("great_wave:0,the_scream:0", "are all zero"),
        ("", "needs a name"),
        ("great_wve", "unknown style 'great_wve'; did you mean great_wave"),
        ("great_wave:much", "unknown style 'great_wave:much'"),
        ("checkpoints/absent", "no model at checkpoints/absent"),
        ("absent.onnx", "no model at absent.onnx"),
    ],
)
def test_a_wrong_style_is_one_line(text, message):
    with pytest.raises(UserError, match=message):
        Stylizer(text)


@pytest.mark.parametrize("name", ["a/b", "a:b", "a,b", ".hidden", " ", "identity", "a\nb"])
def test_names_that_would_confuse_are_refused(model, name):
    with pytest.raises(UserError, match="plain word"):
        add_style(model, name)


def test_names_in_use_and_styles_that_are_not_there_are_one_line(model):
    with pytest.raises(UserError, match="a style called great_wave is there already"):
        add_style(model, "great_wave")
    with pytest.raises(UserError, match="ships in the package"):
        remove_style("great_wave")
    with pytest.raises(UserError, match="none was added yet"):
        remove_style("mine")
    add_style(model, "mine")
    with pytest.raises(UserError, match="did you mean mine"):
        remove_style("mien")


def fifo(path):
    path.unlink()
    os.mkfifo(path)


DAMAGE = {
    "no JSON": lambda folder: (folder / "style.json").write_text("{"),
    "another form": lambda folder: (folder / "style.json").write_text("[]"),
    "bytes": lambda folder: (folder / "style.json").write_bytes(bytes(range(256))),
    "a folder as card": lambda folder: ((folder / "style.json").unlink(), (folder / "style.json").mkdir()),
    "a pipe as card": lambda folder: fifo(folder / "style.json"),
    "a pipe as model": lambda folder: fifo(folder / "model.onnx"),
    "no model": lambda folder: (folder / "model.onnx").unlink(),
}


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes there")
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_style_is_passed_over_and_told(model, damage, capsys):
    """The kind: whatever is wrong with one folder, the others stay usable, and no command hangs."""
    add_style(model, "good"), add_style(model, "mine")
    damage(library.library() / "mine")
    assert {"good", "great_wave"} <= set(find_styles()) and "mine" not in find_styles()
    main(["styles"])
    printed = capsys.readouterr()
    assert "good" in printed.out and "mine" not in printed.out
    assert printed.err.count("\n") == 1 and "is damaged; remove the folder" in printed.err
    with pytest.raises(UserError, match="mine is damaged; remove the folder"):
        find_style("mine")
    add_style(model, "another")
    remove_style("mine")
    assert "mine" not in library.damaged_styles()


def test_a_folder_never_replaces_a_style_that_ships(model):
    add_style(model, "mine")
    (library.library() / "mine").rename(library.library() / "great_wave")
    assert find_style("great_wave") == library.shipped_styles()["great_wave"]
    assert "is called as a style that ships" in library.damaged_styles()["great_wave"]
    remove_style("great_wave")
    assert not library.damaged_styles()


@pytest.mark.skipif(sys.platform == "win32", reason="no such rights there")
def test_an_added_style_has_the_rights_of_its_library(model):
    library.library().mkdir()
    library.library().chmod(0o755)
    folder = add_style(model, "mine").model.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_without_a_home_there_are_the_styles_that_ship(model, monkeypatch):
    monkeypatch.delenv("FAST_NST_STYLES")
    monkeypatch.setattr(library, "user_data_path", lambda *_, **__: Path("~/.local/share/fast_nst"))
    assert set(find_styles()) == set(library.shipped_styles())
    with pytest.raises(UserError, match="no home folder for a style library; set FAST_NST_STYLES"):
        add_style(model)


@pytest.mark.parametrize("name", ["my painting.jpg", "a.HEIC", "a.png"])
def test_a_painting_given_as_a_style_is_told_both_commands(name):
    with pytest.raises(UserError) as caught:
        find_style(name)
    commands = re.findall(r"fast-nst [^;]*?(?=  or |$)", str(caught.value))
    for command in commands:
        words = shlex.split(command)
        assert name in words and arguments_for(parser_of(words[1]), words[2:])
    assert len(commands) == 2


def test_weights_given_as_a_style_are_told_the_export():
    with pytest.raises(UserError, match=r"export it: fast-nst export 'my run/last.ckpt' --output last.onnx"):
        find_style("my run/last.ckpt")


def test_a_strength_out_of_range_is_refused(model):
    for strength in (-0.1, 1.6, float("nan")):
        with pytest.raises(UserError, match="strength needs to be between 0 and 1.5"):
            Stylizer(model, strength=strength)


def test_a_model_of_another_version_is_refused(model, tmp_path):
    import onnx

    graph = onnx.load(model)
    del graph.metadata_props[:]
    onnx.save(graph, tmp_path / "old.onnx")
    with pytest.raises(UserError, match="another version of fast_nst; export it again"):
        Stylizer(tmp_path / "old.onnx")


def test_any_caller_of_onnxruntime_draws_the_models_own_row(network, model, pixels):
    import onnxruntime

    style = np.float32([0, 1, 0])
    (picture,) = onnxruntime.InferenceSession(model).run(None, {"image": pixels[None], "style": style})
    assert np.abs(picture[0] - drawn(network, pixels, [0, 1, 0])).max() <= 1
    assert json.loads(Model(model).metadata["rows"]) == ["identity", "glass", "ink"]


def test_a_model_without_identity_gets_its_strength_by_mixing_pictures(tmp_path, pixels):
    network = TransformerNet("johnson", 4, ["only"]).eval()
    export_onnx(network, tmp_path / "only.onnx", "only")
    full, none = Stylizer(tmp_path / "only.onnx"), Stylizer(tmp_path / "only.onnx", strength=0)
    half = Stylizer(tmp_path / "only.onnx", strength=0.5)(pixels)
    np.testing.assert_array_equal(none(pixels), pixels)
    light = (SRGB_TO_LIGHT[full(pixels)] + SRGB_TO_LIGHT[pixels]) / 2
    np.testing.assert_allclose(SRGB_TO_LIGHT[half], light, atol=0.005)


def test_strips_change_nothing_of_a_mixture(monkeypatch):
    numbers = np.random.default_rng(0)
    one, other = (numbers.integers(0, 256, (1, 50, 7, 3), dtype=np.uint8) for _ in range(2))
    inside = numbers.random((50, 7, 1), dtype=np.float32)
    at_once = mixed([(one, inside), (other, 1 - inside)])
    monkeypatch.setattr("fast_nst.stylize.effects.STRIP", 8)
    np.testing.assert_array_equal(mixed([(one, inside), (other, 1 - inside)]), at_once)
