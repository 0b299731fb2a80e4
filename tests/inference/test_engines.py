import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from fast_nst.cli.main import main
from fast_nst.errors import UserError
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference import engine_selection, engines, measuring
from fast_nst.inference.engine_selection import (
    Choice,
    engines_table,
    entry_of,
    find_engines,
    make_engine,
    missing_engines,
    remember,
    remembered,
)
from fast_nst.inference.engines import OnnxRuntime, OpenVino, Signature
from fast_nst.inference.measuring import markdown_table, median_milliseconds, psnr
from fast_nst.inference.model import Model
from fast_nst.system.files import SHIPPED

BASE = SHIPPED / "base.onnx"
ORT, OV = Choice("onnxruntime", "cpu"), Choice("openvino", "cpu")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FAST_NST_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(negative) -> Path:
    """A file whose picture is 255 - x."""
    return negative.parts[0].model.path


@pytest.fixture
def only_onnxruntime(monkeypatch):
    """A machine with onnxruntime for the processor, and nothing else."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["AzureExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(engine_selection, "find_spec", lambda name: None)


@pytest.fixture
def openvino():
    return pytest.importorskip("openvino", reason="the extra openvino is not installed")


def test_a_model_draws_with_onnxruntime_unless_told_otherwise(model, pixels):
    found = Model(model, 1)
    assert found.engine.name == "onnxruntime" and found.session is found.engine.session
    assert found.session.get_providers() == onnxruntime.get_available_providers()
    np.testing.assert_array_equal(found(pixels[None], found.weights()), 255 - pixels[None])


@pytest.mark.parametrize("provider", [None, "auto"])
def test_the_engine_chooses_its_device_where_none_is_named(model, provider):
    assert make_engine("onnxruntime", model, 1, provider).session.get_providers() == onnxruntime.get_available_providers()


def test_the_gpu_of_a_mac_goes_by_pytorchs_name_too(only_onnxruntime, model):
    with pytest.raises(UserError, match="no coreml here; it takes onnxruntime on a Mac"):
        make_engine("onnxruntime", model, 1, "mps")


def test_a_measurement_is_announced_before_it_is_made(race, capsys):
    race(inverted, {ORT: 3.0, OV: 2.0})
    assert capsys.readouterr().err.startswith("timing 2 engines, once for this model ...")


@pytest.mark.parametrize("provider", ["cpu", "CPU", "CPUExecutionProvider"])
def test_a_provider_goes_by_a_short_name_or_by_onnxruntimes_own(model, pixels, provider):
    engine = make_engine("onnxruntime", model, 1, provider)
    assert engine.provider == "cpu" and engine.session.get_providers() == ["CPUExecutionProvider"]
    np.testing.assert_array_equal(engine.run(pixels[None], np.ones(1, np.float32)), 255 - pixels[None])


def test_what_is_here_is_listed_and_what_is_remote_is_not(only_onnxruntime):
    assert find_engines() == [ORT]
    assert missing_engines() == {
        "openvino": "pip install 'fast_nst[openvino]'",
        "openvino-bf16": "pip install 'fast_nst[openvino]', on a processor with bfloat16",
    }


@pytest.mark.parametrize(
    ("engine", "provider", "message"),
    [
        ("onnxruntime", "cuda", "no cuda here; it takes pip install onnxruntime-gpu .* choose from: onnxruntime on cpu$"),
        ("auto", "CUDAExecutionProvider", "no cuda here; .* choose from: onnxruntime on cpu$"),
        ("onnxruntime", "directml", "no dml here; it takes pip install onnxruntime-directml"),
        ("onnxruntime", "cudaa", "unknown provider 'cudaa'; .*choose from: cpu$"),
        (
            "openvino",
            None,
            r"no openvino here; it takes pip install 'fast_nst\[openvino\]'; choose from: onnx",
        ),
        ("openvino-bf16", "cpu", "no openvino-bf16 here; .* on a processor with bfloat16"),
        ("openvno", None, "unknown engine 'openvno'; did you mean openvino"),
    ],
)
def test_an_engine_that_is_not_here_is_one_line_with_the_way_out(only_onnxruntime, model, engine, provider, message):
    with pytest.raises(UserError, match=message):
        Model(model, 1, engine, provider)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "auto"])
def test_what_is_no_model_is_one_line_under_every_engine(engine, tmp_path, request):
    if engine == "openvino":
        request.getfixturevalue("openvino")
    (tmp_path / "a.onnx").write_text("hello")
    with pytest.raises(UserError, match="a.onnx is not an ONNX model"):
        Model(tmp_path / "a.onnx", 1, engine)


@pytest.fixture
def graphics_card(monkeypatch):
    """onnxruntime says that it has CUDA; what sessions were asked for is noted. CUDA itself never starts."""
    asked, session = [], onnxruntime.InferenceSession

    def start(path, options, providers):
        asked.append(providers)
        return session(path, options, providers=["CPUExecutionProvider"])

    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(engines.onnxruntime, "InferenceSession", start)
    return asked


def test_the_processor_stays_behind_every_other_provider(graphics_card, model):
    with pytest.raises(UserError, match="onnxruntime's cuda does not start here"):
        make_engine("onnxruntime", model, 1, "cuda")
    assert graphics_card == [["CUDAExecutionProvider", "CPUExecutionProvider"]]


def test_a_provider_that_does_not_start_is_passed_over_by_auto_and_named_in_the_table(graphics_card, monkeypatch, model):
    monkeypatch.setattr(engine_selection, "find_spec", lambda name: None)
    assert make_engine("auto", model, 1).provider == "cpu"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in engines_table(model, 1).splitlines()]
    assert rows[0][:2] == ["engine", "provider"]
    assert rows[2] == ["onnxruntime", "cuda", "fails", "fails", ""]
    assert rows[3][:2] == ["onnxruntime", "cpu"] and rows[3][4] == "equal"


class Painted:
    """An engine that draws what it is told."""

    signature = Signature({"image": ("uint8", 4), "style": ("float", 1)}, {"rows": '["negative"]', "own": "negative"})

    def __init__(self, name, picture):
        self.name, self.provider, self.picture = name, "cpu", picture

    def run(self, image, style):
        return self.picture(image)


@pytest.fixture
def race(monkeypatch, model):
    """Which engine ``auto`` takes, where OpenVINO draws ``picture`` and the engines take ``times``; and whether it timed."""

    def run(picture, times, path=model, threads=1):
        timed = []
        pair = {ORT: OnnxRuntime(path, 1, "cpu"), OV: Painted("openvino", picture)}
        monkeypatch.setattr(engine_selection, "find_engines", lambda: [*pair, Choice("openvino-bf16", "cpu", exact=False)])
        monkeypatch.setattr(engine_selection, "OpenVino", lambda *_, **__: pair[OV])
        monkeypatch.setattr(
            engine_selection, "_timed", lambda found, side: timed.append(set(found)) or {one: times[one] for one in found}
        )
        return make_engine("auto", path, threads).name, timed

    return run


def inverted(image):
    return 255 - image


def test_auto_takes_the_fastest(race):
    assert race(inverted, {ORT: 3.0, OV: 2.0}) == ("openvino", [{ORT, OV}])


def test_auto_never_rounds_to_bfloat16_unasked(race):
    name, timed = race(inverted, {ORT: 3.0, OV: 2.0})
    assert not any(choice.name == "openvino-bf16" for choice in timed[0])


def broken(image):
    raise RuntimeError("driver")


@pytest.mark.parametrize("picture", [lambda image: image, lambda image: image[:, ::-1], broken])
def test_auto_passes_over_an_engine_that_draws_something_else_or_fails(race, picture):
    assert race(picture, {ORT: 3.0, OV: 2.0}) == ("onnxruntime", [{ORT}])


def test_auto_remembers_and_measures_again_for_another_model_or_number_of_threads(race, model, tmp_path):
    times = {ORT: 3.0, OV: 2.0}
    assert len(race(inverted, times)[1]) == 1
    assert race(inverted, times) == ("openvino", [])
    assert len(race(inverted, times, threads=2)[1]) == 1
    (tmp_path / "other.onnx").write_bytes(model.read_bytes() + b"\x32\x00")  # an empty doc_string: another file, as good
    assert len(race(inverted, times, tmp_path / "other.onnx")[1]) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"engine": 3, "provider": "cpu"}', b'{"engine": "openvino"}']
    + [b'{"engine": "absent", "provider": "cpu"}', b'{"engine": "openvino", "provider": "cuda"}'],
)
def test_a_damaged_cache_is_measured_again(race, model, content):
    entry = entry_of(model, 1, None)
    entry.parent.mkdir(parents=True)
    entry.write_bytes(content)
    assert race(inverted, {ORT: 1.0, OV: 2.0}) == ("onnxruntime", [{ORT, OV}])
    assert remembered(entry) == {"engine": "onnxruntime", "provider": "cpu"}


def test_a_cache_that_cannot_be_written_costs_only_time(race, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FAST_NST_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        assert race(inverted, {ORT: 3.0, OV: 2.0}) == ("openvino", [{ORT, OV}])


def test_another_processor_or_version_is_another_entry(model, monkeypatch):
    entry = entry_of(model)
    with monkeypatch.context() as patch:
        patch.setattr(engine_selection, "cpu_name", lambda: "another")
        assert entry_of(model) != entry
    with monkeypatch.context() as patch:
        patch.setattr(engine_selection, "version_of", lambda package: "0")
        assert entry_of(model) != entry
    remember(entry, engine="openvino")
    assert remembered(entry_of(model)) == {"engine": "openvino"}


@pytest.fixture(scope="module")
def reference():
    return Model(BASE, 1)


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 17, 31), (3, 50, 39)])
def test_openvino_draws_what_onnxruntime_draws(openvino, reference, shape):
    count, height, width = shape
    batch = np.stack([draw_scene(height, width, seed) for seed in range(count)])
    model = Model(BASE, 1, "openvino")
    for strength in (0.0, 0.6, 1.5):
        weights = reference.weights({"great_wave": 0.5, "monet": 0.5}, strength)
        for _ in range(engines.USES_BEFORE_OWN_SIZE + 1):  # with the network of all sizes, then with one of its own
            assert psnr(model(batch, weights), reference(batch, weights)) > 60
    assert list(model.engine._own_size) == [(*shape, 3)]


def test_openvino_keeps_networks_for_the_latest_sizes_alone(openvino, reference):
    engine, weights = OpenVino(BASE, 1), reference.weights()
    sides = range(16, 16 + 4 * (engines.MAX_SIZES + 1), 4)
    for side in sides:
        for _ in range(engines.USES_BEFORE_OWN_SIZE):
            engine.run(np.zeros((1, side, side, 3), np.uint8), weights)
    assert [shape[1] for shape in engine._own_size] == list(sides)[1:]


def test_openvino_in_bfloat16_is_near_and_is_there_only_where_the_processor_has_it(openvino, reference):
    picture, weights = draw_scene(96, 128)[None], reference.weights({"great_wave": 1.0})
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(UserError, match="no openvino-bf16 here"):
            Model(BASE, 1, "openvino-bf16")
        return
    assert 40 < psnr(Model(BASE, 1, "openvino-bf16")(picture, weights), reference(picture, weights)) < 70


def test_threads_share_an_openvino_model(openvino, reference):
    model, weights = Model(BASE, 1, "openvino"), reference.weights()
    pictures = [draw_scene(40, 40 + 4 * number, number)[None] for number in range(4)]
    found = {}

    def draw(number):
        for _ in range(4):
            found[number] = model(pictures[number], weights)

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all(psnr(found[number], reference(picture, weights)) > 60 for number, picture in enumerate(pictures))


def test_a_session_is_there_only_with_onnxruntime(openvino):
    with pytest.raises(UserError, match="needs --engine onnxruntime, not openvino"):
        _ = Model(BASE, 1, "openvino").session


def test_the_command_lists_every_engine_with_its_milliseconds(monkeypatch, capsys, model):
    monkeypatch.setattr(engine_selection, "SHOWN_SIDES", (16, 24))
    main(["engines", "--style", str(model), "--threads", "1"])
    lines = capsys.readouterr().out.splitlines()
    here = find_engines()
    assert [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines[2 : 2 + len(here)]] == [
        (choice.name, choice.provider) for choice in here
    ]
    assert lines[0].count("|") == 6 and "16 x 16" in lines[0] and "24 x 24" in lines[0]
    assert "ms" in next(line for line in lines if "onnxruntime" in line and "cpu" in line)
    assert len(lines) == 2 + len(here) + len(missing_engines())


def test_no_engine_imports_torch():
    code = (
        "import sys\nfrom fast_nst.inference.model import Model\n"
        "from fast_nst.inference.engine_selection import engines_table, find_engines\n"
        f"names = {{choice.name for choice in find_engines()}}; [Model({str(BASE)!r}, 1, name) for name in names]\n"
        "assert not {'torch', 'lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(SHIPPED.parents[1])})


def test_psnr_of_pictures_that_differ_by_one_everywhere():
    dark, light = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4, 3), np.uint8)
    assert psnr(dark, light) == psnr(light, dark) == pytest.approx(48.1308, abs=1e-4)  # 20 log10(255)
    assert psnr(dark, dark) == float("inf")


def test_medians_leave_out_the_warm_up_and_take_turns_with_a_rest_before_each(monkeypatch):
    """Without the rest, the threads of the engine before, which spin for a while, take from the one that is timed."""
    clock, order = [0.0], []
    seconds = {"a": iter([9, 0.001, 0.006, 0.003]), "b": iter([9, 0.002, 0.005, 0.004])}

    def pause(wanted):
        order.extend("." * bool(wanted))
        clock[0] += wanted

    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: clock[0], sleep=pause))

    def run(name):
        order.append(name)
        clock[0] += next(seconds[name])

    found = median_milliseconds({name: lambda name=name: run(name) for name in "ab"}, rounds=3, warm_up=1)
    assert found == pytest.approx({"a": 3.0, "b": 4.0})
    assert "".join(order) == "ab.a.b.a.b.a.b"


def test_a_table_is_markdown_with_numbers_to_the_right():
    assert markdown_table(["name", "ms"], [["a", "1.5"], ["long name", "10"]]).splitlines() == [
        "| name      |  ms |",
        "| --------- | --: |",
        "| a         | 1.5 |",
        "| long name |  10 |",
    ]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not confine processes to cores")
def test_usable_cores_are_those_the_process_is_confined_to():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from fast_nst.inference.engines import usable_cores; print(usable_cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"
