"""What the page takes from the package: models, styles with their credits, thumbnails, limits, and a photograph.

Written to ``web/public/styles``, with ``styles.json`` as the list. File names hold a digest of their content, so that a
browser may keep them. Thumbnails are drawn by the models from scikit-image's photograph of an astronaut (NASA, public
domain).
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fast_nst import __version__
from fast_nst.inference.onnx_validation import read_model
from fast_nst.settings.stylize import MIN_SIDE, STROKES
from fast_nst.style_rows import IDENTITY, MAX_STRENGTH, SUFFIX
from fast_nst.stylize.library import Style, shipped_styles
from fast_nst.stylize.stylizer import AUTO_SIDE, Stylizer

TARGET = Path(__file__).parents[1] / "public" / "styles"
CROP = (96, 0, 384, 288)  # the astronaut's head and shoulders
SIDE = 176  # pixels of a thumbnail, drawn twice as dense as it is shown
LIMITS = {
    "minSide": MIN_SIDE,
    "autoSide": AUTO_SIDE,
    "strokes": STROKES,
    "maxStrength": MAX_STRENGTH,
    "identity": IDENTITY,
    "strongSuffix": SUFFIX,
}


def astronaut() -> Image.Image:
    """The photograph that thumbnails are drawn from, and that the page opens with."""
    try:
        import skimage.data
    except ImportError as error:
        raise SystemExit("the page's photograph is scikit-image's astronaut: pip install scikit-image") from error
    return Image.fromarray(skimage.data.astronaut())


def save(name: str, suffix: str, content: bytes) -> str:
    """Write ``content`` under ``name`` and its digest; the file's name."""
    file = f"{name}.{hashlib.sha256(content).hexdigest()[:10]}{suffix}"
    (TARGET / file).write_bytes(content)
    return file


def encoded(image: Image.Image, kind: str, quality: int) -> bytes:
    """The bytes of an image file of a kind."""
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality, method=6) if kind == "WEBP" else image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def model_entry(path: Path) -> dict[str, Any]:
    """A model's file, copied, and its rows."""
    _, signature = read_model(path)
    file = save(path.stem, path.suffix, path.read_bytes())
    return {"id": path.stem, "file": file, "rows": signature.rows}


def style_entry(style: Style, photo: Image.Image) -> dict[str, Any]:
    """A style with its credits and a thumbnail, which its model draws from ``photo``."""
    drawn = Image.fromarray(Stylizer(style.name, threads=1)(np.asarray(photo)))
    small = drawn.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    about = {key: getattr(style, key) for key in ("title", "painter", "year", "license", "row")}
    return {
        "id": style.name,
        **about,
        "model": style.model.stem,
        "thumbnail": save(style.name, ".webp", encoded(small, "WEBP", 78)),
    }


def main() -> None:
    """Write the folder anew."""
    styles, photo = shipped_styles(), astronaut()
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    page = {
        "version": __version__,
        "limits": LIMITS,
        "models": [model_entry(path) for path in dict.fromkeys(style.model for style in styles.values())],
        "styles": [style_entry(style, photo.crop(CROP)) for style in styles.values()],
        "sample": save("astronaut", ".jpg", encoded(photo, "JPEG", 88)),
    }
    (TARGET / "styles.json").write_text(json.dumps(page, ensure_ascii=False), encoding="utf-8")
    print(f"{len(page['styles'])} styles, {len(page['models'])} models: {TARGET}")


if __name__ == "__main__":
    main()
