"""Drawn styles of wet and dry paint: oil, knife, watercolor, ink, pastel, pencil, dots, drips."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from fast_nst.imaging.drawing.brushes import Canvas, make_brush, places, saturate, vary, where_coarse
from fast_nst.imaging.drawing.fields import (
    blob,
    blur,
    cuts,
    edges,
    flow_smear,
    grid,
    mix,
    noise,
    polygon_mask,
    relief,
    resize,
    sample,
    smoothstep,
    voronoi,
)
from fast_nst.imaging.drawing.palettes import Palette, luminance, oklch, random_palette
from fast_nst.imaging.drawing.scenes import Scene, compose, draw_scene


def impasto(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Thick oil strokes along the forms, lit from the side: broad ones first, fine ones where the motif needs them."""
    palette, scene = compose(rng, height, width, flow=1.0)
    unit, target = min(height, width) / 512, saturate(scene.color, 1.1)
    canvas = Canvas(np.broadcast_to(palette.ramp(rng.uniform(0.1, 0.6)), target.shape))
    thick = rng.uniform(0.8, 1.4)
    for breadth, cover, share in ((20, 0.62, 1.0), (12, 0.7, 0.8), (7, 0.75, 0.45)):
        size = max(3.0, breadth * thick * unit)
        brush = make_brush(rng, size * rng.uniform(2.6, 4), size, 0.12, 0.35)
        points = where_coarse(canvas, target, places(rng, height, width, size * cover * 1.35), share)
        colors = vary(rng, sample(target, points), 0.1, 0.035)
        canvas.lay(rng, brush, points, sample(scene.angle, points) + rng.normal(0, 0.15, len(points)), colors, 0.95, 0.22)
    return canvas.lit(rng.uniform(0.25, 0.5))


def dry_brush(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Few broad strokes of a nearly dry brush, whose hairs leave the ground bare between them."""
    palette, scene = compose(rng, height, width)
    unit = min(height, width) / 512
    ground = palette.light if rng.random() < 0.6 else palette.dark
    tooth = 0.72 + 0.28 * smoothstep(noise(rng, height, width, 0.006, 2), -0.5, 0.3)
    canvas = Canvas(ground + 0.03 * noise(rng, height, width, 0.01, 2)[..., None])
    for breadth, share in ((64, 1.0), (36, 0.7), (17, 0.3)):
        size = max(4.0, breadth * rng.uniform(0.8, 1.2) * unit)
        brush = make_brush(rng, size * rng.uniform(2.5, 3.6), size, rng.uniform(0.5, 0.6), 0.5, 0.15, 2.2 * unit)
        points = where_coarse(canvas, scene.color, places(rng, height, width, size * 0.85), share)
        colors = vary(rng, saturate(sample(scene.color, points), 1.15), 0.1, 0.04)
        canvas.lay(
            rng, brush, points, sample(scene.angle, points) + rng.normal(0, 0.2, len(points)), colors, 0.95, 0.1, tooth
        )
    return canvas.color


def palette_knife(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Slabs of paint spread with a knife: flat in the middle, ridges at their sides, colors half mixed."""
    palette, scene = compose(rng, height, width, flow=0.4)
    unit, target = min(height, width) / 512, saturate(scene.color, 1.2)
    canvas = Canvas(np.broadcast_to(palette.dark, target.shape))
    lean = rng.uniform(0, np.pi)
    for breadth, share in ((76, 1.0), (44, 0.85), (22, 0.4)):
        size = max(4.0, breadth * rng.uniform(0.85, 1.2) * unit)
        brush = make_brush(rng, size * rng.uniform(1.5, 2.3), size, 0.06, 0.16, 0.04, 6 * unit)
        points = where_coarse(canvas, target, places(rng, height, width, size * 0.7), share)
        colors = vary(rng, sample(target, points), 0.13, 0.05)
        turn = (
            0.5 * sample(scene.angle, points)
            + lean
            + rng.choice([0, 0.5, 1.2], len(points)) * rng.normal(1, 0.3, len(points))
        )
        canvas.lay(rng, brush, points, turn, colors, 1.0, 0.2)
    return canvas.lit(0.55, 0.9)


def watercolor(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Washes that dry darker at their edges, bleed into each other and bloom, on grainy paper."""
    palette, scene = compose(
        rng, height, width, scheme=str(rng.choice(["split", "analogous", "complementary", "pastel", "triadic"]))
    )
    unit = min(height, width)
    grain = noise(rng, height, width, 0.006, 2)
    paper = 0.965 + 0.02 * grain[..., None] + np.array((0.0, -0.01, -0.035), np.float32)
    picture = paper
    for size, strength in ((0.12, 0.5), (0.05, 0.55)):
        shift = unit * size * 0.22 * np.stack([noise(rng, height, width, size, 4) for _ in range(2)], -1)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        at = np.stack([x + shift[..., 0], y + shift[..., 1]], -1)
        picture = picture * _wash(rng, sample(scene.color, at), sample(scene.region, at), grain, strength)
    return picture * _splatter(rng, palette, height, width)


def _wash(rng: np.random.Generator, color: np.ndarray, region: np.ndarray, grain: np.ndarray, strength: float) -> np.ndarray:
    """Transmittance of a wash, (H, W, 3)."""
    height, width = region.shape
    unit = min(height, width) / 512
    bled = mix(color, blur(color, 10 * unit), smoothstep(noise(rng, height, width, 0.15, 2), -0.1, 0.5))
    rim = edges(region, 1.2 * unit) * 0.9 + blur(edges(region, 1.5 * unit), 4 * unit) * 0.5
    bloom = noise(rng, height, width, 0.18, 4)
    tide = smoothstep(np.abs(bloom - 0.25), 0.07, 0.0) * smoothstep(noise(rng, height, width, 0.3), -0.1, 0.4)
    density = strength * (0.9 + 0.55 * noise(rng, height, width, 0.3, 3) - 0.4 * smoothstep(bloom, 0.25, 0.8) + 0.2 * grain)
    density = (density + 0.45 * rim + 0.3 * tide).clip(0, 1.6)
    return np.maximum(saturate(bled, 1.35), 0.03) ** density[..., None]


def _splatter(rng: np.random.Generator, palette: Palette, height: int, width: int) -> np.ndarray:
    """Drops of thin paint as a factor, (H, W, 3)."""
    unit, result = min(height, width), np.ones((height, width, 3), np.float32)
    for color in palette.choose(rng, 3):
        image = Image.new("L", (width, height))
        draw = ImageDraw.Draw(image)
        middle = rng.uniform(0, 1, 2) * (width, height)
        for x, y in middle + rng.normal(0, 0.16 * unit, (int(rng.integers(12, 40)), 2)):
            radius = unit * rng.exponential(0.0022) + 0.6
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        spot = blur(np.asarray(image, np.float32) / 255, 0.7)
        result = result * mix(np.ones(3, np.float32), color, 0.6 * spot)
    return result


def pointillism(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Dots of pure colors, lighter, darker and complementary ones among each other, that mix in the eye."""
    palette, scene = compose(rng, height, width)
    unit, target = min(height, width) / 512, saturate(scene.color, 1.3)
    canvas = Canvas(0.5 * target + 0.5 * palette.ramp(rng.uniform(0.5, 0.9)))
    base = rng.uniform(5.5, 9.5) * unit
    for scale, opacity in ((1.35, 0.9), (1.0, 0.95), (0.75, 0.95)):
        size = max(2.0, base * scale)
        brush = make_brush(rng, size * rng.uniform(1.0, 1.4), size, 0.0, 0.25, 0.0)
        points = places(rng, height, width, size * 0.98)
        colors = vary(rng, sample(target, points + rng.normal(0, 0.5 * size, points.shape)), 0.13, 0.09)
        foreign = rng.random(len(points)) < 0.14
        colors[foreign] = vary(rng, 0.35 * colors[foreign] + 0.65 * palette.choose(rng, int(foreign.sum())), 0.1, 0.03)
        canvas.lay(rng, brush, points, sample(scene.angle, points), colors, opacity, 0.08)
    return canvas.lit(0.12)


def pastel(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Chalk on dark paper, whose grain shows through the strokes."""
    palette, scene = compose(rng, height, width)
    unit, target = min(height, width) / 512, (scene.color * 0.9 + 0.1).clip(0, 1)
    grain = noise(rng, height, width, 0.005, 2)
    paper = palette.dark * 0.8 + 0.02 * grain[..., None] + rng.uniform(0, 0.05)
    canvas = Canvas(paper)
    for length, breadth, share, press in ((70, 19, 0.9, 0.2), (46, 12, 0.75, 0.5), (30, 6, 0.5, 0.8)):
        local = 0.6 * grain + 0.6 * noise(rng, height, width, 0.007)
        tooth = 0.12 + 0.88 * smoothstep(local, -0.45 - press, 0.55 - press)
        size = max(3.0, breadth * unit)
        brush = make_brush(rng, length * unit * rng.uniform(0.8, 1.3), size, 0.25, 0.3, 0.2)
        points = where_coarse(canvas, target, places(rng, height, width, size * 1.15), share)
        colors = vary(rng, saturate(sample(target, points), 1.3) * 1.08, 0.12, 0.05)
        canvas.lay(
            rng, brush, points, sample(scene.angle, points) + rng.normal(0, 0.12, len(points)), colors, 0.85, 0.1, tooth
        )
    return canvas.color


def pencil(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Colored pencils on white paper: thin parallel strokes, layer over layer."""
    _, scene = compose(rng, height, width, flow=0.5)
    unit = min(height, width) / 512
    grain = noise(rng, height, width, 0.004, 2)
    tooth, canvas = (
        0.4 + 0.6 * smoothstep(grain, -0.7, 0.4),
        Canvas(0.96 + 0.012 * grain[..., None] * np.ones(3, np.float32)),
    )
    lean = rng.uniform(0, np.pi)
    for turn, breadth, pitch in ((0.0, 6.5, 9.0), (0.5, 4.0, 9.0), (-0.35, 2.6, 9.0)):
        brush = make_brush(rng, rng.uniform(34, 52) * unit, max(1.6, breadth * unit), 0.1, 0.4, 0.08)
        points = where_coarse(canvas, scene.color, places(rng, height, width, max(2.0, pitch * unit)), 0.85)
        colors = vary(rng, saturate(sample(scene.color, points), 1.35) * 0.92, 0.12, 0.06)
        angles = 0.45 * sample(scene.angle, points) + lean + turn + rng.normal(0, 0.08, len(points))
        canvas.lay(rng, brush, points, angles, colors, 0.75, 0.1, tooth)
    line = edges(scene.region, 0.9 * unit) * smoothstep(noise(rng, height, width, 0.06, 2), -0.7, 0.1) * tooth
    return mix(canvas.color, scene.palette.dark, 0.75 * line)


def night(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A sky of whirls and lights in long curved strokes over dark hills."""
    palette, scene = compose(rng, height, width, str(rng.choice(["hills", "sea"])))
    angle, glow = _whirls(rng, scene, height, width)
    tone = 0.28 * luminance(scene.color) + 0.08 + 0.95 * glow + 0.13 * np.sin(26 * noise(rng, height, width, 0.6))
    target = mix(
        palette.ramp(tone.clip(0, 1)), palette.accent, 0.6 * smoothstep(glow, 0.2, 0.4) * smoothstep(glow, 0.9, 0.5)
    )
    sky = smoothstep(blur((scene.region < 4).astype(np.float32), 3), 0.3, 0.6)
    target, unit = mix(scene.color * 0.8, target, 0.35 + 0.65 * sky), min(height, width) / 512
    canvas = Canvas(target * 0.6)
    for breadth, share in ((12, 1.0), (8, 0.9), (6, 0.5)):
        size = max(2.5, breadth * unit * rng.uniform(0.9, 1.3))
        brush = make_brush(rng, size * 5, size, 0.12, 0.4, 0.2)
        points = where_coarse(canvas, target, places(rng, height, width, size * 1.3), share)
        canvas.lay(rng, brush, points, sample(angle, points), vary(rng, sample(target, points), 0.17, 0.05), 0.95, 0.2)
    return canvas.lit(0.3)


def _whirls(rng: np.random.Generator, scene: Scene, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions that turn around some centers in the upper part, and the centers' glow, rings included."""
    x, y = grid(height, width)
    flow = np.exp(1j * (0.6 * noise(rng, height, width, 0.5) + 0.5 * scene.angle)) * 0.3
    glow = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(5, 10))):
        center = rng.uniform((0.05, 0.03), (width / min(height, width) - 0.05, 0.6))
        radius, turn = rng.uniform(0.06, 0.17), rng.choice([-1, 1])
        dx, dy = x - center[0], y - center[1]
        far = np.hypot(dx, dy) / radius + 1e-4
        flow = flow + turn * np.exp(-0.35 * far**2) * (1j * (dx + 1j * dy)) / (far * radius)
        glow += 0.8 * np.exp(-((far / 0.5) ** 2)) + 0.3 * np.exp(-(((far - 1.15) / 0.22) ** 2))
    return np.angle(flow).astype(np.float32), glow


def swirl_lines(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Long wavy lines of pure color that run through sky, water and figures alike."""
    palette, scene = compose(rng, height, width, flow=1.2)
    unit = min(height, width) / 512
    angle = scene.angle + 0.9 * np.sin(3 * noise(rng, height, width, 0.7))
    lines = flow_smear(rng.standard_normal((height, width)).astype(np.float32), angle, 90 * unit, 1.5)
    lines = blur(lines, rng.uniform(0.8, 1.6) * unit)
    lines = lines / lines.std()
    tone = luminance(scene.color) + 0.17 * np.round(1.1 * lines.clip(-2, 2)) + 0.03 * lines
    color = 0.5 * saturate(scene.color, 1.5) + 0.5 * palette.ramp(tone.clip(0, 1))
    color = mix(color, palette.accent, 0.55 * smoothstep(lines, 1.35, 1.7))
    color = mix(color, palette.dark, 0.7 * smoothstep(lines, -1.4, -1.8) + 0.6 * edges(scene.region, 1.6 * unit))
    return color * (1 + 0.05 * lines[..., None])


def drips(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Paint flung and poured in loops and drops, layer over layer."""
    palette, scene = compose(rng, height, width, "shapes")
    ground = palette.light if rng.random() < 0.6 else palette.dark
    image = Image.fromarray((255 * mix(scene.color, ground, 0.75 + 0 * scene.light)).clip(0, 255).astype(np.uint8))
    image = image.resize((2 * width, 2 * height))
    draw = ImageDraw.Draw(image)
    for color in palette.choose(rng, int(rng.integers(8, 13))):
        tone = tuple((255 * color).astype(int).tolist())
        for _ in range(int(rng.integers(5, 10))):
            _pour(draw, rng, tone, 2 * width, 2 * height)
    painted = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS), np.float32) / 255
    bumps = blur(luminance(np.abs(painted - blur(painted, 2.5))), 1.0)
    return painted * (1 + np.gradient(bumps)[0][..., None] * 3 + 0.03 * noise(rng, height, width, 0.006)[..., None])


def _pour(draw: ImageDraw.ImageDraw, rng: np.random.Generator, tone: tuple[int, ...], width: int, height: int) -> None:
    """One thrown line: it swings, thins where it is fast, and sheds drops."""
    unit, count = min(height, width), 220
    turn = np.cumsum(0.22 * noise(rng, 1, count, rng.uniform(8, 30))[0] + rng.normal(0, 0.05, count)) + rng.uniform(0, 6.3)
    pace = np.abs(0.010 + 0.008 * np.sin(np.linspace(0, rng.uniform(6, 30), count)))
    step = unit * pace[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
    path = rng.uniform(-0.1, 1.1, 2) * (width, height) + np.cumsum(step, 0)
    thick = unit * rng.uniform(0.002, 0.012) * (0.005 / (pace + 0.003))
    for (x, y), (u, v), size in zip(path[:-1].tolist(), path[1:].tolist(), thick.tolist(), strict=False):
        draw.line((x, y, u, v), fill=tone, width=max(1, round(2 * size)))
        draw.ellipse((x - size, y - size, x + size, y + size), fill=tone)
    for x, y in (path[rng.integers(0, count, 60)] + rng.normal(0, 0.03 * unit, (60, 2))).tolist():
        size = unit * rng.exponential(0.0022)
        draw.ellipse((x - size, y - size, x + size, y + size * 1.2), fill=tone)


def ink_wash(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Ranges in the mist, bamboo or a branch before them, a seal: diluted ink on warm paper."""
    hue = rng.uniform(0, 1)
    ink = oklch(rng.uniform(0.15, 0.3), rng.uniform(0.0, 0.09), hue)
    tinge = oklch(rng.uniform(0.45, 0.7), rng.uniform(0.05, 0.16), hue + rng.uniform(0.2, 0.6))
    paper = oklch(rng.uniform(0.9, 0.97), rng.uniform(0.01, 0.05), rng.uniform(0.1, 0.3))
    fiber = noise(rng, height, width, 0.008, 2)
    density, color = _ranges(rng, height, width)
    density = density * (1 + 0.25 * noise(rng, height, width, 0.02, 3)) + 0.02 * fiber
    picture = paper * np.exp(-density.clip(0, 3)[..., None] * -np.log(mix(ink, tinge, color).clip(0.03, 0.97)))
    strokes = _bamboo(rng, height, width)
    picture = picture * np.exp(-strokes[..., None] * -np.log(ink.clip(0.02, 0.97)))
    return _seal(rng, picture, height, width) + 0.012 * fiber[..., None]


def _ranges(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Density of ink of four ranges that fade downward, and where it is tinged."""
    x, y = grid(height, width)
    density: np.ndarray = np.zeros((height, width), np.float32)
    tinged: np.ndarray = np.zeros((height, width), np.float32)
    for depth in range(4):
        rough = sum(rng.normal(0, 1) / k * np.sin(2.5 * k * x + rng.uniform(0, 6)) for k in (1, 2, 3, 5, 9, 17))
        crest = 0.2 + 0.2 * depth + 0.11 * rough + 0.01 * noise(rng, height, width, 0.02, 2)
        below = y - crest
        inside = smoothstep(below, 0, 0.008 + 0.01 * (3 - depth))
        fade = np.exp(-below.clip(0, 9) / (0.05 + 0.05 * depth)) + 0.5 * np.exp(-(below.clip(0, 9) / 0.012))
        density = density * (1 - 0.75 * inside) + inside * fade * (0.25 + 0.33 * depth)
        tinged = tinged * (1 - inside) + inside * float(rng.random() < 0.4)
    folds = smoothstep(noise(rng, height, width, 0.05, 4), 0.1, 0.7)
    return density * (0.75 + 0.8 * folds), blur(tinged, 3)


def _bamboo(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Stalks of brushed joints and pointed leaves: density of ink."""
    unit, image = min(height, width), np.zeros((height, width), np.float32)
    side = rng.uniform(0, 0.25) if rng.random() < 0.5 else rng.uniform(0.75, 1.0)
    for _ in range(int(rng.integers(2, 4))):
        foot = np.array((width * (side + rng.normal(0, 0.06)), height * 1.05))
        lean, half, strength = rng.normal(0, 0.1), unit * rng.uniform(0.008, 0.018), rng.uniform(0.4, 1.3)
        for _ in range(8):
            tip = foot + unit * rng.uniform(0.12, 0.2) * np.array((np.sin(lean), -np.cos(lean)))
            normal = half * np.array((np.cos(lean), np.sin(lean)))
            joint = np.array(
                [foot - normal, foot - 0.85 * normal * 0.8 + (tip - foot) * 0.5, tip - normal, tip + normal, foot + normal]
            )
            image = np.maximum(image, strength * polygon_mask(height, width, joint, 2))
            if rng.random() < 0.75:
                image = _leaves(rng, image, tip, unit, strength * rng.uniform(0.5, 1.6))
            foot, lean = tip + 0.006 * unit * np.array((np.sin(lean), -np.cos(lean))), lean + rng.normal(0, 0.05)
    streaks = flow_smear(noise(rng, height, width, 0.004), np.full((height, width), 1.5, np.float32), 30)
    return blur(image, 0.7) * (0.9 + 1.2 * streaks)


def _leaves(rng: np.random.Generator, image: np.ndarray, tip: np.ndarray, unit: float, strength: float) -> np.ndarray:
    """A spray of three to six leaves hanging from ``tip``."""
    height, width = image.shape
    spread = rng.uniform(0.4, 2.7)
    for _ in range(int(rng.integers(3, 7))):
        turn, length = spread + rng.normal(0, 0.5), unit * rng.uniform(0.09, 0.2)
        along = np.linspace(0, 1, 12)
        side = 0.09 * length * np.sin(np.pi * along**0.7)
        direction, normal = np.array((np.cos(turn), np.sin(turn))), np.array((-np.sin(turn), np.cos(turn)))
        spine = tip + length * along[:, None] * direction + 0.06 * length * (along**2)[:, None] * normal
        outline = np.vstack([spine + side[:, None] * normal, (spine - side[:, None] * normal)[::-1]])
        image = np.maximum(image, strength * polygon_mask(height, width, outline, 2))
    return image


def _seal(rng: np.random.Generator, picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """``picture`` with a red sun or a red stamp, or both."""
    unit = min(height, width)
    red = oklch(rng.uniform(0.5, 0.62), 0.2, rng.uniform(0.05, 0.1))
    sun = blob(rng, width * rng.uniform(0.2, 0.8), height * rng.uniform(0.12, 0.3), unit * rng.uniform(0.05, 0.09), 0.01)
    share = polygon_mask(height, width, sun, 2) * (0.8 + 0.3 * noise(rng, height, width, 0.05, 3)) * (rng.random() < 0.7)
    size, x, y = unit * 0.045, width * rng.uniform(0.05, 0.9), height * rng.uniform(0.8, 0.9)
    square = np.array([(0, 0), (1, 0.03), (0.97, 1), (0.02, 0.98)]) * size + (x, y)
    glyph = smoothstep(
        np.abs(resize(rng.standard_normal((7, 7)).astype(np.float32), height // 9 + 1, width // 9 + 1)), 0.1, 0.3
    )
    stamp = polygon_mask(height, width, square, 2)
    stamp *= np.tile(glyph, (10, 10))[:height, :width]
    return mix(picture, picture * 0.25 + 0.75 * red, share.clip(0, 1) * 0.85) * mix(np.ones(3, np.float32), red, stamp)


def fauve(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Unmixed colors in broad flat strokes between heavy brushed outlines, the ground bare at places."""
    palette = random_palette(rng, str(rng.choice(["triadic", "complementary", "split", "neon"])))
    scene = draw_scene(rng, palette, height, width, flow=0.8)
    unit, target = min(height, width) / 512, saturate(scene.color, 1.6)
    canvas = Canvas(np.broadcast_to(0.9 * palette.light, target.shape))
    colors = palette.choose(rng, scene.masses + 1)
    target = 0.6 * target + 0.4 * colors[scene.region]
    for breadth, cover, share in ((34, 0.8, 1.0), (20, 0.85, 0.7), (11, 1.0, 0.4)):
        size = max(3.0, breadth * unit)
        brush = make_brush(rng, size * 2.6, size, 0.3, 0.35, 0.15, 2.0 * unit)
        points = where_coarse(canvas, target, places(rng, height, width, size * cover), share)
        paints = vary(rng, sample(target, points), 0.09, 0.05)
        canvas.lay(rng, brush, points, sample(scene.angle, points) + rng.normal(0, 0.2, len(points)), paints, 0.95, 0.12)
    ragged = 1.6 * noise(rng, height, width, 0.04, 3)
    line = smoothstep(blur(edges(scene.region, 2.6 * unit), 1.5 * unit) + 0.16 * ragged, 0.35, 0.55)
    return mix(canvas.lit(0.15), 0.75 * palette.dark, 0.93 * line)


def scratched(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Bright colors scratched free from under a black layer, along the forms."""
    palette, scene = compose(rng, height, width, flow=1.1)
    unit = min(height, width) / 512
    under = saturate(0.5 * scene.color + 0.5 * palette.ramp(0.55 + 0.5 * noise(rng, height, width, 0.3)), 1.6) * 1.15
    tone = luminance(scene.color)
    tone = (tone - tone.min()) / max(1e-6, float(np.ptp(tone)))
    amount = np.zeros((height, width), np.float32)
    for turn, breadth in ((0.0, 2.6), (rng.choice([0.5, 1.2]), 1.7)):
        lines = cuts(rng, scene.angle + turn, 60 * unit, breadth * unit)
        amount = np.maximum(amount, smoothstep(lines + 2.6 * (tone - 0.62), 0.1, 0.5))
    amount = amount * (1 - edges(scene.region, 1.3 * unit))
    wax = 0.6 * palette.dark * (1 + 0.2 * noise(rng, height, width, 0.01, 3))[..., None]
    return mix(wax, under, amount)


def fresco(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Old paint on plaster: worn, stained, fallen off at places, with a net of cracks."""
    palette, scene = compose(
        rng, height, width, scheme=str(rng.choice(["earth", "pastel", "complementary", "split", "mono"]))
    )
    unit = min(height, width) / 512
    plaster = oklch(rng.uniform(0.78, 0.9), rng.uniform(0.02, 0.05), rng.uniform(0.14, 0.25))
    plaster = plaster * (1 + 0.10 * noise(rng, height, width, 0.2, 5))[..., None]
    streaks = flow_smear(noise(rng, height, width, 0.006), scene.angle, 24 * unit)
    painted = (0.85 * scene.color + 0.12) * (1 + 0.16 * noise(rng, height, width, 0.12, 5) + 0.5 * streaks)[..., None]
    painted = mix(painted, 0.7 * palette.dark, 0.8 * edges(scene.region, 1.2 * unit) * smoothstep(streaks, -0.35, -0.1))
    loss = noise(rng, height, width, 0.22, 6)
    kept = smoothstep(loss, 0.92, 0.86)
    rim = relief(blur(kept, 1.0), 0.45)
    worn = 0.6 * smoothstep(noise(rng, height, width, 0.03, 5), -0.3, -0.9)
    warp = 18 * unit * np.stack([noise(rng, height, width, 0.08, 4) for _ in range(2)], -1)
    border = voronoi(rng, height, width, rng.uniform(0.06, 0.13), 1.0, warp).border
    cracks = smoothstep(border, 1.0 * unit + 0.5, 0.2) * smoothstep(noise(rng, height, width, 0.25, 2), -0.2, 0.3)
    picture = mix(plaster, mix(painted, plaster, worn), kept) + rim[..., None]
    return picture * (1 - 0.5 * cracks)[..., None]


def rays(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Beams and splinters of light that shoot through the motif in straight strokes from a few points."""
    palette, scene = compose(rng, height, width)
    unit, target = min(height, width) / 512, saturate(scene.color, 1.5)
    canvas, count = Canvas(target * 0.8), int(rng.integers(2, 5))
    sources = rng.uniform(-0.15, 1.15, (count, 2)) * (width, height)
    for breadth, share in ((16, 1.0), (9, 0.8), (4.5, 0.6)):
        size = max(2.0, breadth * unit)
        brush = make_brush(rng, size * 3 + 60 * unit, size, 0.1, 0.6, 0.0)
        points = places(rng, height, width, size * 1.9)
        points = points[: int(share * len(points))]
        away = points - sources[rng.integers(0, count, len(points))]
        paints = vary(rng, 0.75 * sample(target, points) + 0.25 * palette.choose(rng, len(points)), 0.2, 0.05)
        canvas.lay(rng, brush, points, np.arctan2(away[:, 1], away[:, 0]), paints, 0.85, 0.15)
    return canvas.lit(0.2)


def embroidery(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Silk stitches side by side on linen, in rows that follow the forms, shining along their directions."""
    palette, scene = compose(rng, height, width, str(rng.choice(["bouquet", "hills", "trees", "sea", "shapes"])), flow=0.9)
    unit = min(height, width) / 512
    y, x = np.mgrid[:height, :width].astype(np.float32)
    weave = 0.5 + 0.25 * np.sin(2 * np.pi * x / max(2.5, 3 * unit)) + 0.25 * np.sin(2 * np.pi * y / max(2.5, 3 * unit))
    linen = palette.ramp(rng.choice([0.1, 0.9])) * (0.8 + 0.2 * weave)[..., None]
    canvas, sheen = Canvas(linen), rng.uniform(0, np.pi)
    stitched = scene.region > (1 if rng.random() < 0.6 else 0)
    for breadth, length in ((4.6, 26), (3.6, 20)):
        size = max(2.2, breadth * unit)
        brush = make_brush(rng, max(7.0, length * unit * rng.uniform(0.8, 1.3)), size, 0.0, 0.12, 0.03)
        points = places(rng, height, width, size * 1.9)
        points = points[sample(stitched, points)]
        angles = sample(scene.angle, points) + rng.normal(0, 0.05, len(points))
        shine = 1 + 0.16 * np.cos(2 * (angles - sheen))[:, None]
        colors = vary(rng, saturate(sample(scene.color, points), 1.3) * shine, 0.06, 0.02)
        canvas.lay(rng, brush, points, angles, colors, 1.0, 0.16)
    return canvas.lit(0.6, 0.5)


PAINTED = {
    "impasto": impasto,
    "dry_brush": dry_brush,
    "palette_knife": palette_knife,
    "watercolor": watercolor,
    "pointillism": pointillism,
    "pastel": pastel,
    "pencil": pencil,
    "night": night,
    "swirl_lines": swirl_lines,
    "drips": drips,
    "ink_wash": ink_wash,
    "fauve": fauve,
    "scratched": scratched,
    "fresco": fresco,
    "rays": rays,
    "embroidery": embroidery,
}
