"""Drawn styles of prints and dyes: woodcut, linocut, engraving, halftone, batik, screen print, bands and waves."""

from __future__ import annotations

import numpy as np

from fast_nst.imaging.drawing.brushes import places, saturate, vary
from fast_nst.imaging.drawing.fields import (
    Points,
    blur,
    cuts,
    edges,
    flow_smear,
    grid,
    mix,
    noise,
    piecewise,
    sample,
    smoothstep,
    voronoi,
)
from fast_nst.imaging.drawing.palettes import Palette, luminance, oklch, random_palette
from fast_nst.imaging.drawing.scenes import Scene, compose


def tones(scene: Scene) -> np.ndarray:
    """The scene in gray, spread evenly from 0 to 1, (H, W)."""
    gray = 0.75 * luminance(scene.color) + 0.35 * scene.light
    levels = np.quantile(gray[::4, ::4], np.linspace(0, 1, 33))
    return np.interp(gray, levels + np.arange(33) * 1e-6, np.linspace(0, 1, 33)).astype(np.float32)


def woodcut(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Black cuts that swell with the shade and flow with the forms, over one or two flat inks."""
    palette, scene = compose(rng, height, width, flow=1.0)
    unit = min(height, width) / 512
    lines = cuts(rng, scene.angle, 46 * unit, rng.uniform(2.2, 3.6) * unit)
    shade = tones(scene)
    black = smoothstep(lines - 3.0 * (shade - rng.uniform(0.4, 0.55)), -0.25, 0.25)
    black = np.maximum(black, edges(scene.region, 2.0 * unit) * smoothstep(lines, -1.8, -0.9))
    inks = [_printed(rng, palette, scene, number, lines) for number in range(int(rng.integers(1, 4)))]
    picture = np.broadcast_to(palette.light, (height, width, 3))
    for ink, share in inks:
        picture = mix(picture, picture * ink, share)
    wood = smoothstep(
        flow_smear(rng.standard_normal((height, width)).astype(np.float32), 0 * shade, 40 * unit, 2), -0.9, -0.3
    )
    return mix(picture, palette.dark * 0.45, black * (0.82 + 0.18 * wood))


def _printed(
    rng: np.random.Generator, palette: Palette, scene: Scene, number: int, lines: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One flat ink and where it is printed: some of the masses, a little out of register, worn."""
    height, width = lines.shape
    shift = rng.integers(-3, 4, 2)
    chosen = rng.random(scene.masses + 1) < (0.85, 0.35, 0.3)[number]
    area = smoothstep(blur(chosen[scene.region].astype(np.float32), 1.2), 0.4, 0.6)
    worn = smoothstep(noise(rng, height, width, 0.01, 3) + 0.5 * noise(rng, height, width, 0.2), -1.2, -0.5)
    ink = palette.accent if number == 1 else palette.middle[rng.integers(0, len(palette.middle))]
    return 0.1 + 0.9 * ink, np.roll(area, shift, (0, 1)) * worn * smoothstep(lines, -2.6, -2.2)


def linocut(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Large leaves and flowers with veins cut in, on a ground with the marks of the gouge."""
    palette = random_palette(rng)
    unit = min(height, width)
    ground, paper = palette.ramp(rng.choice([0.05, 0.2, 0.8])), palette.light if rng.random() < 0.7 else palette.accent
    angle = noise(rng, height, width, 0.5) * 3
    gouge = smoothstep(cuts(rng, angle, 0.07 * unit, 0.007 * unit), rng.uniform(0.9, 1.5), 2.1)
    picture = mix(np.broadcast_to(ground, (height, width, 3)), paper, 0.85 * gouge)
    inks = palette.choose(rng, 5)
    for spot in places(rng, height, width, unit * rng.uniform(0.24, 0.34)):
        length = unit * rng.uniform(0.22, 0.55)
        ink = max(inks[rng.permutation(5)[:3]], key=lambda color: float(np.abs(color - ground).sum()))
        picture = _leaf(rng, picture, spot, rng.uniform(-3.0, -0.1), length, ink, ground)
    missing = smoothstep(noise(rng, height, width, 0.006, 2) + 0.4 * noise(rng, height, width, 0.15), 0.75, 1.1)
    return mix(picture, palette.light, 0.7 * missing)


def _leaf(
    rng: np.random.Generator,
    picture: np.ndarray,
    foot: Points,
    turn: float,
    length: float,
    ink: np.ndarray,
    ground: np.ndarray,
) -> np.ndarray:
    """``picture`` with a curved leaf: its rim, midrib and side veins stay uncut in the color of the ground."""
    reach = np.array((np.cos(turn), np.sin(turn))) * length
    low = (np.minimum(foot, foot + reach) - 0.35 * length).astype(int).clip(0, (picture.shape[1] - 1, picture.shape[0] - 1))
    high = (np.maximum(foot, foot + reach) + 0.35 * length).astype(int).clip(low + 1)
    box = np.s_[low[1] : high[1], low[0] : high[0]]
    y, x = np.mgrid[: picture[box].shape[0], : picture[box].shape[1]].astype(np.float32)
    x, y = (x + low[0] - foot[0]) / length, (y + low[1] - foot[1]) / length
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    inside, halo, cut = _leaf_parts(rng, u, v - rng.uniform(-0.3, 0.3) * u * (1 - u), 1.3 / length)
    picture[box] = mix(mix(picture[box], ground, halo), ink, inside * (1 - cut))
    return picture


def _leaf_parts(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, pixel: float) -> tuple[np.ndarray, ...]:
    """Blade, rim around it and veins in it, each in [0, 1], for a leaf along u from 0 to 1."""
    breadth, lobes = rng.uniform(0.16, 0.3), rng.choice([0, 0, 5, 8])
    outline = np.sin(np.pi * u.clip(0, 1) ** rng.uniform(0.6, 1.0))
    half = breadth * outline * (1 - 0.18 * (lobes > 0) * np.cos(2 * np.pi * lobes * u))
    inside = smoothstep(half - np.abs(v), -pixel, pixel) * (u > 0) * (u < 1)
    halo = smoothstep(half - np.abs(v), -7 * pixel, -5 * pixel) * (u > -0.03) * (u < 1.03)
    slant, count = rng.uniform(0.7, 1.4), rng.integers(7, 13)
    veins = np.abs((u - slant * np.abs(v)) * count % 1 - 0.5) / count
    cut = smoothstep(veins, 2.4 * pixel, 1.0 * pixel) * smoothstep(np.abs(v) / np.maximum(half, pixel), 0.94, 0.8)
    return inside, halo, np.maximum(cut, smoothstep(np.abs(v), 3.0 * pixel, 1.4 * pixel))


def engraving(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Fine lines that bend over the forms, swell in the shade, and cross where it is deep."""
    palette, scene = compose(rng, height, width, flow=0.4)
    unit, shade = min(height, width) / 512, tones(scene)
    pitch = max(3.0, rng.uniform(4.2, 6.5) * unit)
    paper = oklch(rng.uniform(0.88, 0.97), rng.uniform(0.01, 0.06), rng.uniform(0.1, 0.35))
    ink = palette.dark * rng.uniform(0.5, 1.0)
    swell = blur(scene.light, 3 * unit) * rng.uniform(14, 30) * unit + 6 * unit * noise(rng, height, width, 0.2)
    black = np.zeros((height, width), np.float32)
    for turn, start in ((0.0, 0.88), (0.9, 0.55), (-0.7, 0.32), (1.7, 0.16)):
        lines = _hatch(scene.region, swell, turn + rng.uniform(0, 0.2), pitch, rng)
        thick = ((start - shade) / max(0.3, start)).clip(0, 0.95) ** 0.7 * 0.62
        black = np.maximum(black, smoothstep(thick - lines, -0.12, 0.12) * (thick > 0.02))
    black = np.maximum(black, edges(scene.region, 0.9 * unit))
    tint = mix(np.ones(3, np.float32), saturate(scene.color, 1.1), rng.choice([0.0, 0.35, 0.6]) + 0 * shade)
    return mix(paper * tint * (1 + 0.02 * noise(rng, height, width, 0.01, 2))[..., None], ink, black)


def _hatch(region: np.ndarray, swell: np.ndarray, turn: float, pitch: float, rng: np.random.Generator) -> np.ndarray:
    """Distance from the middles of parallel lines, 0 to 1, which have a direction of their own in each region."""
    y, x = np.mgrid[: region.shape[0], : region.shape[1]].astype(np.float32)
    angles = (turn + rng.normal(0, 0.5, int(region.max()) + 1)).astype(np.float32)[region]
    phase = (x * np.sin(angles) - y * np.cos(angles) + swell) / pitch
    return np.abs(phase % 1 - 0.5) * 2


def halftone(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Three screens of dots in inks near cyan, magenta and yellow, and black outlines, out of register."""
    _, scene = compose(rng, height, width)
    unit, turn = min(height, width) / 512, rng.normal(0, 0.045)
    inks = oklch(np.array((0.72, 0.62, 0.9)), np.array((0.15, 0.24, 0.19)), np.array((0.61, 0.0, 0.29)) + turn)
    pitch = max(3.0, rng.uniform(5.5, 10.5) * unit)
    picture = np.broadcast_to(oklch(0.96, 0.025, 0.25), (height, width, 3))
    target = saturate((scene.color * 1.15 + 0.12).clip(0, 1), 1.5)
    for channel, angle in enumerate(rng.permutation([0.26, 1.31, 0.79])):
        amount = (1 - target[..., channel]).clip(0, 1) ** 1.15
        dots = _screen(np.roll(amount, rng.integers(-2, 3, 2), (0, 1)), angle, pitch)
        picture = picture * mix(np.ones(3, np.float32), inks[channel], dots)
    dark = _screen((0.75 - 2.2 * luminance(scene.color)).clip(0, 0.9), 0.5, pitch)
    line = edges(scene.region, rng.uniform(1.2, 2.6) * unit)
    return mix(picture, np.full(3, 0.07, np.float32), np.maximum(line, dark))


def _screen(amount: np.ndarray, angle: float, pitch: float) -> np.ndarray:
    """Round dots on a turned lattice, whose area is the local ``amount``."""
    y, x = np.mgrid[: amount.shape[0], : amount.shape[1]].astype(np.float32)
    u, v = (x * np.cos(angle) + y * np.sin(angle)) / pitch, (y * np.cos(angle) - x * np.sin(angle)) / pitch
    middle_u, middle_v = np.floor(u) + 0.5, np.floor(v) + 0.5
    cx, cy = middle_u * np.cos(angle) - middle_v * np.sin(angle), middle_u * np.sin(angle) + middle_v * np.cos(angle)
    local = sample(blur(amount, 0.3 * pitch), np.stack([cx, cy], -1) * pitch)
    far, radius = np.hypot(u - middle_u, v - middle_v), np.sqrt(local / np.pi) * 1.15
    return smoothstep(radius - far, -0.7 / pitch, 0.7 / pitch)


def batik(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Dyed cloth with lines and dots left by wax, and fine cracks where the dye crept in."""
    palette, scene = compose(rng, height, width, flow=1.0)
    unit = min(height, width) / 512
    steps = palette.choose(rng, scene.masses + 1)[scene.region]
    dye = (0.5 * steps + 0.5 * saturate(scene.color, 1.5)) * (0.94 + 0.2 * noise(rng, height, width, 0.06, 4))[..., None]
    wax = np.maximum(edges(scene.region, 2.6 * unit), _motif_dots(rng, scene, unit))
    picture = mix(dye, palette.light, wax * (0.85 + 0.2 * noise(rng, height, width, 0.02, 2)).clip(0, 1))
    warp = 16 * unit * np.stack([noise(rng, height, width, 0.06, 4) for _ in range(2)], -1)
    cracks = np.zeros((height, width), np.float32)
    for size, thin in ((0.16, 1.5), (0.07, 0.9)):
        border = voronoi(rng, height, width, size, 1.0, warp).border
        there = smoothstep(noise(rng, height, width, 0.25, 2), -0.35, 0.3)
        cracks = np.maximum(cracks, smoothstep(border, thin * unit + 0.8, 0.2) * there)
    halo = 0.3 * blur(cracks, 2.5 * unit)
    return mix(picture, palette.dark, (0.75 * cracks + halo).clip(0, 1))


def _motif_dots(rng: np.random.Generator, scene: Scene, unit: float) -> np.ndarray:
    """Dots, rings or hooks in some of the masses, in [0, 1]."""
    height, width = scene.region.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    result = np.zeros((height, width), np.float32)
    for region in range(1, scene.masses + 1):
        mask = scene.region == region
        if mask.mean() < 0.01 or rng.random() < 0.35:
            continue
        angle, pitch, kind = rng.uniform(0, 1.6), rng.uniform(16, 34) * unit, rng.integers(0, 3)
        u, v = (x * np.cos(angle) + y * np.sin(angle))[mask] / pitch, (y * np.cos(angle) - x * np.sin(angle))[mask] / pitch
        a, b = (u + 0.5 * (np.floor(v) % 2)) % 1 - 0.5, v % 1 - 0.5
        far = np.hypot(a, b)
        shape = (
            far - 0.17,
            np.abs(far - 0.3) - 0.07,
            np.abs((far * 3 - np.arctan2(b, a) / 6.28) % 1 - 0.5) - 0.14 + 9 * (far > 0.4),
        )[kind]
        result[mask] = smoothstep(shape, 0.06, -0.02)
    return result


def contours(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Flowing bands of loud color, each with a dark rim and a light of its own."""
    palette = random_palette(rng, str(rng.choice(["neon", "triadic", "complementary", "split", "analogous"])))
    unit, bands = min(height, width) / 512, palette.choose(rng, 7)
    levels = _folds(rng, height, width) * rng.uniform(5, 11) + 100
    share, number = levels % 1, np.floor(levels).astype(int)
    color = mix(bands[number % 7], bands[(number + 2) % 7], 0.55 * share)
    color = mix(color, palette.light, smoothstep(np.abs(share - 0.5), 0.12, 0.05) * rng.choice([0.0, 0.8]))
    slope = np.maximum(np.hypot(*np.gradient(blur(levels, 1.0))), 1e-4)
    near = np.minimum(share, 1 - share) / slope  # distance from the next rim, in pixels
    paper = (1 + 0.04 * noise(rng, height, width, 0.008, 2))[..., None]
    return mix(color * paper, palette.dark, smoothstep(near, 2.6 * unit + 0.6, 1.0 * unit))


def _folds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth noise seen through waves of noise."""
    field, reach = noise(rng, height, width, rng.uniform(0.3, 0.55), 2), rng.uniform(0.06, 0.18) * min(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    at = np.stack([x + reach * field, y + reach * noise(rng, height, width, 0.35)], -1)
    return blur(sample(noise(rng, height, width, rng.uniform(0.35, 0.6), 2), at) + 0.3 * field, 2.0)


def op_art(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Stripes that swell and bend over unseen hills, and change their colors from one shape to the next."""
    palette, scene = compose(rng, height, width, str(rng.choice(["shapes", "hills", "sea", "head"])))
    unit = min(height, width)
    x, y = grid(height, width)
    angle = rng.uniform(0, np.pi)
    bend = 0.1 * noise(rng, height, width, 0.6) + 0.04 * blur(scene.light, 0.012 * unit)
    along = x * np.cos(angle) + y * np.sin(angle)
    phase = (x * np.sin(angle) - y * np.cos(angle) + bend * rng.uniform(1, 2.4) + 0.03 * np.sin(7 * along)) * rng.uniform(
        14, 26
    )
    phase = phase + 0.5 * (scene.region % 2)
    stripe = smoothstep(np.abs(phase % 1 - 0.5) * 2 - 0.5, -0.07, 0.07)
    first = mix(palette.dark, palette.accent, smoothstep(noise(rng, height, width, 0.5), 0.2, 0.5))
    second = mix(palette.light, palette.ramp(luminance(scene.color)), smoothstep(noise(rng, height, width, 0.5), -0.2, 0.2))
    hue = palette.choose(rng, scene.masses + 1)[scene.region]
    first = mix(first, hue, 0.75 * (scene.region % 3 == 0))
    light = 0.85 + 0.3 * blur(scene.light, 0.01 * unit)
    return mix(first, second, stripe) * light[..., None]


def screen_print(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A poster: few flat inks with hard borders, light and shade as shapes, a spattered edge, grain."""
    palette, scene = compose(rng, height, width)
    unit = min(height, width) / 512
    ragged = 0.05 * noise(rng, height, width, 0.015, 3)
    colors = np.vstack([palette.colors, palette.accent[None]])
    level = np.floor((scene.light + ragged) * 3).clip(0, 2)
    wanted = saturate(scene.color, 1.2) + 0.10 * (level - 1)[..., None]
    index = np.argmin([((wanted - color) ** 2).sum(-1) for color in colors], 0)
    flat = colors[index]
    spray = smoothstep(rng.random((height, width)).astype(np.float32) + 0.75 * (scene.light + 2 * ragged), 0.62, 0.5)
    flat = mix(flat, palette.dark, 0.8 * blur(spray, 0.5 * unit))
    spray = smoothstep(rng.random((height, width)).astype(np.float32) + 0.9 * (1 - scene.light), 0.52, 0.42)
    return mix(flat, palette.light, 0.7 * blur(spray, 0.5 * unit))


def wave_print(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A color woodblock print: flat fields that fade, thin outlines, lines of water and cloud, wood grain."""
    palette, scene = compose(rng, height, width, str(rng.choice(["sea", "hills", "trees", "head"])), flow=0.8)
    unit = min(height, width) / 512
    colors, index = piecewise(scene.color, scene.region)
    flat = saturate(vary(rng, colors, 0.05, 0.02)[index], 1.15)
    fade = smoothstep(blur(scene.light, 5 * unit), 0.25, 0.75)
    picture = mix(flat * 0.78, 0.75 * flat + 0.25 * palette.light, fade)
    swell = 9 * unit * noise(rng, height, width, 0.09) + 30 * unit * noise(rng, height, width, 0.3)
    lines = _hatch(scene.region, swell, np.pi, 15 * unit, rng)
    chosen = rng.random(scene.masses + 1)[scene.region] < 0.4
    picture = mix(picture, palette.light, 0.8 * smoothstep(lines, 0.22, 0.1) * chosen)
    speckle, lean = rng.standard_normal((height, width)).astype(np.float32), 0.12 * noise(rng, height, width, 0.4)
    picture = picture * (1 + 0.22 * flow_smear(speckle, lean, 50 * unit, 2.0))[..., None]
    return mix(picture, palette.dark, 0.92 * edges(scene.region, 1.15 * unit))


def suprematist(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Bars, discs, arcs and wedges that float on a pale or dark brushed ground."""
    palette = random_palette(rng, str(rng.choice(["triadic", "complementary", "split", "earth"])))
    ground = palette.dark if rng.random() < 0.25 else palette.light
    picture = ground * (1 + 0.06 * noise(rng, height, width, 0.25, 4))[..., None]
    picture = mix(picture, palette.middle[0], 0.35 * smoothstep(noise(rng, height, width, 0.6), 0, 0.9))
    lean = rng.uniform(0, np.pi)
    for size in np.sort(rng.uniform(0.03, 1.0, int(rng.integers(22, 44))) ** 2)[::-1]:
        picture = _float(rng, palette, picture, lean, 0.03 + 0.3 * size)
    return picture * (1 + 0.04 * noise(rng, height, width, 0.006, 2))[..., None]


def _float(rng: np.random.Generator, palette: Palette, picture: np.ndarray, lean: float, size: float) -> np.ndarray:
    """``picture`` with one more figure, turned by ``lean`` or at right angles to it."""
    height, width = picture.shape[:2]
    x, y = grid(height, width)
    angle = lean + rng.choice([0, np.pi / 2, 0.6]) + rng.normal(0, 0.1)
    x, y = x - rng.normal(0.5, 0.27) * width / min(height, width), y - rng.normal(0.5, 0.27) * height / min(height, width)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    pixel, distance = 0.7 / min(height, width), _figure(rng, u, v, size)
    ink = palette.choose(rng, 1)[0] * (1 + 0.12 * noise(rng, height, width, 0.05, 3) + 0.25 * u)[..., None]
    return mix(picture, ink.clip(0, 1), rng.choice([0.75, 0.95, 1.0]) * smoothstep(distance, pixel, -pixel))


def _figure(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, size: float) -> np.ndarray:
    """Signed distance to a bar, a line, a disc, a ring, a wedge or a half disc about ``size`` large."""
    kind, far = int(rng.integers(0, 7)), np.hypot(u, v)
    if kind < 2:
        return np.maximum(np.abs(u) - size * rng.uniform(0.6, 1.6), np.abs(v) - size * rng.uniform(0.12, 0.5))
    if kind == 2:
        return np.maximum(np.abs(u) - size * rng.uniform(1.5, 4), np.abs(v) - 0.004)
    if kind == 3:
        return far - 0.6 * size
    if kind == 4:
        return np.maximum(np.abs(far - size) - rng.uniform(0.004, 0.02), -v if rng.random() < 0.6 else far - 9)
    if kind == 5:
        return np.maximum(np.abs(v) - 0.35 * (size - u), -u - 0.2 * size)
    return np.maximum(far - size * 0.8, v)


PRINTED = {
    "woodcut": woodcut,
    "linocut": linocut,
    "engraving": engraving,
    "halftone": halftone,
    "batik": batik,
    "contours": contours,
    "op_art": op_art,
    "screen_print": screen_print,
    "wave_print": wave_print,
    "suprematist": suprematist,
}
