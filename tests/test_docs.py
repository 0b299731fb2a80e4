"""What the documentation shows works: its Python runs, and its commands are commands."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import skimage.data

from fast_nst.cli.commands import COMMANDS
from fast_nst.cli.main import arguments_for, parser_of
from fast_nst.imaging.images import save_image
from fast_nst.system.files import SHIPPED

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/stylize.md")
ELSEWHERE = {"<", ">", "|", "&&"}  # what the shell takes away from a command


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[list[str]]:
    """The arguments of every line that calls fast-nst, in the words that the shell makes of it."""
    lines = [shlex.split(line, comments=True) for block in blocks(page, "sh") for line in block.splitlines()]
    return [_own(words[1:]) for words in lines if words[:1] == ["fast-nst"]]


def _own(words: list[str]) -> list[str]:
    return words[: next((place for place, word in enumerate(words) if word in ELSEWHERE), len(words))]


@pytest.mark.parametrize(
    ("page", "code"),
    [pytest.param(page, code, id=f"{page}-{place}") for page in PAGES for place, code in enumerate(blocks(page, "python"))],
)
def test_the_python_of_a_page_runs(page, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = skimage.data.astronaut()[:64, :96]
    save_image(photo, Path("photo.jpg"))
    shutil.copyfile(SHIPPED / "base.onnx", "mine.onnx")
    exec(compile(code, page, "exec"), {"photo": photo[None]})


@pytest.mark.parametrize("words", [pytest.param(words, id=" ".join(words)) for page in PAGES for words in commands(page)])
def test_the_commands_of_a_page_are_understood(words):
    assert words[0] in COMMANDS
    assert arguments_for(parser_of(words[0]), words[1:])


def test_every_page_has_something_to_check():
    for page in PAGES:
        assert len(commands(page)) > 10 and blocks(page, "python")
