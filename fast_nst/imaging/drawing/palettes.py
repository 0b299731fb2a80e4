"""Random palettes of 5 to 8 colors that go together, composed in OKLCH, where equal steps look equal.

OKLab and its polar form OKLCH: Ottosson, A perceptual color space for image processing, 2020. Colors are float32 RGB
(sRGB, gamma-encoded) in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TO_LMS = np.array([(1, 0.3963377774, 0.2158037573), (1, -0.1055613458, -0.0638541728), (1, -0.0894841775, -1.2914855480)])
TO_LINEAR = np.array(
    [
        (4.0767416621, -3.3077115913, 0.2309699292),
        (-1.2684380046, 2.6097574011, -0.3413193965),
        (-0.0041960863, -0.7034186147, 1.7076147010),
    ]
)
STEPS = 256  # entries of a ramp's table

# name: (hues as offsets in turns, lowest and highest lightness of the middle colors, lowest and highest chroma, probability)
SCHEMES: dict[str, tuple[tuple[float, ...], tuple[float, float], tuple[float, float], float]] = {
    "analogous": ((-0.09, -0.04, 0.0, 0.05, 0.10), (0.35, 0.80), (0.08, 0.17), 0.15),
    "complementary": ((0.0, 0.04, 0.5, 0.54), (0.35, 0.80), (0.09, 0.19), 0.20),
    "split": ((0.0, 0.42, 0.58, 0.04), (0.35, 0.80), (0.08, 0.18), 0.12),
    "triadic": ((0.0, 0.33, 0.67), (0.40, 0.78), (0.10, 0.19), 0.14),
    "earth": ((0.0, 0.03, -0.03, 0.06, 0.45), (0.35, 0.75), (0.04, 0.11), 0.12),
    "pastel": ((0.0, 0.12, 0.5, 0.35), (0.68, 0.88), (0.05, 0.11), 0.08),
    "neon": ((0.0, 0.25, 0.5, 0.75), (0.55, 0.78), (0.19, 0.28), 0.07),
    "mono": ((0.0, 0.02, -0.02), (0.35, 0.82), (0.03, 0.09), 0.12),
}


@dataclass(frozen=True)
class Palette:
    """Colors (N, 3) from dark to light, and one accent that stands out from them."""

    colors: np.ndarray
    accent: np.ndarray

    @property
    def dark(self) -> np.ndarray:
        """The darkest color."""
        return self.colors[0]

    @property
    def light(self) -> np.ndarray:
        """The lightest color."""
        return self.colors[-1]

    @property
    def middle(self) -> np.ndarray:
        """The colors between the darkest and the lightest, (N - 2, 3)."""
        return self.colors[1:-1]

    def ramp(self, position: np.ndarray | float) -> np.ndarray:
        """Colors between dark (0) and light (1) at ``position`` of any shape S: RGB of shape S + (3,)."""
        return ramp(self.colors, position)

    def choose(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """``count`` colors, the accent among them, none twice before all were taken once; (count, 3)."""
        every = np.vstack([self.colors, self.accent[None]])
        order = np.concatenate([rng.permutation(len(every)) for _ in range(count // len(every) + 1)])
        return every[order[:count]]


def oklab(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """OKLab as RGB; components outside of sRGB leave [0, 1]."""
    lms = (np.stack(np.broadcast_arrays(lightness, a, b), -1) @ TO_LMS.T) ** 3
    linear = lms @ TO_LINEAR.T
    curved = 1.055 * np.abs(linear).clip(1e-9) ** (1 / 2.4) - 0.055
    return np.where(linear < 0.0031308, 12.92 * linear, curved).astype(np.float32)


def oklch(lightness: float | np.ndarray, chroma: float | np.ndarray, hue: float | np.ndarray) -> np.ndarray:
    """OKLCH (hue in turns) as RGB in [0, 1]; a chroma that sRGB cannot show is lowered until it can."""
    lightness, chroma, hue = (np.asarray(part, float) for part in np.broadcast_arrays(lightness, chroma, hue))
    found = oklab(lightness, chroma * 0, chroma * 0)
    for share in np.linspace(0, 1, 17):
        angle = 2 * np.pi * hue
        candidate = oklab(lightness, share * chroma * np.cos(angle), share * chroma * np.sin(angle))
        inside = ((candidate >= -0.002) & (candidate <= 1.002)).all(-1, keepdims=True)
        found = np.where(inside, candidate, found)
    return found.clip(0, 1)


def luminance(color: np.ndarray) -> np.ndarray:
    """Rec. 601 luma of RGB (..., 3)."""
    return color @ np.array((0.299, 0.587, 0.114), np.float32)


def ramp(colors: np.ndarray, position: np.ndarray | float) -> np.ndarray:
    """Colors of a piecewise linear ramp through ``colors`` (N, 3) at ``position`` (0: the first, 1: the last)."""
    stops = np.linspace(0, 1, len(colors))
    steps = np.linspace(0, 1, STEPS)
    table = np.stack([np.interp(steps, stops, channel) for channel in colors.T], 1).astype(np.float32)
    index = (np.asarray(position, np.float32) * (STEPS - 1)).clip(0, STEPS - 1).astype(np.int32)
    return table[index]


def random_palette(rng: np.random.Generator, scheme: str | None = None) -> Palette:
    """A palette after one of ``SCHEMES``, drawn at random where none is named."""
    if scheme is None:
        chances = np.array([entry[3] for entry in SCHEMES.values()])
        scheme = str(rng.choice(list(SCHEMES), p=chances / chances.sum()))
    offsets, light, chroma, _ = SCHEMES[scheme]
    warm = scheme == "earth" or rng.random() < 0.25
    base = rng.uniform(0.05, 0.25) if warm else rng.uniform(0, 1)
    count = int(rng.integers(4, 7))
    hues = base + np.resize(rng.permutation(offsets), count) + rng.normal(0, 0.015, count)
    middle = oklch(_spread(rng, light, count), rng.uniform(*chroma, count), hues)
    dark = oklch(rng.uniform(0.14, 0.27), rng.uniform(0.02, 0.08), base + rng.choice(offsets))
    pale = oklch(rng.uniform(0.91, 0.97), rng.uniform(0.01, 0.05), base + rng.choice(offsets))
    colors = np.vstack([dark[None], middle, pale[None]])
    return Palette(colors[np.argsort(luminance(colors))], _accent(rng, scheme, base))


def _spread(rng: np.random.Generator, bounds: tuple[float, float], count: int) -> np.ndarray:
    """Lightnesses that cover ``bounds`` evenly, each moved a little."""
    step = (bounds[1] - bounds[0]) / count
    return bounds[0] + step * (np.arange(count) + rng.uniform(0.2, 0.8, count))


def _accent(rng: np.random.Generator, scheme: str, base: float) -> np.ndarray:
    """A strong color, opposite the palette's first hue where the scheme is narrow."""
    far = 0.5 if scheme in ("analogous", "mono", "earth") else rng.choice([0.0, 0.5])
    return oklch(rng.uniform(0.58, 0.75), rng.uniform(0.17, 0.25), base + far + rng.normal(0, 0.05))
