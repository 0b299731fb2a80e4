"""The long day of benchmarks/soak.py in little: memory, files and threads stay, pictures are those of fresh processes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[1] / "benchmarks" / "soak.py"


@pytest.mark.full
def test_many_pictures_in_one_process_leave_nothing_behind(tmp_path):
    command = [sys.executable, SOAK, "--quick", "--threads", "1", "--output", tmp_path]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first, *_, last = csv.DictReader((tmp_path / "soak.csv").open())
    assert int(last["pictures"]) == 48
    assert float(last["memory"]) <= 1.05 * float(first["memory"]) and "flat" in said
    assert last["files"] == first["files"] and last["threads"] == first["threads"]
    equal = list(csv.DictReader((tmp_path / "soak_equal.csv").open()))
    assert len(equal) == 2 and all(row["equal"] == row["of"] != "0" for row in equal)
    assert json.loads((tmp_path / "soak.json").read_text())["quick"]
