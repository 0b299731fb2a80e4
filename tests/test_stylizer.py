import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from fast_nst.errors import UserError
from fast_nst.images import load_image, save_image
from fast_nst.stylizer import Stylizer, plan, stylize_files


@pytest.fixture(scope="module")
def negative(tmp_path_factory: pytest.TempPathFactory) -> Stylizer:
    """A model whose result is known by hand: 255 - x."""
    helper, shape = onnx.helper, ["b", "h", "w", 3]
    kind = onnx.TensorProto.UINT8
    graph = helper.make_graph(
        [helper.make_node("BitwiseNot", ["image"], ["picture"])],
        "negative",
        [helper.make_tensor_value_info("image", kind, shape), helper.make_tensor_value_info("style", 1, [1])],
        [helper.make_tensor_value_info("picture", kind, shape)],
        [helper.make_tensor("style", 1, [1], [1.0])],
    )
    path = tmp_path_factory.mktemp("negative") / "negative.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, {"rows": '["negative"]', "own": "negative"})
    onnx.save(model, path)
    return Stylizer(path)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_a_file_becomes_a_file(negative, pixels, tmp_path):
    save_image(pixels, tmp_path / "a.png")
    assert stylize_files(negative, [str(tmp_path / "a.png")], str(tmp_path / "b.png")) == [tmp_path / "b.png"]
    np.testing.assert_array_equal(load_image(tmp_path / "b.png"), 255 - pixels)


def test_a_photo_is_stylised_upright(negative, pixels, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    stylize_files(negative, [str(tmp_path / "a.png")], str(tmp_path / "b.png"))
    np.testing.assert_array_equal(load_image(tmp_path / "b.png"), 255 - np.rot90(pixels, 3))


def test_a_folder_becomes_a_folder_of_the_same_shape(negative, pixels, tmp_path):
    for name in ("a.png", "deep/b.png"):
        save_image(pixels, tmp_path / "in" / name)
    for _ in range(2):  # the second time the output folder exists
        written = stylize_files(negative, [str(tmp_path / "in")], str(tmp_path / "in" / "out"))
        assert {str(path.relative_to(tmp_path / "in" / "out")) for path in written} == {"a.png", "deep/b.png"}


def test_photos_of_one_name_from_two_folders_do_not_overwrite_each_other(tmp_path):
    jobs = plan([str(tmp_path / "x" / "a.jpg"), str(tmp_path / "y" / "a.jpg")], tmp_path / "out")
    assert [target.name for _, target in jobs] == ["a.jpg", "a_2.jpg"]


def test_a_photo_is_never_overwritten_by_its_own_result(pixels, tmp_path):
    save_image(pixels, tmp_path / "a.png")
    save_image(pixels, tmp_path / "b.png")
    assert {target.name for _, target in plan([str(tmp_path)], tmp_path)} == {"a_2.png", "b_2.png"}


def test_one_broken_picture_does_not_stop_the_others(negative, pixels, tmp_path):
    save_image(pixels, tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_text("no picture")
    with pytest.raises(UserError, match=r"1 of 2 pictures written.*b\.png"):
        stylize_files(negative, [str(tmp_path / "in")], str(tmp_path / "out"))
    assert (tmp_path / "out" / "a.png").exists()


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        (["absent.png"], "b.png", "no picture at"),
        (["a.png"], "b.xyz", "choose one of"),
        (["a.png", "c.png"], "b.png", "need a folder"),
        (["empty"], "out", "no pictures in"),
        (["small.png"], "b.png", "at least 16x16"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(negative, pixels, tmp_path, monkeypatch, inputs, output, message):
    monkeypatch.chdir(tmp_path)
    save_image(pixels, Path("a.png"))
    save_image(pixels[:10], Path("small.png"))
    Path("empty").mkdir()
    with pytest.raises(UserError, match=message):
        stylize_files(negative, inputs, output)
    assert not Path(output).exists()


def test_a_size_reduces_the_photo_first(negative, pixels, tmp_path):
    save_image(np.repeat(np.repeat(pixels, 4, 0), 4, 1), tmp_path / "a.png")
    stylize_files(negative, [str(tmp_path / "a.png")], str(tmp_path / "b.png"), size=60)
    assert load_image(tmp_path / "b.png").shape == (40, 60, 3)


def test_a_picture_too_large_for_memory_is_told_what_to_do(negative):
    with pytest.raises(UserError, match="--size 4000"):
        negative(np.broadcast_to(np.zeros((1, 1, 1, 3), np.uint8), (1, 5000, 5000, 3)))


@pytest.mark.parametrize("content", [b"no model", b""])
def test_what_is_no_model_is_told_apart(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(UserError, match="not an ONNX model"):
        Stylizer(tmp_path / "m.onnx")


def test_a_run_folder_without_a_model_names_the_export(tmp_path):
    with pytest.raises(UserError, match="fast-nst export"):
        Stylizer(tmp_path)


def test_stylising_never_imports_torch(tmp_path, pixels, negative):
    save_image(pixels, tmp_path / "a.png")
    model = negative.parts[0].model.session._model_path
    code = (
        "import sys; from fast_nst.cli import main; "
        f"main(['stylize', {str(tmp_path / 'a.png')!r}, '--style', {str(model)!r}, "
        f"'--output', {str(tmp_path / 'b.png')!r}]); "
        "assert not {'torch', 'pytorch_lightning', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
    assert (tmp_path / "b.png").exists()
