"""A data set stylized by workers, which run in this process: names, rows, restarts, mistakes. No cluster is started."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="no cluster is tested: pip install 'fast_nst[ray]'")

from fast_nst.cli.main import main
from fast_nst.cluster import actors, stylize
from fast_nst.cluster.connecting import check_address
from fast_nst.cluster.manifest import Manifest, table_of
from fast_nst.cluster.stores import Folder, Pictures, check_apart, open_store
from fast_nst.cluster.stylize import pool_size, stylize_data_set
from fast_nst.errors import DiskFull, PartlyDone, UserError
from fast_nst.stylize.choices import chosen_styles

from .conftest import STYLES, rows, tree


def run(settings):
    """The sentence of a run in which pictures fail."""
    with pytest.raises(PartlyDone) as told:
        stylize_data_set(settings)
    return str(told.value)


def test_every_picture_equals_that_of_the_command_alone(settings, expected, in_process):
    assert "1 of 14 pictures failed" in run(settings)
    assert tree(Path(settings.output)) == expected
    assert len(expected) == 13 and {"twin.great_wave.jpg", "twin.the_scream.jpg"} & set(expected)


def test_twins_get_the_numbers_that_the_command_alone_gives_them(settings, tmp_path, in_process):
    one = replace(settings, style="great_wave")
    run(one)
    assert {"twin.great_wave.jpg", "twin.great_wave_2.jpg"} < set(tree(Path(one.output)))


def test_the_manifest_has_a_row_for_each_picture(settings, in_process):
    run(settings)
    found = {row["path"]: row for row in rows(Path(settings.output))}
    assert len(found) == 14
    assert {row["status"] for path, row in found.items() if path != "n1/bad.png"} == {"drawn"}
    row = found["n2/5.png"]
    (style,) = chosen_styles("n2/5.png", STYLES, 0, 1)
    assert (row["style"], row["output"], row["problem"]) == (style, f"n2/5.{style}.png", "") and row["seconds"] > 0
    assert found["n1/bad.png"]["status"] == "failed" and "bad.png" in found["n1/bad.png"]["problem"]


def test_a_restart_draws_what_is_missing_and_the_manifest_stays_complete(settings, expected, in_process):
    run(settings)
    output = Path(settings.output)
    gone = [name for name in expected if "/5." in name or "twin" in name]
    for name in gone:
        (output / name).unlink()
    in_process.clear()
    assert "1 of 14 pictures failed" in run(settings)
    assert sum(in_process) == len(gone) + 1 and tree(output) == expected
    last = {row["output"]: row["status"] for row in rows(output)}
    assert len(last) == 14 and sorted(last.values()) == ["drawn"] * 13 + ["failed"]


def test_pictures_whose_rows_were_lost_get_new_ones(settings, in_process):
    run(settings)
    for part in Path(settings.output, "manifest.parquet").iterdir():
        part.unlink()
    run(settings)
    assert sorted(row["status"] for row in rows(Path(settings.output))) == ["failed"] + ["there"] * 13
    run(settings)
    assert len(rows(Path(settings.output))) == 15  # the bad file alone is tried again


def test_overwrite_draws_everything_again(settings, expected, in_process):
    run(settings)
    for name in expected:
        Path(settings.output, name).write_bytes(b"old")
    run(replace(settings, overwrite=True))
    assert tree(Path(settings.output)) == expected


def test_parts_and_several_styles_go_together(settings, in_process):
    several = replace(settings, styles_per_picture=2)
    for part in (2, 1):
        stylize_any(replace(several, shard=f"{part}/2"))
    assert len(tree(Path(settings.output))) == 26


def stylize_any(settings):
    with suppress(PartlyDone):
        stylize_data_set(settings)


def test_what_died_with_its_worker_is_drawn_again_picture_by_picture(settings, expected, in_process, monkeypatch):
    honest, tried = stylize.rows_of, []

    def with_deaths(ray, settings, plan, tasks, most):
        for place, table in enumerate(honest(ray, settings, plan, tasks, most)):
            tried.append(len(table))
            if most == 1 or place not in (0, 2):
                yield table

    monkeypatch.setattr(stylize, "rows_of", with_deaths)
    run(settings)
    assert tried == [3, 3, 3, 3, 2] + [1] * 6
    assert tree(Path(settings.output)) == expected
    assert len(rows(Path(settings.output))) == 14


def test_a_picture_that_ends_every_worker_is_a_row(settings, in_process, monkeypatch):
    honest = stylize.rows_of

    def deadly(ray, settings, plan, tasks, most):
        yield from honest(ray, settings, plan, [task for task in tasks if "n0/3" not in task.path], most)

    monkeypatch.setattr(stylize, "rows_of", deadly)
    assert "2 of 14 pictures failed" in run(settings)
    (row,) = [row for row in rows(Path(settings.output)) if row["path"] == "n0/3.png"]
    assert row["status"] == "failed" and "died" in row["problem"]


def test_a_full_disk_ends_the_run_in_a_sentence_and_leaves_no_half_of_a_file(settings, expected, in_process, monkeypatch):
    honest = actors.write_job

    def full(job, picture):
        if "/n2/" in str(job.target):
            raise OSError(28, "No space left on device")
        honest(job, picture)

    monkeypatch.setattr(actors, "write_job", full)
    with pytest.raises(DiskFull, match="No space left on device.*same command draws what is missing"):
        stylize_data_set(settings)
    monkeypatch.setattr(actors, "write_job", honest)
    run(settings)
    assert tree(Path(settings.output)) == expected


def test_leftovers_of_killed_workers_are_removed(settings, expected, in_process):
    left = Path(settings.output, "n1", ".7-01234567.part.png")
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    run(settings)
    assert tree(Path(settings.output)) == expected


def test_another_version_on_a_worker_is_one_sentence(settings, in_process, monkeypatch):
    monkeypatch.setattr(stylize.fast_nst, "__version__", "0.0.1")
    monkeypatch.setattr(actors, "fast_nst", type("Other", (), {"__version__": "9.9"}))
    with pytest.raises(UserError, match=r"a worker has fast_nst 9.9, not 0.0.1; install the same everywhere"):
        stylize_data_set(settings)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_cannot_be_entered_is_a_row(settings, data_set, in_process):
    (data_set / "n0").chmod(0)
    try:
        assert "2 of" in run(settings)
    finally:
        (data_set / "n0").chmod(0o755)


def test_a_link_to_nothing_is_a_row(settings, data_set, in_process):
    (data_set / "n0" / "gone.png").symlink_to("nothing")
    assert "2 of 15 pictures failed" in run(settings)
    assert {row["path"] for row in rows(Path(settings.output)) if row["status"] == "failed"} == {"n1/bad.png", "n0/gone.png"}


def test_a_name_that_is_no_text_is_a_row(settings, data_set, in_process):
    os.rename(data_set / "n0" / "3.png", os.fsencode(data_set / "n0") + b"/\xff.png")
    run(settings)
    (row,) = [row for row in rows(Path(settings.output)) if "UTF-8" in row["problem"]]
    assert row["path"] == r"n0/\udcff.png"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["in", "--output", "in/out"], "lie in one another"),
        (["in", "--output", "in"], "lie in one another"),
        (["in"], "and --output another one"),
        (["in", "in2", "--output", "out"], "takes one folder"),
        (["in", "--output", "out", "--dry_run"], "--dry_run goes without --ray"),
        (["absent", "--output", "out"], "no folder of pictures at"),
        (["in", "--output", "ftp://host/out"], "give a folder, s3://... or gs://..."),
        (["in", "--output", "out", "--ray", "127.0.0.1:9"], "no Ray answers at 127.0.0.1:9"),
        (["--output", "out", "--ray", "in"], "put --ray last"),
    ],
)
def test_a_mistake_is_one_sentence(settings, data_set, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    words = words if "--ray" in words else [*words, "--ray"]
    with pytest.raises(SystemExit) as ended:
        main(["stylize", *words, "--style", "great_wave", "--recursive"])
    told = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2 and message in told[-1]
    assert "out" not in os.listdir(tmp_path) or tree(tmp_path / "out") == {}


def test_ray_is_given_with_or_without_an_address(settings, monkeypatch):
    taken = []
    monkeypatch.setattr("fast_nst.cli.commands.stylize_data_set", taken.append)
    for words in (["--ray"], ["--ray", "auto"], ["--ray=10.0.0.1:6379"], ["--ray", "--recursive"]):
        main(["stylize", "in", "-s", "great_wave", "-o", "out", *words])
    assert [one.ray for one in taken] == [True, "auto", "10.0.0.1:6379", True]


def test_addresses_are_those_of_ray():
    for address in ("auto", "10.0.0.1:6379", "ray://head.cluster.local:10001", "[::1]:6379"):
        check_address(address)
    for address in ("photos", "photos/", "10.0.0.1", "a:b", "http://host:1"):
        with pytest.raises(UserError, match="takes an address"):
            check_address(address)


def test_links_do_not_hide_that_the_output_lies_in_the_input(data_set, tmp_path):
    (tmp_path / "link").symlink_to(data_set)
    with pytest.raises(UserError, match="lie in one another"):
        check_apart(str(data_set), str(tmp_path / "link" / "out"))
    check_apart("s3://bucket/photos", "s3://bucket/photos2")
    with pytest.raises(UserError, match="lie in one another"):
        check_apart("s3://bucket/photos?region=x", "s3://bucket/photos/out")


def test_the_pool_has_as_many_workers_as_fit():
    resources = {"CPU": 10.0, "GPU": 2.0}
    assert [pool_size(resources, cpus, gpus, None) for cpus, gpus in ((1, 0), (4, 0), (1, 1))] == [10, 2, 2]
    assert pool_size(resources, 1, 0, 3) == 3
    with pytest.raises(UserError, match="a worker needs 16 cores and 0 GPUs, the cluster has 10 cores"):
        pool_size(resources, 16, 0, None)


def test_a_damaged_part_of_a_manifest_is_one_sentence(tmp_path):
    (tmp_path / "manifest.parquet").mkdir()
    (tmp_path / "manifest.parquet" / "part-00003.parquet").write_bytes(b"half")
    with pytest.raises(UserError, match="part-00003.parquet cannot be read as a part of a manifest; remove it"):
        Manifest(Folder(str(tmp_path))).known()


def test_parts_of_a_manifest_follow_one_another(tmp_path):
    for output in ("a", "b"):
        with Manifest(open_store(str(tmp_path))) as manifest:
            manifest.add([{"output": output, "status": "drawn"}, {"output": f"bad {output}", "status": "failed"}])
    assert sorted(path.name for path in (tmp_path / "manifest.parquet").iterdir()) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    known = Manifest(open_store(str(tmp_path))).known()
    assert [output in known for output in ("a", "b", "bad a", "c")] == [True, True, False, False]


def test_only_one_round_of_paths_is_held_at_a_time(settings, in_process, monkeypatch):
    held = []

    def pictures(store, recursive):
        for place in range(20):
            held.append(place)
            yield Pictures(f"n{place:02d}", [f"{number:04d}.jpg" for number in range(1000)])

    def rows_of(ray, settings, plan, tasks, most):
        rounds.append((len(tasks), len(held)))
        table = stylize.table_of_tasks(tasks)
        yield table_of([{**row, "status": "drawn"} for row in table.to_pylist()])

    rounds = []
    monkeypatch.setattr(Folder, "pictures", pictures)
    monkeypatch.setattr(stylize, "rows_of", rows_of)
    monkeypatch.setattr(stylize, "ROUND", 6000)
    assert stylize_data_set(replace(settings, style="great_wave")).drawn == 20_000
    assert [count for count, _ in rounds] == [6000, 6000, 6000, 2000]
    assert [folders for _, folders in rounds] == [6, 12, 18, 20]  # no folder is listed before its turn
    assert len(rows(Path(settings.output))) == 20_000
