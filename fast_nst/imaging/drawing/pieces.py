"""Drawn styles made of pieces: glass, stone, tiles, cut paper, cloth, shards, scales, ornament, discs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from fast_nst.imaging.drawing.brushes import saturate, vary
from fast_nst.imaging.drawing.fields import (
    Points,
    blur,
    edges,
    grid,
    mix,
    noise,
    piecewise,
    polygon_mask,
    random_sites,
    relief,
    sample,
    smoothstep,
    stretched,
    voronoi,
)
from fast_nst.imaging.drawing.palettes import Palette, luminance, oklch, random_palette
from fast_nst.imaging.drawing.scenes import Scene, compose


def stained_glass(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Pieces of glowing glass between dark lead lines, heavier ones around the figures."""
    _, scene = compose(rng, height, width)
    unit = min(height, width) / 512
    warp = 14 * unit * np.stack([noise(rng, height, width, 0.12) for _ in range(2)], -1)
    cells = voronoi(rng, height, width, rng.uniform(0.055, 0.11), 0.95, warp)
    colors, index = piecewise(saturate(scene.color, 1.7), cells.label * 1024 + scene.region)
    glass = vary(rng, colors * 1.1, 0.2, 0.06)[index]
    streak = noise(rng, height, width, 0.05, 3) + 0.6 * noise(rng, height, width, 0.01)
    lead = np.maximum(edges(index, 1.7 * unit), edges(scene.region, 3.2 * unit))
    inner = 1 - blur(lead, 7 * unit)
    glass = glass * (0.55 + 0.55 * inner + 0.16 * streak)[..., None]
    glass = glass + (0.22 * smoothstep(streak, 0.4, 1.4) * inner)[..., None]
    metal = 0.06 + (0.25 * smoothstep(relief(blur(lead, 1.2 * unit), 1.5), 0.05, 0.5))[..., None] + np.zeros(3, np.float32)
    return mix(glass, metal, lead)


def mosaic(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Stones in rows that follow the forms (Hausner, Simulating decorative mosaics, 2001), set in grout."""
    palette, scene = compose(rng, height, width, flow=1.0)
    pitch = max(6.0, rng.uniform(0.018, 0.032) * min(height, width))
    label = _stones(rng, scene.angle, scene.region, pitch)
    colors, index = piecewise(saturate(scene.color, 1.2), label * 1024 + scene.region)
    stones = vary(rng, colors, 0.13, 0.04)[index]
    cover = 1 - edges(index, max(0.8, 0.07 * pitch))
    grout = palette.ramp(rng.uniform(0.0, 0.9)) * (0.85 + 0.2 * noise(rng, height, width, 0.006, 2))[..., None]
    rough = 0.08 * noise(rng, height, width, 0.012, 3) + relief(blur(cover, max(1.0, 0.12 * pitch)), 0.6)
    return mix(grout, stones * (1 + rough)[..., None], cover)


def _stones(rng: np.random.Generator, angle: np.ndarray, region: np.ndarray, pitch: float) -> np.ndarray:
    """Numbers of nearly square cells that are turned by ``angle``, after their sites moved to their middles a few times."""
    height, width = angle.shape
    sites, step = random_sites(rng, height, width, pitch, 0.6), 2 if pitch > 5 else 1
    y, x = np.mgrid[: angle.shape[0], : angle.shape[1]].astype(np.float32)
    cosine, sine, free = np.cos(angle), np.sin(angle), 1.0 - edges(region, 1.5)
    coarse = np.s_[::step, ::step]
    for _ in range(9):
        nearest = _nearest_turned(sites, x[coarse], y[coarse], cosine[coarse], sine[coarse], pitch).ravel()
        weight = np.bincount(nearest, free[coarse].ravel(), sites.size // 2)
        sums = [np.bincount(nearest, (free * v)[coarse].ravel(), sites.size // 2) for v in (x, y)]
        middle = np.stack(sums, -1) / np.maximum(weight, 1e-6)[:, None]
        sites = np.where((weight > 0.1)[:, None], middle, sites.reshape(-1, 2)).reshape(sites.shape).astype(np.float32)
    return _nearest_turned(sites, x, y, cosine, sine, pitch)


def _nearest_turned(
    sites: np.ndarray, x: np.ndarray, y: np.ndarray, cosine: np.ndarray, sine: np.ndarray, pitch: float
) -> np.ndarray:
    """Index of the site nearest to each pixel by the larger of both coordinates along turned axes."""
    rows, columns = sites.shape[:2]
    row, column = np.floor(y / pitch + 2).astype(np.int32), np.floor(x / pitch + 2).astype(np.int32)
    flat, best, index = sites.reshape(-1, 2), np.full(x.shape, np.inf, np.float32), np.zeros(x.shape, np.int32)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            at = (row + dy).clip(0, rows - 1) * columns + (column + dx).clip(0, columns - 1)
            u, v = x - flat[at, 0], y - flat[at, 1]
            distance = np.maximum(np.abs(u * cosine + v * sine), np.abs(v * cosine - u * sine))
            nearer = distance < best
            best, index = np.where(nearer, distance, best), np.where(nearer, at, index)
    return index


def tiles(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Glazed tiles with painted eightfold ornament, two patterns in turn."""
    palette = random_palette(rng, str(rng.choice(["complementary", "triadic", "mono", "split", "earth"])))
    side = max(8, int(min(height, width) / rng.integers(3, 7)))
    inks = np.vstack([palette.choose(rng, 5), palette.dark[None]])
    pair = [_ornament(rng, side, palette.light * 0.98, inks) for _ in range(2)]
    rows, columns = height // side + 1, width // side + 1
    shift = int(rng.integers(0, 2))
    order = [[pair[(i + j * (1 - shift)) % 2] for i in range(columns)] for j in range(rows)]
    picture = np.vstack([np.hstack(row) for row in order])[:height, :width]
    wash = 1 + 0.09 * noise(rng, height, width, 0.03, 4)
    tone = 1 + 0.05 * np.kron(rng.normal(0, 1, (rows, columns)), np.ones((side, side)))[:height, :width]
    x, y = np.arange(width) % side, np.arange(height) % side
    seam = np.minimum(np.minimum(x, side - 1 - x)[None], np.minimum(y, side - 1 - y)[:, None])
    picture = picture * (wash * tone * (0.86 + 0.14 * smoothstep(seam, 0.5, 0.08 * side)))[..., None]
    gloss = relief(blur(smoothstep(seam, 0, 0.04 * side), 1.5), 0.4)
    return mix(np.array((0.55, 0.52, 0.47), np.float32), picture + gloss[..., None], smoothstep(seam, 0.0, 1.6))


def _ornament(rng: np.random.Generator, side: int, ground: np.ndarray, inks: np.ndarray) -> np.ndarray:
    """One tile with the symmetry of a square: petals, rings and arcs, outlined, on ``ground``; (side, side, 3)."""
    big = 2 * side
    line = np.abs(np.linspace(-1, 1, big, dtype=np.float32))
    a, b = np.maximum(line[None], line[:, None]), np.minimum(line[None], line[:, None])
    picture = np.broadcast_to(ground, (big, big, 3)).astype(np.float32)
    for _ in range(int(rng.integers(7, 12))):
        distance, ink = _ornament_shape(rng, a, b), inks[rng.integers(0, len(inks) - 1)]
        fill = mix(ink, 0.6 * ink + 0.4 * ground, smoothstep(-distance, 0.0, 0.12) * rng.uniform(0, 1))
        picture = mix(picture, fill, smoothstep(distance, 0.008, -0.008))
        if rng.random() < 0.8:
            picture = mix(picture, inks[-1], smoothstep(np.abs(distance), 0.028, 0.012))
    return picture.reshape(side, 2, side, 2, 3).mean((1, 3))


def _ornament_shape(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Signed distance to a random part of the ornament; negative inside. a >= b >= 0: the folded tile."""
    kind = rng.integers(0, 5)
    turn, reach = rng.uniform(0, np.pi / 4), rng.uniform(0.1, 1.3)
    x, y = reach * np.cos(turn), reach * np.sin(turn)
    if kind == 0:  # a dot or a disc
        return np.hypot(a - x, b - y) - rng.uniform(0.06, 0.25)
    if kind == 1:  # a ring around the middle or the corner
        return np.abs(np.hypot(a - rng.choice([0, 1]), b - rng.choice([0, 0, 1])) - rng.uniform(0.3, 0.95)) - rng.uniform(
            0.03, 0.09
        )
    if kind == 2:  # a petal from the middle, along the side or along the diagonal
        angle = rng.choice([0, np.pi / 4, turn])
        along, across = a * np.cos(angle) + b * np.sin(angle), np.abs(b * np.cos(angle) - a * np.sin(angle))
        start, length, bulge = rng.uniform(0, 0.3), rng.uniform(0.4, 0.9), rng.uniform(0.12, 0.3)
        place = ((along - start) / length).clip(0, 1)
        return across - bulge * np.sin(np.pi * place ** rng.uniform(0.7, 1.6)) + 0.001
    if kind == 3:  # a star
        return a * np.cos(turn) + b * np.sin(turn) - rng.uniform(0.2, 0.5)
    return np.abs(a + b * rng.uniform(-1, 1) - rng.uniform(0.5, 1.2)) - rng.uniform(0.02, 0.06)  # a band


def marbling(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Drops of ink on water, drawn by combs (Jaffer and others, Mathematical marbling, 2012); traced back pixel by pixel."""
    palette = random_palette(rng)
    x, y = (np.broadcast_to(part, (height, width)).copy() for part in grid(height, width))
    aspect = width / min(height, width)
    x, y = _unswirl(rng, x, y, aspect)
    for pitch in rng.permutation([0.035, 0.06, 0.1, 0.2, 0.4])[: int(rng.integers(2, 5))]:
        x, y = _uncomb(rng, x, y, float(pitch) * rng.uniform(0.8, 1.3))
    picture = _undrop(rng, palette, x, y, aspect)
    grain = 0.03 * noise(rng, height, width, 0.005, 2) + 0.05 * noise(rng, height, width, 0.2, 3)
    return picture * (1 + grain)[..., None]


def _uncomb(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """The place from which a comb moved the ink at (x, y), mostly along one axis."""
    angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.15)
    across = x * np.sin(angle) - y * np.cos(angle) + 0.02 * np.sin(9 * (x * np.cos(angle) + y * np.sin(angle)))
    near = np.hypot((across / pitch) % 1 - 0.5, 0.09) * pitch
    pull = rng.uniform(0.25, 1.0) * pitch**0.5 * 0.3 * np.exp(-near / (0.28 * pitch))
    if rng.random() < 0.4:
        pull = pull * np.where(np.floor(across / pitch) % 2 == 0, 1, -1)
    return x - pull * np.cos(angle), y - pull * np.sin(angle)


def _unswirl(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, aspect: float) -> tuple[np.ndarray, np.ndarray]:
    """The place from which a few stirrings around points moved the ink at (x, y)."""
    for _ in range(int(rng.integers(0, 5))):
        cx, cy, radius = rng.uniform(0, aspect), rng.uniform(0, 1), rng.uniform(0.1, 0.3)
        dx, dy = x - cx, y - cy
        turn = rng.choice([-1, 1]) * rng.uniform(1, 3) * np.exp(-np.hypot(dx, dy) / (0.5 * radius))
        x, y = cx + dx * np.cos(turn) - dy * np.sin(turn), cy + dx * np.sin(turn) + dy * np.cos(turn)
    return x, y


def _undrop(rng: np.random.Generator, palette: Palette, x: np.ndarray, y: np.ndarray, aspect: float) -> np.ndarray:
    """Colors at (x, y) of drops that push each other aside, several to a place; the last drop is undone first."""
    found, number = np.full(x.shape, -1, np.int32), 0
    for _ in range(int(rng.integers(18, 30))):
        cx, cy, size = rng.uniform(-0.1, aspect + 0.1), rng.uniform(-0.1, 1.1), rng.uniform(0.04, 0.11)
        for _ in range(int(rng.integers(2, 6))):
            dx, dy, radius = x - cx, y - cy, size * rng.uniform(0.5, 1.3)
            square = np.maximum(dx * dx + dy * dy, 1e-9)
            found = np.where((found < 0) & (square < radius**2), number, found)
            shrink = np.sqrt((1 - radius**2 / square).clip(0, 1))
            x, y, number = cx + dx * shrink, cy + dy * shrink, number + 1
    colors = palette.choose(rng, number + 7)
    swell = 3.2 * np.sin(5 * x + rng.uniform(0, 6)) * np.sin(6 * y + rng.uniform(0, 6))
    pool = np.floor(swell + 14 * rng.uniform(0.3, 1) * (x + y)).astype(int) % 7
    return blur(colors[np.where(found < 0, number + pool, found)].astype(np.float32), 0.5)


def paper_cut(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Sheets of paper with openings, one above the other, each throwing a soft shadow on those below."""
    palette = random_palette(rng)
    unit, count = min(height, width) / 512, int(rng.integers(6, 10))
    depth = _depth(rng, height, width)
    levels = np.quantile(depth, np.linspace(0.08, 0.92, count))
    tones = np.linspace(0.97, 0.12, count + 1) if rng.random() < 0.5 else np.linspace(0.1, 0.95, count + 1)
    if rng.random() < 0.4:
        tones = rng.permutation(tones)
    sheets = palette.ramp(tones)
    sheets[rng.integers(0, 3)] = palette.accent
    picture = np.broadcast_to(sheets[0], (height, width, 3)).astype(np.float32)
    for level, sheet in zip(levels, sheets[1:], strict=True):
        wavy = depth + 0.05 * noise(rng, height, width, 0.12)
        slope = np.maximum(np.hypot(*np.gradient(wavy)), 1e-5)
        picture = _lay_sheet(rng, picture, ((wavy - level) / slope + 0.5).clip(0, 1), sheet, unit)
    return picture * (1 + 0.025 * noise(rng, height, width, 0.006, 2))[..., None]


def _depth(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Height of the pile of paper: a cave, a valley or islands."""
    x, y = grid(height, width)
    middle = (rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.7))
    form = (np.hypot(x - middle[0], y - middle[1]), 1.2 * (y + 0 * x), 0 * (x + y))[int(rng.integers(0, 3))]
    return (form + rng.uniform(0.16, 0.34) * noise(rng, height, width, rng.uniform(0.3, 0.5), 2)).astype(np.float32)


def _lay_sheet(
    rng: np.random.Generator, picture: np.ndarray, mask: np.ndarray, sheet: np.ndarray, unit: float
) -> np.ndarray:
    """``picture`` with one more sheet of paper where ``mask`` is 1."""
    height, width = mask.shape
    shift = max(1, int(6 * unit))
    thrown = np.pad(blur(mask, 6 * unit), ((shift, 0), (shift, 0)), mode="edge")[:height, :width]
    picture = picture * (1 - 0.5 * thrown * (1 - mask))[..., None]
    rim = relief(blur(mask, 0.8), 0.35)
    return mix(picture, sheet * (1 + 0.05 * noise(rng, height, width, 0.4))[..., None] + rim[..., None], mask)


def cutouts(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Leaves, seaweed and stars cut from painted paper, pasted on blocks of color."""
    palette = random_palette(rng, str(rng.choice(["triadic", "complementary", "split", "neon", "analogous"])))
    unit, rows, columns = min(height, width), int(rng.integers(2, 4)), int(rng.integers(3, 5))
    picture = np.zeros((height, width, 3), np.float32)
    xs, ys = _cuts(rng, columns, width), _cuts(rng, rows, height)
    blocks = [(x, y, u, v) for y, v in zip(ys, ys[1:], strict=False) for x, u in zip(xs, xs[1:], strict=False)]
    for (x, y, u, v), color in zip(blocks, palette.choose(rng, len(blocks)), strict=True):
        picture[y:v, x:u] = color
    for size, spread in ((0.18, 0.025), (0.07, 0.085)):  # a large shape for each block, then a small one beside it
        for x, y, u, v in blocks:
            spot = np.array(((x + u) / 2, (y + v) / 2)) + rng.normal(0, spread * unit, 2)
            picture = _pasted(rng, palette, picture, spot, size * unit * rng.uniform(0.7, 1.25))
    brushed = stretched(rng, height, width, 3, 50) + noise(rng, height, width, 0.1, 3)
    return picture * (1 + 0.035 * brushed)[..., None]


def _pasted(rng: np.random.Generator, palette: Palette, picture: np.ndarray, spot: np.ndarray, radius: float) -> np.ndarray:
    """``picture`` with a shape at ``spot`` in the one of four colors that stands out most, and its shadow."""
    (height, width), (x, y) = picture.shape[:2], spot
    mask = polygon_mask(height, width, _seaweed(rng, x, y, radius), 2)
    ink = max(palette.choose(rng, 4), key=lambda color: float(np.abs(color - sample(picture, spot)).sum()))
    shadow = 0.25 * blur(mask, 4) * (1 - mask)
    return mix(picture * (1 - shadow)[..., None], ink, mask)


def _cuts(rng: np.random.Generator, count: int, length: int) -> list[int]:
    """Uneven borders of ``count`` parts of ``length`` pixels."""
    parts = np.cumsum(rng.uniform(0.6, 1.4, count))
    return [0, *(length * parts / parts[-1]).astype(int).tolist()]


def _seaweed(rng: np.random.Generator, x: float, y: float, radius: float) -> Points:
    """A frond with round fingers, a leaf with lobes, or a star."""
    turn = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    fingers, depth = int(rng.integers(5, 12)), rng.uniform(0.25, 0.6)
    wave = np.cos(fingers * turn + 0.8 * np.sin(2 * turn + rng.uniform(0, 6)))
    reach = radius * (1 - depth + depth * np.sign(wave) * np.abs(wave) ** rng.uniform(0.35, 1.0))
    reach = reach * (1 + 0.15 * np.sin(turn * 2 + rng.uniform(0, 6)) + 0.1 * np.sin(turn * 3 + rng.uniform(0, 6)))
    squeeze, lean = rng.uniform(0.5, 1.0), rng.uniform(0, np.pi)
    u, v = reach * np.cos(turn), squeeze * reach * np.sin(turn)
    return np.stack([x + u * np.cos(lean) - v * np.sin(lean), y + u * np.sin(lean) + v * np.cos(lean)], 1)


def tartan(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Checked woolen cloth in twill, thread by thread, in soft folds."""
    palette = random_palette(rng)
    thread = max(1.5, 2.6 * min(height, width) / 512)
    fold = noise(rng, height, width, 0.5, 2)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.normal(0, 0.3)
    u = (x * np.cos(angle) + y * np.sin(angle) + 26 * fold) / thread + 1000
    v = (y * np.cos(angle) - x * np.sin(angle) + 20 * fold) / thread + 1000
    sett = _sett(rng, palette)
    warp, weft = sett[u.astype(int) % len(sett)], sett[v.astype(int) % len(sett)]
    over = ((u.astype(int) + v.astype(int)) % 4 < 2).astype(np.float32)
    roundness = 1 - 0.5 * np.where(over > 0, np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5))
    light = roundness * (1 + 2.2 * relief(blur(fold, 6), 3.0)) + 0.05 * noise(rng, height, width, 0.006)
    return mix(weft, warp, over) * light[..., None]


def _sett(rng: np.random.Generator, palette: Palette) -> np.ndarray:
    """Colors of the threads of one repeat, mirrored at its ends; (N, 3)."""
    colors = palette.choose(rng, 5)
    stripes = [(0, 26), (1, 4), (0, 8), (2, 22), (3, 3), (2, 6), (4, 2), (1, 14)]
    order = rng.permutation(len(stripes))
    threads = [np.repeat(colors[stripes[i][0]][None], max(2, int(stripes[i][1] * rng.uniform(0.6, 1.6))), 0) for i in order]
    half = np.vstack(threads)
    return np.vstack([half, half[::-1]])


def kilim(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A flat-woven rug: bands of stepped diamonds, hooks and triangles, in ribs of wool."""
    palette = random_palette(rng, str(rng.choice(["earth", "complementary", "triadic", "split", "analogous"])))
    knot = max(2, int(rng.uniform(4, 7) * min(height, width) / 512))
    rows, columns = height // knot + 2, width // knot + 2
    knots: np.ndarray = np.zeros((rows, columns, 3), np.float32)
    top = 0
    while top < rows:
        band = int(rng.choice([2, 3, 8, 14, 20, 28]))
        knots[top : top + band] = _band(rng, palette, band, columns)[: rows - top]
        top += band
    knots = vary(rng, knots, 0.06, 0.02) * (1 + 0.06 * rng.normal(0, 1, (rows, 1, 1)))  # the dye differs from yarn to yarn
    wool = np.kron(knots, np.ones((knot, knot, 1), np.float32))[:height, :width]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    rib = 0.86 + 0.14 * np.sin(np.pi * ((x + 0.4 * knot * ((y // knot) % 2)) / (0.5 * knot))) * np.sin(
        np.pi * (y / knot % 1)
    )
    fuzz = 0.08 * stretched(rng, height, width, 1.5, 5) + 0.06 * noise(rng, height, width, 0.3, 3)
    return wool * (rib + fuzz)[..., None]


def _band(rng: np.random.Generator, palette: Palette, band: int, columns: int) -> np.ndarray:
    """One band of knots, (band, columns, 3), with one motif repeated and mirrored."""
    colors = palette.choose(rng, 5)
    period = int(rng.choice([12, 16, 20, 28])) if band > 4 else int(rng.choice([4, 6, 8]))
    x, y = np.arange(columns)[None] + period // 3, np.arange(band)[:, None]
    u, v = np.abs(x % period - period // 2), np.abs(y - (band - 1) / 2)
    kind = int(rng.integers(0, 4))
    if band < 4:
        index = (x // (period // 2) + y) % 2
    elif kind == 0:  # diamonds within diamonds
        index = ((u + v) // rng.integers(2, 5)).astype(int)
    elif kind == 1:  # triangles
        index = np.where(u < band - y, (x // period) % 2 + 1 + ((band - y - u) > 5), 0)
    elif kind == 2:  # hooked diamonds
        index = np.where((u + v < band / 2) ^ ((np.abs(u - band / 4) < 2) & (v < band / 4)), 1 + (u + v < band / 5) * 2, 0)
    else:  # zigzag
        index = ((y + np.abs(x % period - period // 2)) // rng.integers(2, 4)).astype(int)
    return colors[np.broadcast_to(index, (band, columns)) % len(colors)]


def tapestry(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A woven picture: colors in steps, ribs of weft, threads of uneven dye."""
    palette, scene = compose(rng, height, width)
    unit = max(1, round(min(height, width) / 512 * rng.uniform(3, 5)))
    small = np.asarray(
        Image.fromarray((255 * scene.color).astype(np.uint8)).resize(
            (width // unit + 1, height // unit + 1), Image.Resampling.BOX
        )
    )
    threads = np.vstack([palette.colors, palette.accent[None], 0.5 * palette.colors[1:] + 0.5 * palette.colors[:-1]])
    color = small / 255 + 0.07 * stretched(rng, small.shape[0], small.shape[1], 1.0, 5.0)[..., None]
    index = np.argmin([((color - thread) ** 2).sum(-1) for thread in threads], 0)
    woven: np.ndarray = vary(rng, threads[index], 0.05, 0.02) * (1 + 0.07 * rng.normal(0, 1, (len(index), 1, 1)))
    woven = np.kron(woven, np.ones((unit, unit, 1)))[:height, :width]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    rib = 0.84 + 0.2 * np.abs(np.sin(np.pi * x / (2 * unit) + np.pi / 2 * ((y // unit) % 2)))
    return woven * (rib + 0.1 * stretched(rng, height, width, 1.3, 6))[..., None]


def cubist(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A motif broken into shards, each shifted a little and shaded from one edge."""
    palette, scene = compose(rng, height, width, str(rng.choice(["head", "table", "bouquet", "town", "shapes"])))
    unit = min(height, width)
    picture, label = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.int32)
    for number, shard in enumerate(_shards(rng, height, width, int(rng.integers(50, 110)))):
        mask = polygon_mask(height, width, shard)
        if mask.any():
            picture[mask] = _facet(rng, scene, mask, rng.normal(0, 0.018 * unit, 2))
            label[mask] = number
    brushed = noise(rng, height, width, 0.02, 3) + stretched(rng, height, width, 3, 24)
    return mix(blur(picture, 0.5) * (1 + 0.07 * brushed)[..., None], palette.dark, 0.55 * edges(label, 0.7 * unit / 512))


def _facet(rng: np.random.Generator, scene: Scene, mask: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Colors of the pixels of one shard, (N, 3): the motif seen ``shift`` aside, darker toward one side."""
    y, x = np.nonzero(mask)
    angle, far = rng.uniform(0, 2 * np.pi), np.sqrt(len(x))
    along = (x * np.cos(angle) + y * np.sin(angle)).astype(np.float32)
    along = (along - along.min()) / max(1.0, float(np.ptp(along)))
    points = np.stack([x, y], 1) + shift
    whole = saturate(sample(scene.color, points), 1.35)
    seen = 0.55 * whole + 0.45 * whole.mean(0)
    tone = rng.choice([0.65, 1.0, 1.05, 1.25])
    shaded = seen * (tone * (0.6 + 0.5 * along))[:, None]
    return shaded + (0.14 * along[:, None] ** 2) * (scene.palette.light - shaded) * float(far > 4)


def _shards(rng: np.random.Generator, height: int, width: int, count: int) -> list[Points]:
    """The picture cut by ``count`` - 1 straight cuts, each through one of the largest shards."""
    shards = [np.array([(0, 0), (width, 0), (width, height), (0, height)], float)]
    main = rng.uniform(0, np.pi, 3)
    while len(shards) < count:
        areas = [_area(shard) for shard in shards]
        largest = shards.pop(int(np.argmax(np.array(areas) * rng.uniform(0.3, 1, len(areas)))))
        weights = rng.dirichlet(np.ones(len(largest)) * 3)
        angle = rng.choice(main) + rng.normal(0, 0.22)
        normal = np.array((np.cos(angle), np.sin(angle)))
        side = (largest - weights @ largest) @ normal
        shards += [part for part in (_clip(largest, side), _clip(largest, -side)) if len(part) > 2]
    return shards


def _area(shape: Points) -> float:
    """Area of a polygon (the shoelace formula)."""
    x, y = shape.T
    return 0.5 * abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1)))


def _clip(shape: Points, side: np.ndarray) -> Points:
    """The part of a convex polygon whose corners have ``side`` >= 0 (Sutherland and Hodgman 1974)."""
    kept = []
    for here, there, a, b in zip(shape, np.roll(shape, -1, 0), side, np.roll(side, -1), strict=True):
        if a >= 0:
            kept.append(here)
        if (a >= 0) != (b >= 0):
            kept.append(here + (there - here) * a / (a - b))
    return np.array(kept)


def scales(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Overlapping scales with rings and ribs, edged in gold, in the colors of a motif."""
    palette, scene = compose(rng, height, width, str(rng.choice(["shapes", "hills", "sea", "bouquet"])))
    unit, rings = min(height, width), int(rng.integers(2, 5))
    pitch = unit * rng.uniform(0.05, 0.1)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u, v = x + 0.9 * pitch * noise(rng, height, width, 0.6), y + 0.05 * unit * noise(rng, height, width, 0.5)
    middle, far, turn = _scale_at(u, v, pitch)
    colors = saturate(sample(scene.color, middle), 1.2)
    other = palette.ramp((luminance(colors) + rng.choice([-0.3, 0.3])).clip(0, 1))
    feather = 1 + 0.12 * np.sin(turn * int(rng.integers(14, 30))) * (rng.random() < 0.6)
    picture = mix(colors, other, 0.6 * (np.floor(far * rings) % 2)) * ((0.62 + 0.5 * far) * feather)[..., None]
    gold = oklch(0.78, 0.13, rng.choice([0.22, 0.24, 0.08])) if rng.random() < 0.6 else palette.light
    line = smoothstep(far, 0.93, 0.965) + 0.6 * smoothstep(np.abs(far * rings % 1 - 0.5), 0.44, 0.5)
    glitter = gold * (0.75 + 0.35 * noise(rng, height, width, 0.012, 2))[..., None]
    return mix(picture, glitter, line.clip(0, 1)) * (1 + 0.05 * noise(rng, height, width, 0.02, 3))[..., None]


def _scale_at(u: np.ndarray, v: np.ndarray, pitch: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The scale in front at each place: its middle (H, W, 2), the distance from it (1: its edge) and the direction."""
    step = pitch * 0.5
    row = np.floor(v / step)
    middle, far = np.zeros((*u.shape, 2), np.float32), np.full(u.shape, 9.0, np.float32)
    for back in (2, 1, 0, -1):  # the upper rows lie in front of the lower ones
        at = row - 1 + back
        shift = (at % 2) * pitch * 0.5
        cx = np.round((u - shift) / pitch) * pitch + shift
        cy = at * step
        distance = np.hypot(u - cx, v - cy) / (0.5 * pitch * 1.16)
        inside = distance < 1
        far = np.where(inside, distance, far)
        middle = np.where(inside[..., None], np.stack([cx, cy], -1), middle)
    return middle, far.clip(0, 1), np.arctan2(v - middle[..., 1], u - middle[..., 0])


Motif = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]  # (generator, u, v) -> number of a color


def ornament(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A motif whose parts are filled with gold ornament: spirals, eyes, triangles, checks, waves."""
    palette, scene = compose(rng, height, width, str(rng.choice(["head", "hills", "shapes", "bouquet", "trees"])))
    unit = min(height, width)
    metal = oklch(rng.uniform(0.7, 0.8), rng.uniform(0.08, 0.13), rng.choice([0.22, 0.24, 0.26]))
    y, x = np.mgrid[:height, :width].astype(np.float32) / unit
    x, y = x + 0.012 * noise(rng, height, width, 0.15), y + 0.012 * noise(rng, height, width, 0.15)
    picture = scene.color.copy()
    for region in range(1, scene.masses + 1):
        mask = scene.region == region
        if mask.mean() > 0.004:
            picture[mask] = _filled(rng, palette, metal, scene.color[mask], x[mask], y[mask])
    leaf = noise(rng, height, width, 0.015, 3)
    picture = mix(blur(picture, 0.6), metal * 1.1, 0.75 * smoothstep(leaf, 0.85, 1.2))
    line = edges(scene.region, 1.4 * unit / 512)
    return mix(picture * (0.95 + 0.12 * leaf)[..., None], palette.dark, 0.85 * line)


def _filled(
    rng: np.random.Generator, palette: Palette, metal: np.ndarray, base: np.ndarray, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """One of ``ORNAMENTS`` at (x, y) of one mass, in its own colors ``base`` (N, 3), metal and three of the palette."""
    angle, size = rng.uniform(0, np.pi), rng.uniform(0.03, 0.09)
    u, v = (x * np.cos(angle) + y * np.sin(angle)) / size, (y * np.cos(angle) - x * np.sin(angle)) / size
    inks = [base, base * 0.55, 0.5 * base + 0.5 * metal, metal, *palette.choose(rng, 3)]
    near = np.stack([np.broadcast_to(ink, base.shape) for ink in inks])
    index = ORNAMENTS[rng.integers(0, len(ORNAMENTS))](rng, u, v).astype(int) % len(near)
    return near[index, np.arange(len(base))]


def _spirals(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A spiral in each square."""
    a, b = u % 2 - 1, v % 2 - 1
    turns = (np.hypot(a, b) * rng.uniform(2, 3.5) - np.arctan2(b, a) / (2 * np.pi)) % 1
    return np.where(np.hypot(a, b) < 0.95, np.where(turns < 0.4, 3, 0), 1)


def _eyes(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Almonds with a pupil, in rows."""
    row = np.floor(v)
    a, b = (u + 0.5 * (row % 2)) % 1 - 0.5, v % 1 - 0.5
    lens = np.abs(b) < 0.42 * np.cos(np.pi * a)
    return np.where(np.hypot(a, b) < 0.13, 5, np.where(np.hypot(a, b) < 0.24, 3, np.where(lens, 4, 0)))


def _triangles(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Triangles of mixed colors."""
    number = np.floor(u) * 7 + np.floor(v) * 13 + (u % 1 + v % 1 > 1) * 3
    return np.sin(number * 12.9898) * 43758.5453 % 1 * 6


def _checks(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Upright blocks of mixed colors with gaps."""
    column = np.floor(u * 2)
    row = np.floor(v + np.sin(column * 91.7) * 3)
    pick = np.sin(column * 12.9 + row * 78.2) * 43758.5 % 1 * 7
    gap = (u * 2 % 1 < 0.1) | ((v + np.sin(column * 91.7) * 3) % 1 < 0.08)
    return np.where(gap, 1, pick)


def _rings(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Rings within rings, in offset rows."""
    row = np.floor(v / 0.87)
    a, b = (u + 0.5 * (row % 2)) % 1 - 0.5, v % 0.87 - 0.43
    return np.where(np.hypot(a, b) < 0.46, 2 + np.floor(np.hypot(a, b) * rng.uniform(6, 11)), 0)


def _waves(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Wavy bands."""
    return np.floor((v + 0.35 * np.sin(u * rng.uniform(1.5, 3.5))) * 3) % 4


ORNAMENTS: tuple[Motif, ...] = (_spirals, _eyes, _triangles, _checks, _rings, _waves)


def discs(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Discs of colored rings, their quarters in different colors, each fading along its arc."""
    palette = random_palette(rng)
    unit = min(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32) / unit
    picture = palette.ramp(0.3 + 0.6 * (x * rng.uniform(-0.5, 0.5) + y * 0.5))
    for radius in np.sort(rng.uniform(0.1, 0.55, int(rng.integers(8, 14))))[::-1]:
        dx, dy = x - rng.uniform(0, width / unit), y - rng.uniform(0, 1)
        far, turn = np.hypot(dx, dy) / radius, np.arctan2(dy, dx) / (2 * np.pi) + rng.random()
        rings, parts = int(rng.integers(3, 7)), int(rng.choice([2, 4, 4, 8]))
        ring, part = np.floor(far * rings).clip(0, rings - 1).astype(int), np.floor(turn * parts).astype(int) % parts
        colors = palette.choose(rng, rings * parts)
        shade = 0.86 + 0.24 * (turn * parts % 1)
        painted = colors[ring * parts + part] * shade[..., None]
        picture = mix(picture, painted, smoothstep(far, 1 + 1.2 / (radius * unit), 1 - 1.2 / (radius * unit)))
    picture = blur(picture, 0.6)
    brushed = noise(rng, height, width, 0.015, 3) + 0.5 * noise(rng, height, width, 0.15, 2)
    return picture * (1 + 0.08 * brushed)[..., None]


def dot_painting(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Rings of dots around watering places, on earth colors."""
    palette = random_palette(rng, str(rng.choice(["earth", "complementary", "split", "triadic", "analogous"])))
    unit, scale = min(height, width), 2
    centers = rng.uniform((0, 0), (width, height), (int(rng.integers(6, 14)), 2))
    ground = palette.ramp(0.12 + 0.25 * noise(rng, height, width, 0.4, 2).clip(-0.4, 1))
    image = Image.fromarray((255 * ground).clip(0, 255).astype(np.uint8)).resize((scale * width, scale * height))
    draw, pitch = ImageDraw.Draw(image), unit * rng.uniform(0.014, 0.021)
    for number, center in enumerate(centers):
        colors = palette.choose(rng, 6)
        for ring in range(1, int(0.7 * np.hypot(height, width) / pitch)):
            points, kept = _ring(rng, center, ring * pitch, pitch, centers, number)
            _dots(draw, points[kept] * scale, colors[(ring // 1) % 6] if ring % 5 else palette.light, 0.4 * pitch * scale)
    painted = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS), np.float32) / 255
    bump = relief(blur(luminance(np.abs(painted - ground)), 1.0), 0.7)
    return painted * (1 + bump)[..., None]


def _ring(
    rng: np.random.Generator, center: np.ndarray, radius: float, pitch: float, centers: Points, number: int
) -> tuple[Points, np.ndarray]:
    """Points on a ring, and which of them lie nearer to this center than to the others."""
    count = max(5, int(2 * np.pi * radius / pitch))
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(0, 6)
    points = center + radius * np.stack([np.cos(turn), np.sin(turn)], 1) + rng.normal(0, 0.05 * pitch, (count, 2))
    distances = np.hypot(*np.moveaxis(points[:, None] - centers[None], -1, 0))
    return points, distances.argmin(1) == number


def _dots(draw: ImageDraw.ImageDraw, points: Points, color: np.ndarray, radius: float) -> None:
    """Discs of one color."""
    tone = tuple((255 * color).astype(int).tolist())
    for x, y in points.tolist():
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tone)


def windows(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A town of rectangles within rectangles: flat, fading, barred or with lit windows, between uneven dark lines."""
    palette, scene = compose(rng, height, width)
    warp = 0.012 * min(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + warp * noise(rng, height, width, 0.4), y + warp * noise(rng, height, width, 0.4)
    label, flat = np.zeros((height, width), np.int32), np.zeros((height, width, 3), np.float32)
    for number, box in enumerate(_rectangles(rng, height, width, int(rng.integers(35, 90)))):
        inside = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
        label[inside] = number + 1
        u, v = (x[inside] - box[0]) / (box[2] - box[0]), (y[inside] - box[1]) / (box[3] - box[1])
        middle = sample(scene.color, np.array(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)))
        flat[inside] = _pane(rng, palette, middle, u, v, box)
    line = edges(label, rng.uniform(0.8, 2.6) * min(height, width) / 512)
    brushed = 1 + 0.07 * noise(rng, height, width, 0.02, 3) + 0.06 * noise(rng, height, width, 0.2, 2)
    return mix(flat * brushed[..., None], palette.dark, line)


def _rectangles(rng: np.random.Generator, height: int, width: int, count: int) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of the parts of the picture, split ``count`` - 1 times across the longer side."""
    boxes = [(-99.0, -99.0, width + 99.0, height + 99.0)]
    while len(boxes) < count:
        areas = np.array([(box[2] - box[0]) * (box[3] - box[1]) for box in boxes])
        left, top, right, bottom = boxes.pop(int(np.argmax(areas * rng.uniform(0.15, 1, len(areas)))))
        cut = rng.uniform(0.28, 0.72)
        if (right - left) * rng.uniform(0.7, 1.4) > bottom - top:
            middle = left + cut * (right - left)
            boxes += [(left, top, middle, bottom), (middle, top, right, bottom)]
        else:
            middle = top + cut * (bottom - top)
            boxes += [(left, top, right, middle), (left, middle, right, bottom)]
    return boxes


def _pane(
    rng: np.random.Generator, palette: Palette, color: np.ndarray, u: np.ndarray, v: np.ndarray, box: tuple[float, ...]
) -> np.ndarray:
    """Colors of one rectangle at (u, v) in [0, 1]."""
    kind, other = int(rng.integers(0, 7)), palette.choose(rng, 2)
    color = vary(rng, saturate(color, 1.3)[None], 0.12, 0.05)[0]
    if kind < 3:  # flat or fading
        share = np.zeros_like(u) if kind == 0 else (u, v)[kind - 1]
        return mix(color, 0.6 * color + 0.4 * other[0], share)
    if kind == 3:  # bars
        return mix(color, other[0], (u * rng.integers(2, 7) % 1 < 0.4).astype(np.float32))
    if kind == 4:  # lit windows
        lit = (u * rng.integers(2, 5) % 1 < 0.55) & (v * rng.integers(2, 5) % 1 < 0.6)
        return mix(color, other[1], lit.astype(np.float32))
    if kind == 5:  # an arch or a disc
        across = (box[2] - box[0]) / max(1.0, box[3] - box[1])
        return mix(color, other[0], smoothstep(np.hypot((u - 0.5) * across, v - 0.5), 0.42, 0.40))
    return mix(color, other[0], (u + v > 1).astype(np.float32))


PIECES = {
    "stained_glass": stained_glass,
    "mosaic": mosaic,
    "tiles": tiles,
    "marbling": marbling,
    "paper_cut": paper_cut,
    "cutouts": cutouts,
    "tartan": tartan,
    "kilim": kilim,
    "tapestry": tapestry,
    "cubist": cubist,
    "scales": scales,
    "ornament": ornament,
    "discs": discs,
    "dot_painting": dot_painting,
    "windows": windows,
}
