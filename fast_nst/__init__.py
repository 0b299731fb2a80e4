"""fast_nst: feed-forward neural style transfer. Train a style from a painting, stylise in milliseconds."""

__version__ = "0.1.0"
