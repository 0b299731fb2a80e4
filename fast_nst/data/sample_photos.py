"""Three photographs in the public domain that come with scikit-image: a face, a cat and a cup."""

from __future__ import annotations

import numpy as np
import skimage.data
from PIL import Image

from fast_nst.imaging.images import resize_long_side

SAMPLES = ("astronaut", "chelsea", "coffee")


def sample_photos(size: int) -> list[np.ndarray]:
    """The photographs of ``SAMPLES``, their longer side ``size`` pixels, each uint8 RGB (H, W, 3)."""
    return [np.asarray(resize_long_side(Image.fromarray(getattr(skimage.data, name)()), size)) for name in SAMPLES]
