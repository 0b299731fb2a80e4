"""Check of a style image before training: too few pixels, JPEG blocks, a frame, a single color.

It also measures the share of each layer of the loss network in the energy of the image's Gram matrices at several sizes,
since ``style_size`` sets the size of the strokes: deep layers see strokes and shapes, shallow ones grain and color.

The limits were set on nine paintings and three photographs: plain, with a frame of 10 pixels, and as JPEG of quality 15.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from fast_nst.errors import escape_name
from fast_nst.functional.features import energy, gram_matrix
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.images import resize_long_side
from fast_nst.networks.loss_network import LossNetwork

SMALLEST = 500  # pixels of the longer side
BLOCKINESS = 1.35
STEP, STEP_RATIO, ONE_SIGN = 0.06, 10.0, 0.85  # of a straight edge along a whole side
MARGIN = 0.08  # share of the picture in which a frame is looked for
SPREAD = 0.06
SIZES = (256, 384, 512, 768, 1024)


@dataclass(frozen=True)
class StyleReport:
    """Findings in a style image.

    Attributes:
        width, height: pixels.
        blockiness: steps at the borders of 8 x 8 blocks over steps elsewhere; 1 is clean.
        frame: side -> width in pixels of what looks like a frame or margin there.
        spread: standard deviation of the colors, in [0, 0.5].
        energy: style_size -> layer -> share of the style energy, summing to 1.
    """

    width: int
    height: int
    blockiness: float
    frame: dict[str, int]
    spread: float
    energy: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each flaw that would show in the model, and what to do about it."""
        found = []
        if max(self.width, self.height) < SMALLEST:
            found.append(
                f"only {self.width}x{self.height} pixels: strokes will be blurred; look for {SMALLEST} or more on a side"
            )
        if self.blockiness > BLOCKINESS:
            found.append(
                f"JPEG blocks ({self.blockiness:.2f} times the contrast elsewhere): the model would paint them; "
                "look for a better copy, or use a smaller --style_size"
            )
        if self.frame:
            sides = ", ".join(f"{side} {pixels} px" for side, pixels in self.frame.items())
            found.append(f"what looks like a frame or margin ({sides}): its lines become part of the style; cut it off")
        if self.spread < SPREAD:
            found.append(f"nearly one color (spread {self.spread:.3f}): little to learn; choose a picture with contrast")
        return found

    def text(self, painting: str) -> str:
        """The report on ``painting`` as lines to read."""
        lines = [f"{escape_name(painting)}: {self.width}x{self.height} pixels"]
        lines += [f"  warning: {warning}" for warning in self.warnings] or ["  nothing that would make a model ugly"]
        layers = list(next(iter(self.energy.values()), {}))
        if layers:
            lines += ["", "share of the style energy in each layer:", _columns("--style_size", layers)]
            lines += [_columns(size, [f"{share:.0%}" for share in shares.values()]) for size, shares in self.energy.items()]
            lines.append(
                "a smaller --style_size paints smaller strokes; first layers see grain and color, last layers shapes"
            )
        return "\n".join(lines)


def _columns(first: object, others: list[str]) -> str:
    return f"  {first:>12}" + "".join(f"{text:>10}" for text in others)


def check_style(image: Image.Image, network: LossNetwork | None = None, sizes: tuple[int, ...] = SIZES) -> StyleReport:
    """Find the flaws of a style image.

    Args:
        image: RGB.
        network: shares of the style energy in its layers are measured as well, if given.
        sizes: longer sides in pixels at which to measure them; sizes beyond the painting's own are left out.
    """
    pixels = np.asarray(image)
    shares: dict[int, dict[str, float]] = {}
    if network is not None:
        measured = [size for size in sizes if size <= max(image.size) or size == min(sizes)]
        shares = {size: energy_shares(network, np.asarray(resize_long_side(image, size))) for size in measured}
    gray = pixels.mean(2) / 255
    spread = float(pixels.reshape(-1, 3).std(0).mean() / 255)
    return StyleReport(image.width, image.height, blockiness(gray), find_frame(gray), spread, shares)


def blockiness(gray: np.ndarray) -> float:
    """Mean step between neighbors at every eighth pixel over the median of the other seven, in the cleaner direction.

    ``gray`` has shape (H, W). JPEG compresses blocks of 8 x 8; where they start is found, as pictures get cropped.
    """
    if min(gray.shape) < 32:
        return 1.0
    ratios = []
    for lines in (gray, gray.T):
        steps = np.abs(np.diff(lines, axis=1)).mean(0)
        phases = [steps[phase::8].mean() for phase in range(8)]
        ratios.append(max(phases) / max(float(np.median(phases)), 1e-6))
    return float(min(ratios))


def find_frame(gray: np.ndarray) -> dict[str, int]:
    """Side -> pixels to the strongest straight edge along a whole side of ``gray`` (H, W) in [0, 1], where there is one."""
    sides = {"top": gray, "bottom": gray[::-1], "left": gray.T, "right": gray.T[::-1]}
    return {side: width for side, lines in sides.items() if (width := _edge(lines))}


def _edge(lines: np.ndarray) -> int:
    """Lines before a step that has one sign nearly all along, and is far above the steps inside; 0 where none is."""
    margin = max(4, int(MARGIN * len(lines)))
    if len(lines) < margin + 8:
        return 0
    steps = lines[3:] - lines[:-3]  # over three lines, as edges are blurred
    signed = np.abs(steps.mean(1))
    at = int(signed[:margin].argmax())
    one_sign = signed[at] / max(float(np.abs(steps[at]).mean()), 1e-6)
    above = signed[at] / max(float(np.median(signed)), 1e-3)
    return at + 2 if signed[at] >= STEP and above >= STEP_RATIO and one_sign >= ONE_SIGN else 0


def energy_shares(network: LossNetwork, pixels: np.ndarray) -> dict[str, float]:
    """Layer -> share of the energy of the Gram matrices of ``pixels`` (H, W, 3), summing to 1.

    The energy of a layer is the mean square of its Gram matrix: its term in the classical sum of Johnson et al. (2016),
    eq. 4, for a picture without features.
    """
    features = network(to_tensor(pixels)[None])
    energies = {layer: energy(gram_matrix(value)).item() for layer, value in features.items()}
    return {layer: value / sum(energies.values()) for layer, value in energies.items()}
