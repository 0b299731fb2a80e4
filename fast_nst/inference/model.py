"""An exported model: its engine, its rows, and the weights of a mixture of rows. Never imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from fast_nst.errors import UserError, unknown
from fast_nst.inference.engine_selection import make_engine
from fast_nst.inference.engines import OnnxRuntime
from fast_nst.style_rows import IDENTITY, row_weights


class Model:
    """An ONNX model written by ``fast-nst export`` or ``train``.

    Args:
        path: the ``.onnx`` file.
        threads: processor threads; None is all cores.
        engine: onnxruntime, openvino, openvino-bf16, or auto, the fastest here.
        provider: the engine's device: cpu, cuda, coreml (or mps), ...; None or auto is its own choice.
    Raises:
        UserError: no model that maps a picture to a picture under weights of its rows, or an engine that is not here.
    """

    def __init__(
        self, path: Path, threads: int | None = None, engine: str = "onnxruntime", provider: str | None = None
    ) -> None:
        self.path, self.threads = Path(path), threads
        self.engine = make_engine(engine, path, threads, provider)
        signature = self.engine.signature
        self.metadata, self.rows, self.own = signature.metadata, signature.rows, signature.own

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """onnxruntime's session.

        Raises:
            UserError: another engine draws.
        """
        if not isinstance(self.engine, OnnxRuntime):
            raise UserError(f"this needs --engine onnxruntime, not {self.engine.name}")
        return self.engine.session

    @property
    def has_identity(self) -> bool:
        """Whether mixing with the row ``identity`` sets the strength."""
        return IDENTITY in self.rows

    def weights(self, styles: Mapping[str, float] | None = None, strength: float = 1.0) -> np.ndarray:
        """A weight for each row, float32 (S,): the mixture of ``styles`` at ``strength``, see ``style_rows.row_weights``.

        Args:
            styles: row -> share, summing to 1; None is the model's own style.
            strength: 0 is the photograph, 1 the style; other values need a row ``identity``.
        """
        weights = np.zeros(len(self.rows), np.float32)
        for row, share in (styles or {self.own: 1.0}).items():
            if row not in self.rows:
                raise unknown("style in this model", row, self.rows)
            weights += np.float32(share) * np.array(row_weights(row, strength, self.rows), np.float32)
        return weights

    def __call__(self, pictures: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Draw uint8 RGB (B, H, W, 3) under ``weights`` (S,); the result has the same shape."""
        return self.engine.run(pictures, weights)
