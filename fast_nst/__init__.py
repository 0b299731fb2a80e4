"""fast_nst: feed-forward neural style transfer. Train a style from a painting, stylise in milliseconds."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_nst.stylize.stylizer import Stylizer

__version__ = "0.1.0"
__all__ = ["Stylizer", "__version__"]


def __getattr__(name: str) -> object:
    """``fast_nst.Stylizer``, imported when it is first asked for."""
    if name == "Stylizer":
        from fast_nst.stylize.stylizer import Stylizer

        return Stylizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
