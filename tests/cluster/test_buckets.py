"""Data sets in buckets, of an S3 server on loopback; the workers run in this process."""

import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="no cluster is tested: pip install 'fast_nst[ray]'")
pytest.importorskip("moto", reason="no bucket is tested: pip install 'fast_nst[cluster-test]'")

from moto.server import ThreadedMotoServer
from pyarrow.fs import S3FileSystem, copy_files

from fast_nst.cluster import actors
from fast_nst.cluster.stylize import stylize_data_set
from fast_nst.errors import PartlyDone, UserError

from .conftest import rows, tree


@pytest.fixture
def server(monkeypatch):
    """The port of a server with an empty bucket called photos."""
    for name, value in {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "no_proxy": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    ask(port, "reset")  # of what servers before left in memory
    files_of(port).create_dir("photos")
    yield port
    server.stop()


def ask(port: int, what: str, content: bytes = b"") -> None:
    """Ask the server for something that no store does."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/moto-api/{what}", content, {"Content-Type": "text/plain"})
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()


def files_of(port: int) -> S3FileSystem:
    return S3FileSystem(endpoint_override=f"127.0.0.1:{port}", scheme="http", allow_bucket_creation=True, request_timeout=60)


@pytest.fixture
def in_bucket(settings, server, data_set):
    """The settings of a run from a bucket to a bucket."""
    query = f"?scheme=http&endpoint_override=127.0.0.1:{server}"
    copy_files(str(data_set), "photos/set", destination_filesystem=files_of(server))
    return replace(settings, inputs=[f"s3://photos/set{query}"], output=f"s3://photos/drawn{query}")


def drawn(server: int, folder: Path) -> Path:
    """The output, copied to a folder."""
    copy_files("photos/drawn", str(folder), source_filesystem=files_of(server))
    return folder


def test_buckets_hold_the_pictures_that_folders_hold(in_bucket, server, expected, tmp_path, in_process):
    with pytest.raises(PartlyDone, match=r"1 of 14 pictures failed.*\n.*s3://photos/set.*n1/bad.png"):
        stylize_data_set(in_bucket)
    copied = drawn(server, tmp_path / "copied")
    assert tree(copied) == expected
    found = {row["path"]: row["status"] for row in rows(copied)}
    assert len(found) == 14 and found.pop("n1/bad.png") == "failed" and set(found.values()) == {"drawn"}


def test_a_restart_draws_what_the_bucket_lacks(in_bucket, server, expected, tmp_path, in_process):
    with pytest.raises(PartlyDone):
        stylize_data_set(in_bucket)
    name = next(name for name in expected if "/5." in name)
    files_of(server).delete_file(f"photos/drawn/{name}")
    in_process.clear()
    with pytest.raises(PartlyDone, match="1 of 14"):
        stylize_data_set(in_bucket)
    assert sum(in_process) == 2  # that one, and the file that is no picture
    assert tree(drawn(server, tmp_path / "copied")) == expected


def test_a_folder_and_a_bucket_go_together(in_bucket, server, data_set, expected, tmp_path, in_process):
    with pytest.raises(PartlyDone):
        stylize_data_set(replace(in_bucket, inputs=[str(data_set)]))
    with pytest.raises(PartlyDone):
        stylize_data_set(replace(in_bucket, output=str(tmp_path / "out")))
    assert tree(drawn(server, tmp_path / "copied")) == expected == tree(tmp_path / "out")


def test_nothing_half_written_reaches_a_bucket(in_bucket, server, expected, tmp_path, in_process, monkeypatch):
    def broken(job, picture):
        job.target.write_bytes(b"half")
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(actors, "write_job", broken)
    with pytest.raises(PartlyDone, match="14 of 14"):
        stylize_data_set(in_bucket)
    assert tree(drawn(server, tmp_path / "copied")) == {}


def test_a_bucket_without_rights_is_one_sentence(in_bucket, server, in_process):
    ask(server, "reset-auth", b"0")  # from now on, rights are asked for
    try:
        with pytest.raises(UserError, match=r"cannot write to s3://photos/drawn.*your rights there$") as told:
            stylize_data_set(in_bucket)
    finally:
        ask(server, "reset-auth", b"1000000")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("absent", "message"), [("inputs", "photos/none"), ("output", "cannot write to s3://none")])
def test_a_bucket_that_is_not_there_is_one_sentence(in_bucket, server, in_process, absent, message):
    query = f"?scheme=http&endpoint_override=127.0.0.1:{server}"
    change = {"inputs": [f"s3://photos/none{query}"]} if absent == "inputs" else {"output": f"s3://none/out{query}"}
    with pytest.raises(UserError, match=message) as told:
        stylize_data_set(replace(in_bucket, **change))
    assert "\n" not in str(told.value)
