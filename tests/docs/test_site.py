"""The documentation as a site: mkdocs builds it without a warning, with search and the API made from the docstrings."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import fast_nst

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("mkdocs", "material", "mkdocstrings") if not find_spec(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    if MISSING:
        pytest.skip(f"{', '.join(MISSING)} not installed: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_page_of_the_navigation_and_every_linked_file_is_there(site):
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").exists()
    assert (site / "repository" / "configs" / "base.yaml").exists()
    assert 'href="repository/SECURITY.html"' in (site / "reliability.html").read_text(encoding="utf-8")


def test_the_reference_shows_every_public_name(site):
    page = (site / "reference.html").read_text(encoding="utf-8")
    assert all(f">{name}<" in page or f'.{name}"' in page for name in fast_nst.__all__)


def test_the_search_finds_settings_and_questions(site):
    entries = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    titles, text = [entry["title"] for entry in entries], "".join(entry["text"] for entry in entries)
    for sought in ("Stylizer", "TrainSettings", "Do I need a GPU?"):
        assert any(title.startswith(sought) for title in titles), sought
    assert "style_size" in text


def test_the_site_fetches_no_font(site):
    assert "fonts.googleapis" not in (site / "index.html").read_text(encoding="utf-8")


def test_every_page_of_docs_is_in_the_navigation():
    def pages(entries: list) -> list[str]:
        values = [next(iter(entry.values())) for entry in entries]
        return [page for value in values for page in ([value] if isinstance(value, str) else pages(value))]

    listed = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
