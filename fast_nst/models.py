"""An exported model: onnxruntime's session, the rows it can draw, and how they are weighed. Never imports torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from fast_nst.errors import UserError, unknown
from fast_nst.settings import IDENTITY


class Model:
    """An ONNX model written by ``fast-nst export`` or ``train``.

    Args:
        path: the ``.onnx`` file.
        threads: processor threads; None is all cores.
    Raises:
        UserError: no model that maps a picture to a picture under weights of its rows.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 0 if threads is None else threads
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=onnxruntime.get_available_providers())
        except Exception as error:  # onnxruntime's errors share no base class
            raise UserError(f"{path} is not an ONNX model that onnxruntime can run; export it again") from error
        self.metadata = self.session.get_modelmeta().custom_metadata_map
        self._check_inputs(path)
        self.rows: list[str] = json.loads(self.metadata["rows"])
        self.own = self.metadata["own"]

    @property
    def has_identity(self) -> bool:
        """Whether strength is a matter of mixing rows."""
        return IDENTITY in self.rows

    def weights(self, styles: Mapping[str, float] | None = None, strength: float = 1.0) -> np.ndarray:
        """A weight for each row, float32 (S,): the mixture of ``styles`` at ``strength``, ``identity`` making up the rest.

        Args:
            styles: row -> share, summing to 1; None is the model's own style.
            strength: 0 is the photograph, 1 the style; other values need a row ``identity``.
        """
        weights = np.zeros(len(self.rows), np.float32)
        for row, share in (styles or {self.own: 1.0}).items():
            if row not in self.rows:
                raise unknown("style in this model", row, self.rows)
            weights[self.rows.index(row)] += share * strength
        if self.has_identity:
            weights[self.rows.index(IDENTITY)] += 1 - strength
        return weights

    def __call__(self, pictures: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Draw uint8 RGB (B, H, W, 3) under ``weights`` (S,); the result has the same shape."""
        return self.session.run(None, {"image": np.ascontiguousarray(pictures), "style": weights})[0]

    def _check_inputs(self, path: Path) -> None:
        inputs = {value.name: value for value in (*self.session.get_inputs(), *self.session.get_overridable_initializers())}
        image = inputs.get("image")
        if image is None or image.type != "tensor(uint8)" or len(image.shape) != 4:
            raise UserError(f"{path} does not take one uint8 picture (B, H, W, 3); use a model exported by fast-nst")
        if set(inputs) != {"image", "style"} or not {"rows", "own"} <= set(self.metadata):
            raise UserError(f"{path} was written by another version of fast_nst; export it again with this one")
