"""A hook of mkdocs: pages may link to files of the repository outside of docs/, which then become part of the site.

``../configs/base.yaml`` in a page is a link that works on the repository's pages. Here the file is copied to
``repository/configs/base.yaml``, and links to it, also those in such files, are rewritten.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
COPIES = "repository"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each file outside of docs/ that a page links to, and what these link to in turn."""
    waiting = [ROOT / "docs" / file.src_uri for file in files.documentation_pages()]
    while waiting:
        page = waiting.pop()
        for target in _targets(page):
            place = _place(target)
            if place.startswith(COPIES) and target.is_file() and not files.get_file_from_path(place):
                files.append(File.generated(config, place, abs_src_path=str(target)))
                waiting += [target] * (target.suffix == ".md")
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links between files of the repository as links between pages of the site."""
    uri = page.file.src_uri
    source = ROOT / uri.removeprefix(f"{COPIES}/") if uri.startswith(f"{COPIES}/") else ROOT / "docs" / uri

    def rewritten(match: re.Match[str]) -> str:
        target = _target(source, match[2])
        if target is None:
            return match[0]
        return match[1] + posixpath.relpath(_place(target), posixpath.dirname(uri)) + match[3]

    return LINK.sub(rewritten, markdown)


def _targets(page: Path) -> list[Path]:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    return [target for _, link, _ in links if (target := _target(page, link))]


def _target(source: Path, link: str) -> Path | None:
    """The file that a link in ``source`` means; None for one to elsewhere."""
    if "://" in link or link.startswith("mailto:"):
        return None
    target = Path(os.path.normpath(source.parent / link))
    return target if target.is_file() else None


def _place(target: Path) -> str:
    """The path of a file in the site's sources."""
    inside = PurePosixPath(target.relative_to(ROOT).as_posix())
    return str(inside.relative_to("docs")) if inside.parts[0] == "docs" else f"{COPIES}/{inside}"
