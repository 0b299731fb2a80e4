"""``fast-nst styles``: what is listed."""

import json

import pytest

from fast_nst.cli.main import main


def listed(capsys, *words) -> list[str]:
    main(["styles", *words, "--json"])
    return [style["name"] for style in json.loads(capsys.readouterr().out)]


@pytest.fixture(autouse=True)
def empty_library(tmp_path, monkeypatch):
    monkeypatch.setenv("FAST_NST_STYLES", str(tmp_path))


def test_styles_are_found_by_painter_title_and_year_whatever_case_and_accents(capsys):
    assert listed(capsys, "--search", "VAN gogh 1889") == ["starry_night", "wheat_field"]
    assert listed(capsys, "--search", "grenouillere") == ["monet"]
    assert len(listed(capsys)) > 2


def test_a_search_without_result_says_so(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["styles", "--search", "rembrandt 2020"])
    assert "no style has the words rembrandt 2020; fast-nst styles lists all" in capsys.readouterr().err
