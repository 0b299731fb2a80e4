"""fast_nst: feed-forward neural style transfer. Train a style from a painting, stylize photographs in milliseconds.

``Stylizer`` draws with trained models, without PyTorch. ``train``, ``optimize``, ``export_model`` and ``evaluate`` do what
the commands do. ``load`` gives a network as a PyTorch module. Each is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_nst.api import evaluate, export_model, list_styles, load, optimize, train
    from fast_nst.errors import UserError
    from fast_nst.losses.perceptual import PerceptualLoss
    from fast_nst.networks.loss_network import LossNetwork
    from fast_nst.networks.transformer_net import TransformerNet
    from fast_nst.stylize.stylizer import Stylizer

__version__ = "0.1.0"
__all__ = [
    "LossNetwork",
    "PerceptualLoss",
    "Stylizer",
    "TransformerNet",
    "UserError",
    "evaluate",
    "export_model",
    "list_styles",
    "load",
    "optimize",
    "train",
]
_HOMES = {
    "LossNetwork": "fast_nst.networks.loss_network",
    "PerceptualLoss": "fast_nst.losses.perceptual",
    "Stylizer": "fast_nst.stylize.stylizer",
    "TransformerNet": "fast_nst.networks.transformer_net",
    "UserError": "fast_nst.errors",
}


def __getattr__(name: str) -> object:
    """A public name, imported when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "fast_nst.api")), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
