"""What the documentation shows exists: its commands are commands, its links and names lead somewhere.

tests/docs/ pastes its blocks into a shell, and builds it as a site.
"""

import re
import shlex
from pathlib import Path

import pytest

from fast_nst.cli.commands import COMMANDS
from fast_nst.cli.main import arguments_for, parser_of

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
LINKED = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
ELSEWHERE = {"<", ">", "|", "&&"}  # what the shell takes away from a command
LOOKS_ONLY = {"--help", "--print_config"}  # they are read before all else


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[list[str]]:
    """The arguments of every line that calls fast-nst, in the words that the shell makes of it."""
    text = "".join(block for language in ("sh", "text") for block in blocks(page, language)).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines() if line.startswith("fast-nst ")]
    return [_own(words[1:]) for words in lines if words[:1] == ["fast-nst"]]


def _own(words: list[str]) -> list[str]:
    return words[: next((place for place, word in enumerate(words) if word in ELSEWHERE), len(words))]


@pytest.mark.parametrize("words", [pytest.param(words, id=" ".join(words)) for page in PAGES for words in commands(page)])
def test_the_commands_of_a_page_are_understood(words, tmp_path, monkeypatch):
    for folder in ("configs", "fast_nst"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "mine.yaml").write_text("steps: 1")
    monkeypatch.chdir(tmp_path)
    assert words[0] in COMMANDS
    options = [word for word in words[1:] if word not in LOOKS_ONLY]
    assert arguments_for(parser_of(words[0]), options) is not None  # a mistake raises


def test_the_pages_have_commands_to_check():
    assert len(commands("README.md")) > 6 and len(commands("docs/stylize.md")) > 20


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert "://" in target or linked.exists(), target
        assert "://" in target or not anchor or anchor in anchors(linked), target


def test_the_page_of_the_architecture_shows_every_module_and_no_other():
    page, shown, folder = ARCHITECTURE.read_text(encoding="utf-8"), set(), ""
    for line in page.partition("```\nfast_nst/\n")[2].partition("```")[0].splitlines():
        at_top, inside = re.match(r"  (\w+\.py)", line), re.match(r"  (\w+/)", line)
        folder = inside[1] if inside else folder
        shown |= {at_top[1]} if at_top else {folder + module for module in re.findall(r"\w+\.py", line)}
    package = ROOT / "fast_nst"
    modules = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if not path.name.startswith("__")}
    assert shown == {module for module in modules if not module.startswith("imaging/drawing/")}


def test_the_names_on_the_page_of_the_architecture_exist():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "fast_nst").rglob("*.py"))
    names = re.findall(r"`([\w./]+)`", ARCHITECTURE.read_text(encoding="utf-8"))
    for name in names:
        here = any((ROOT / folder / name).exists() for folder in (".", "fast_nst", "fast_nst/imaging/drawing"))
        known = all(re.search(rf"\b{part}\b", code) for part in name.split("."))
        assert here or ("/" not in name and (list(ROOT.glob(f"fast_nst/*/{name}")) or known)), name
