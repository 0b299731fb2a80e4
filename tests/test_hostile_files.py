"""Files made to hurt: each is refused in one sentence, before it runs anything, takes memory or leaves its folder."""

from __future__ import annotations

import json
import os
import pickle
import resource
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from fast_nst.cli.main import main
from fast_nst.errors import UserError, printable
from fast_nst.export.onnx_graph import export_checkpoint
from fast_nst.imaging.frames import read_picture
from fast_nst.imaging.images import open_image
from fast_nst.inference.model import Model
from fast_nst.inference.onnx_validation import read_model
from fast_nst.networks.tensor_files import read_checkpoint, read_tensors, write_tensors
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.networks.weights import load_network
from fast_nst.runs.folder import RunFolder
from fast_nst.settings.config_file import check_config
from fast_nst.stylize import library
from fast_nst.stylize.library import add_style, find_styles
from fast_nst.system.files import is_plain_name

GIBIBYTE = 1 << 20  # in the kibibytes of ru_maxrss


class Marker:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def refused(reader, *arguments, match: str = "") -> str:
    """The one sentence that ``reader`` refuses ``arguments`` with, without taking a gibibyte."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=match) as raised:
        reader(*arguments)
    assert "\n" not in str(raised.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GIBIBYTE
    return str(raised.value)


# ---- weights


def _zipped(content: object, path: Path) -> None:
    torch.save(content, path)


def _legacy(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _raw(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".model", ".safetensors"])
@pytest.mark.parametrize("write", [_zipped, _legacy, _raw])
def test_a_pickle_that_would_run_something_does_not(write, suffix, tmp_path):
    path, mark = tmp_path / f"evil{suffix}", tmp_path / "ran"
    write({"network": Marker(mark), "state_dict": {"a": torch.zeros(1)}}, path)
    refused(load_network, path, match="evil")
    refused(read_tensors, path, match="is not a readable")
    assert not mark.exists()
    pickle.loads(pickle.dumps(Marker(mark)))
    assert mark.exists(), "the marker itself does not work, and proves nothing"


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(1).expand(10**12), torch.zeros(10**12, device="meta"), torch.zeros(3).to_sparse()],
    ids=["a stride of 0", "no values", "sparse"],
)
@pytest.mark.parametrize("write", [_zipped, _legacy])
def test_a_tensor_that_is_larger_than_its_values_is_refused(write, tensor, tmp_path):
    if tensor.is_meta and write is _legacy:
        pytest.skip("torch does not write that")
    write({"deep": [{"conv1.conv2d.weight": tensor}]}, tmp_path / "a.pth")
    refused(read_checkpoint, tmp_path / "a.pth", match="damaged or holds more than tensors")


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    _zipped({"a": torch.zeros(25_000_000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as out,
    ):
        for member in plain.infolist():
            out.writestr(member.filename.replace("plain", "a"), plain.read(member))
    assert (tmp_path / "a.pth").stat().st_size < 200_000
    refused(read_checkpoint, tmp_path / "a.pth", match="damaged or holds more than tensors")


def test_an_archive_whose_directory_claims_more_than_the_file_is_refused(tmp_path):
    _zipped({"a": torch.zeros(1000)}, tmp_path / "a.pth")
    content = bytearray((tmp_path / "a.pth").read_bytes())
    entry = content.rindex(b"a/data/0") - 46
    assert content[entry : entry + 4] == b"PK\1\2"
    content[entry + 20 : entry + 28] = struct.pack("<II", 2**31, 2**31)
    (tmp_path / "a.pth").write_bytes(content)
    refused(read_checkpoint, tmp_path / "a.pth", match="damaged or holds more than tensors")


@pytest.mark.parametrize("config", [{"width": 10**6}, {"width": 480}, {"width": 48.0}, {"width": None}, {"width": 12**400}])
def test_a_network_that_the_file_cannot_fill_is_not_built(config, tmp_path):
    network = TransformerNet("fast", 12)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save({"network": network.config | config, "state_dict": state}, tmp_path / "a.ckpt")
    refused(load_network, tmp_path / "a.ckpt", match="no network that there is|too few for width 480")


@pytest.mark.parametrize(
    "content",
    [
        {"network": {"preset": "fast", "width": 12, "styles": ["a"], "more": 1}, "state_dict": {}},
        {"network": {"preset": ["fast"], "width": 12, "styles": ["a"]}, "state_dict": {"a": torch.zeros(1)}},
        {"network": {"preset": "fast", "width": 12, "styles": "a"}, "state_dict": {}},
        {"network": {"preset": "fast", "width": 12, "styles": ["a"]}, "state_dict": [1]},
        {"network": {"preset": "fast", "width": 12, "styles": [["a"]]}, "state_dict": {"a": torch.zeros(20_000)}},
        {"network": {"preset": "fast", "width": 12, "styles": ["a"] * 10**4}, "state_dict": {"a": torch.zeros(200_000)}},
        {"conv1.conv2d.weight": torch.zeros(())},
        {"conv1.conv2d.weight": torch.zeros(8, 3, 9, 9)},
        {"conv1.conv2d.weight": torch.zeros(8, 3, 9, 9), "more": torch.zeros(100_000)},
        {"conv1.conv2d.weight": "text"},
        {1: 2},
    ],
)
def test_a_checkpoint_that_is_none_is_one_sentence(content, tmp_path):
    torch.save(content, tmp_path / "a.pth")
    refused(load_network, tmp_path / "a.pth", match="a.pth|a network needs")


def safetensors(header: object, tail: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + tail


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        safetensors({}, length=2**62),
        safetensors(b"[" * 100_000),
        safetensors([1]),
        safetensors({"a": 1}),
        safetensors({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}),
        safetensors({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4]}}, b"\0" * 4),
        safetensors({"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}, b"\0" * 4),
        safetensors({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, b"\0" * 4),
        safetensors({"a": {"dtype": "object", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
        safetensors({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"}, b"\0" * 4),
    ],
)
def test_a_safetensors_header_is_held_against_the_file(content, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(content)
    refused(read_tensors, tmp_path / "a.safetensors", match="not a readable safetensors file")
    refused(load_network, tmp_path / "a.safetensors", match="not a readable safetensors file")


def test_a_network_s_configuration_in_safetensors_is_checked_like_any_other(tmp_path):
    for config in ("[" * 100_000, "{", '{"preset": "fast", "width": 1000000, "styles": ["a"]}', "1"):
        write_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(1)}, {"network": config})
        refused(load_network, tmp_path / "a.safetensors", match="a.safetensors")


def test_an_enormous_weight_file_is_refused_unread(tmp_path):
    for name in ("a.pth", "a.safetensors"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(5 << 30)  # a hole: it takes no room
        refused(read_tensors, tmp_path / name, match="larger than 4 GiB")


# ---- ONNX models


@pytest.fixture
def model(negative) -> onnx.ModelProto:
    return onnx.load(negative.parts[0].path)


def written(model: onnx.ModelProto, tmp_path: Path) -> Path:
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "a.onnx"


def with_metadata(model: onnx.ModelProto, **changes: str) -> onnx.ModelProto:
    entries = {entry.key: entry.value for entry in model.metadata_props} | changes
    del model.metadata_props[:]
    helper.set_model_props(model, entries)
    return model


@pytest.fixture
def no_session(monkeypatch) -> None:
    """A session that is made is a failure: what is refused is refused before."""
    monkeypatch.setattr("fast_nst.inference.engines.onnxruntime.InferenceSession", None)


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/passwd", "C:\\weights.bin", "a\0b"])
def test_weights_in_other_files_are_refused(location, model, tmp_path, no_session):
    (tmp_path / "weights.bin").write_bytes(b"\0" * 4)
    weight = model.graph.initializer.add(name="far", data_type=TensorProto.FLOAT, dims=[1])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    refused(Model, written(model, tmp_path), match="keeps its weights in other files")


@pytest.mark.parametrize(
    ("kind", "domain"),
    [("Evil", "com.evil"), ("BitwiseNot", "com.evil"), ("Loop", ""), ("If", ""), ("Tile", ""), ("a\nb", "")],
)
def test_operators_that_no_export_has_are_refused(kind, domain, model, tmp_path, no_session):
    model.graph.node[0].op_type, model.graph.node[0].domain = kind, domain
    refused(Model, written(model, tmp_path), match="has the operator")


def test_a_graph_in_a_graph_and_functions_are_refused(model, tmp_path, no_session):
    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    inner.graph.node[0].attribute.append(helper.make_attribute("body", model.graph))
    refused(Model, written(inner, tmp_path), match="a graph within")
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [], model.opset_import))
    refused(Model, written(model, tmp_path), match="holds functions")


@pytest.mark.parametrize("dims", [[10**6, 10**6, 10**6], [2], [-1], [2**62, 4], [0]])
def test_weights_of_another_size_than_their_bytes_are_refused(dims, model, tmp_path, no_session):
    model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=b"\0" * 4)
    refused(Model, written(model, tmp_path), match="weight|not a sound ONNX model")


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({"rows": "{"}, "do not name its rows"),
        ({"rows": "[" * 100_000}, "do not name its rows"),
        ({"rows": '{"negative": 1}'}, "do not name its rows"),
        ({"rows": "[1]"}, "do not name its rows"),
        ({"rows": '["negative", "negative"]'}, "do not name its rows"),
        ({"rows": json.dumps(["x" * 10**6, "negative"])}, "do not name its rows"),
        ({"own": "other"}, "do not name its rows"),
        ({"rows": '["negative", "more"]'}, "names 2 rows and takes"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(entries, match, model, tmp_path, no_session):
    refused(Model, written(with_metadata(model, **entries), tmp_path), match=match)


def test_a_model_that_gives_no_picture_is_refused(model, tmp_path, no_session):
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    refused(Model, written(model, tmp_path), match="does not give one uint8 picture")


def test_an_enormous_model_is_refused_unread(tmp_path, no_session):
    with (tmp_path / "a.onnx").open("wb") as file:
        file.truncate(600 << 20)
    refused(Model, tmp_path / "a.onnx", match="600 MiB")


def test_a_padding_or_scale_that_makes_huge_pictures_is_refused(model, tmp_path):
    for kind, inputs, value in (
        ("Pad", ["image", "by"], np.array([0, 10**6, 10**6, 0] * 2)),
        ("Resize", ["image", "", "by"], np.float32([1, 1e6, 1e6, 1])),
    ):
        broken = onnx.ModelProto()
        broken.CopyFrom(model)
        broken.graph.initializer.append(onnx.numpy_helper.from_array(value, "by"))
        broken.graph.node.insert(0, helper.make_node(kind, inputs, ["large"]))
        refused(read_model, written(broken, tmp_path), match="makes pictures too large")


def test_what_fails_while_it_draws_is_one_sentence(model, tmp_path):
    model.graph.node[0].output[0] = "inside"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.int64([0, 7, 7, 3]), "shape"))
    model.graph.node.append(helper.make_node("Reshape", ["inside", "shape"], ["picture"]))
    drawer = Model(written(model, tmp_path))
    refused(drawer, np.zeros((1, 20, 20, 3), np.uint8), drawer.weights(), match="cannot draw 20x20 pixels here")


# ---- configs


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('name: !!python/object/apply:os.mkdir ["MARK"]', "could not determine a constructor"),
        ("trainer: {logger: {class_path: os.mkdir, init_args: {path: MARK}}}", "names a class"),
        ("trainer: {callbacks: [{class_path: mark_of_a_test.Class}]}", "names a class"),
        ('trainer: {strategy: "{class_path: mark_of_a_test.Class}"}', "names a class"),
        ("trainer.logger.class_path: mark_of_a_test.Class", "names a class"),
        ('trainer: {logger: {"class\\x5fpath": mark_of_a_test.Class}}', "names a class"),
        ("loss: mark_of_a_test.Class", "is a group of settings"),
        ("loss: /dev/zero", "is a group of settings"),
        ("config: other.yaml", "names another config"),
        ("trainer: {callbacks: [a]}", "takes an object of Python"),
        ("trainer: {logger: text}", "takes an object of Python"),
        (
            "a: &a [1, 1, 1]\n"
            + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
            "too many",
        ),
        ("trainer: &a {x: *a}", "an alias of itself"),
        ("trainer: {x: " + "[" * 900 + "]" * 900 + "}", "too many levels"),
        ("trainer: {x: " + "{" * 2000, "too many levels"),
        ("trainer:\n- " + "- " * 2000 + "1", "too many levels"),
        ("trainer: {x: " + "[" * 100_000 + "]" * 100_000 + "}", "too many levels"),
        ('seed: "' + "[" * 100_000 + '"', "too many levels"),
        ("seed: " + "1" * 5000, "not YAML"),
        ("seed: 0x" + "f" * 300, "needs to be between"),
        ("loss: {style_weight: 0x" + "f" * 300 + "}", "beyond all bounds"),
        ("loss: {style_weight: null}", "got nothing"),
        ("- 1", "holds no settings"),
        ("1: 2", "holds no settings"),
        ("\x01", "not YAML"),
        ("seed: " + " " * 300_000 + "1", "a config has at most"),
        ('name: "../../x"', "a plain word"),
        ('name: "a\\0b"', "a plain word"),
        ("name: /tmp/x", "a plain word"),
        ("name: nul.txt", "a plain word"),
        ("name: " + "x" * 5000, "a plain word"),
    ],
)
def test_a_config_holds_plain_settings_and_no_more(text, match, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "imported"
    (tmp_path / "mark_of_a_test.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Class: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "c.yaml").write_text(text.replace("MARK", str(mark)))
    with pytest.raises(SystemExit) as ended:
        main(["train", "--config", "c.yaml", "--steps", "1"])
    said = capsys.readouterr().err.removeprefix("loading ...\n")
    assert ended.value.code == 2 and said.count("\n") == 1 and match in said
    assert len(said) < 3000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml", "mark_of_a_test.py"]
    assert "mark_of_a_test" not in sys.modules


def test_the_marker_of_the_configs_works(tmp_path, monkeypatch):
    (tmp_path / "mark_of_another.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'imported')!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("mark_of_another")
    assert (tmp_path / "imported").exists()


# ---- names, cards and the style library

HOSTILE_NAMES = [
    "../../x",
    "/tmp/x",
    "a/b",
    "a\\b",
    "..",
    ".",
    "a\0b",
    "x" * 300,
    "\x1b[2J",
    "CON",
    "nul.txt",
    "com1",
    "a?b",
]
HOSTILE_NAMES += ["\u202egnp", "", " ", "a\nb", "é" * 150]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_that_would_leave_their_folder_are_refused_everywhere(name, negative, tmp_path, monkeypatch, model):
    monkeypatch.setenv("FAST_NST_STYLES", str(tmp_path / "library"))
    assert not is_plain_name(name)
    refused(RunFolder, tmp_path, name, match="a plain word")
    if name:
        refused(add_style, negative.parts[0].path, name, match="a plain word")
        refused(add_style, written(with_metadata(model, name=name), tmp_path), match="a plain word")
    assert [path for path in tmp_path.rglob("*") if path.is_dir()] == []


@pytest.mark.parametrize("name", ["great_wave", "my style", "Übung", "a.b", "style-2", "夜", "console", "comet"])
def test_plain_names_are_plain(name, tmp_path):
    assert is_plain_name(name)
    assert RunFolder(tmp_path, name).path.parent == tmp_path


def test_titles_that_would_steer_the_terminal_are_shown_without_their_codes(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FAST_NST_STYLES", str(tmp_path / "library"))
    card = {"style": {"file": "\x1b[2J\x1b]0;owned\x07 wave\u202e" + "x" * 10**5}}
    add_style(written(with_metadata(model, card=json.dumps(card)), tmp_path), "mine")
    known = json.loads((tmp_path / "library/mine/style.json").read_text())
    known |= {"license": "\x1b[31mred\r\nmore", "model": "/etc/passwd"}
    (tmp_path / "library/mine/style.json").write_text(json.dumps(known))
    main(["styles"])
    shown = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in shown)
    (line,) = (line for line in shown.splitlines() if line.startswith("mine"))
    assert "wave" in line and "red more" in line.replace("?", "") and len(line) < 400
    assert find_styles()["mine"].model == tmp_path / "library/mine/model.onnx"


@pytest.mark.parametrize("card", ["[" * 100_000, "{}", "[]", '{"rows": 1, "row": 1}', "x" * (2 << 20)])
def test_a_hostile_card_in_the_library_is_one_sentence(card, tmp_path, monkeypatch):
    monkeypatch.setenv("FAST_NST_STYLES", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / library.CARD).write_text(card)
    (tmp_path / "mine" / library.MODEL).touch()
    assert "mine" not in find_styles()
    sentence = library.damaged_styles()["mine"]
    assert "is damaged; remove the folder" in sentence and sentence.isprintable()


@pytest.mark.parametrize("card", ["[" * 100_000, "{", "[]", "x" * (2 << 20), '{"name": ["a"], "style": "\\u001b[2J"}'])
def test_a_hostile_card_beside_a_checkpoint_is_one_sentence_or_harmless(card, tmp_path):
    network = TransformerNet("fast", 12, ["a"])
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save({"network": network.config, "state_dict": state}, tmp_path / "last.ckpt")
    (tmp_path / "card.json").write_text(card)
    if "name" in card:
        export_checkpoint(tmp_path, tmp_path / "a.onnx")
        assert Model(tmp_path / "a.onnx").rows == ["a"]
    else:
        refused(export_checkpoint, tmp_path, tmp_path / "a.onnx", match="card")
        assert not (tmp_path / "a.onnx").exists()


def test_errors_do_not_carry_control_characters_to_the_terminal(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["stylize", "a.jpg", "--style", "\x1b[2Jred\nmore" + "x" * 10_000])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "\x1b" not in said and len(said) < 3000
    assert printable("a\x1bb\nc") == "a?b\nc"


# ---- pictures


def test_a_picture_that_is_a_program_is_not_run(tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.eps")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.eps").read_bytes())
    for name in ("a.eps", "a.jpg"):
        for reader in (open_image, read_picture):
            refused(reader, tmp_path / name, match="holds PostScript, a program that draws")


@pytest.mark.parametrize("text", ["size: 32\nsize: 64\n", "loss:\n  style_weight: 1\n  style_weight: 2\n"])
def test_a_config_that_gives_a_setting_twice_is_refused(text, tmp_path):
    (tmp_path / "twice.yaml").write_text(text)
    refused(check_config, tmp_path / "twice.yaml", match="gives '.*' twice; leave one of them out")


def test_a_config_may_give_the_same_name_in_different_groups(tmp_path):
    (tmp_path / "once.yaml").write_text("a: {lr: 1}\nb: {lr: 2}\n")
    assert check_config(tmp_path / "once.yaml") == {"a": {"lr": 1}, "b": {"lr": 2}}
