"""How a cartoon face is drawn from its labels: signed-distance fields, painted back to front.

Each part is a signed-distance field on the pixel grid, painted with an edge one pixel soft. The frame is
[-1, 1] with y down; all sizes are fractions of it, so one face looks the same at every resolution. Parts are
drawn as a cartoonist would, too large and too strong, because an attribute that cannot be seen at 32x32
cannot be scored.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dirbench.benchmarks.data.attributes import DRAWN, attribute_index

N_NUISANCE = 28
"""Uniform numbers in [0, 1) that decide what the labels leave open."""

_HAIR = {"Black_Hair": (0.05, 0.05, 0.07), "Blond_Hair": (0.98, 0.86, 0.36), "Brown_Hair": (0.40, 0.22, 0.09),
         "Gray_Hair": (0.70, 0.72, 0.77)}
_RED_HAIR = (0.80, 0.26, 0.08)
_BRIGHT = ((0.95, 0.15, 0.15), (0.10, 0.55, 0.95), (0.98, 0.80, 0.10), (0.15, 0.75, 0.30), (0.75, 0.20, 0.85))


def _rgb(*values: float) -> Tensor:
    return torch.tensor(values)[None]


class _Layer:
    """A band of rows of the canvas, with the head's own coordinates on it; painting writes to the canvas."""

    def __init__(self, image: Tensor, x: Tensor, y: Tensor, soft: float):
        self.image, self.x, self.y, self.soft = image, x, y, soft
        self.ax = x.abs()  # mirrored coordinate: both eyes, ears, cheeks in one stroke

    def band(self, top: float, bottom: float) -> _Layer:
        """The rows that head coordinates top..bottom can reach, pose included."""
        size = self.x.shape[1]
        margin = 0.2
        first = max(0, int((top - margin + 1) / 2 * size))
        last = min(size, int((bottom + margin + 1) / 2 * size) + 1)
        return _Layer(self.image[:, :, first:last], self.x[:, first:last], self.y[:, first:last], self.soft)

    def cover(self, distance: Tensor) -> Tensor:
        """Share of each pixel inside a shape [n, h, w], from its signed distance (negative inside)."""
        return (0.5 - distance / self.soft).clamp_(0, 1)

    def paint(self, cover: Tensor, colour: Tensor, opacity: Tensor | float = 1.0) -> None:
        """Lay ``colour`` ([n, 3] or [1, 3]) over the canvas where ``cover`` is, at ``opacity`` ([n,1,1])."""
        weight = (cover * opacity)[:, None].expand_as(self.image)
        self.image.lerp_(colour[:, :, None, None].expand_as(self.image), weight)

    def ellipse(self, x0, y0, a, b, mirrored: bool = False) -> Tensor:
        """Approximate signed distance to an ellipse with half axes a, b."""
        u = ((self.ax if mirrored else self.x) - x0) / a
        v = (self.y - y0) / b
        smaller = torch.minimum(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else (
            torch.clamp(a, max=b) if isinstance(a, Tensor) else
            torch.clamp(b, max=a) if isinstance(b, Tensor) else min(a, b))
        return ((u * u + v * v).sqrt_() - 1) * smaller

    def box(self, x0, y0, a, b, mirrored: bool = False) -> Tensor:
        """Signed distance (Chebyshev) to a rectangle with half sides a, b."""
        u = ((self.ax if mirrored else self.x) - x0).abs() - a
        v = (self.y - y0).abs() - b
        return torch.maximum(u, v)

    def stroke(self, x0, y0, x1, y1, width) -> Tensor:
        """Signed distance to a mirrored line from (x0, y0) to (x1, y1) of half width ``width``."""
        dx, dy = x1 - x0, y1 - y0
        px, py = self.ax - x0, self.y - y0
        t = ((px * dx + py * dy) / (dx * dx + dy * dy)).clamp_(0, 1)
        px, py = px - t * dx, py - t * dy
        return (px * px + py * py).sqrt_() - width


def _pick(palette: tuple, u: Tensor) -> Tensor:
    table = torch.tensor(palette)
    return table[(u * len(palette)).long().clamp(max=len(palette) - 1)]


def draw(labels: Tensor, nuisance: Tensor, resolution: int) -> Tensor:
    """Faces, float32 [n, 3, R, R] in [-1, 1]: a pure function of labels and nuisance numbers.

    Args:
        labels: bool [n, len(DRAWN)].
        nuisance: float32 [n, N_NUISANCE] in [0, 1): pose, skin, clothes, background, light.
        resolution: R.
    """
    n = len(labels)
    has = {name: labels[:, i].float()[:, None, None] for i, name in enumerate(DRAWN)}
    u = nuisance
    s = lambda k, low, high: (low + (high - low) * u[:, k])[:, None, None]  # one number a face

    grid = (torch.arange(resolution) + 0.5) * (2 / resolution) - 1
    gy, gx = grid[None, :, None], grid[None, None, :]
    angle, scale = s(0, -0.10, 0.10), s(1, 0.95, 1.02)
    px, py = gx - s(2, -0.06, 0.06), gy - s(3, -0.03, 0.05)
    x = (px * angle.cos() + py * angle.sin()) / scale
    y = (py * angle.cos() - px * angle.sin()) / scale

    # Background: a slanted gradient between two muted colours.
    image = torch.empty(n, 3, resolution, resolution)
    first, second = 0.25 + 0.55 * u[:, 4:7], 0.25 + 0.55 * u[:, 7:10]
    slope = ((gx * s(10, -0.5, 0.5) + gy * 0.5 + 1) / 2).clamp(0, 1)
    torch.lerp(first[:, :, None, None], second[:, :, None, None], slope[:, None], out=image)
    canvas = _Layer(image, x, y, 2 / resolution)

    tone = u[:, 11:12] ** 0.6  # light skin is the commoner, as in CelebA
    skin = torch.lerp(_rgb(0.47, 0.29, 0.19), _rgb(0.93, 0.70, 0.53), tone)
    skin = torch.where(labels[:, attribute_index("Pale_Skin"), None], _rgb(1.0, 0.94, 0.91), skin)
    hair = _rgb(*_RED_HAIR).repeat(n, 1)
    for name, colour in _HAIR.items():
        hair[labels[:, attribute_index(name)]] = _rgb(*colour)
    hair = (hair * (0.92 + 0.16 * u[:, 12:13])).clamp(0, 1)
    face = _Face(has, s, u, skin, hair)
    _body(canvas, face)
    _back_hair(canvas, face)
    _head(canvas, face)
    _cheeks(canvas.band(-0.3, 0.65), face)
    _beard(canvas.band(-0.2, 0.85), face)
    _chin(canvas.band(0.45, 0.95), face)
    _nose(canvas.band(-0.25, 0.3), face)
    _mouth(canvas.band(0.15, 0.6), face)
    _front_hair(canvas.band(-1.0, 0.4), face)
    _eyes(canvas.band(-0.5, 0.15), face)
    _accessories(canvas, face)

    image *= 1 + 0.14 * (gx * s(13, -1, 1))[:, None]  # light from one side
    blurred = _blur(image)
    image.lerp_(blurred, has["Blurry"][:, None].expand_as(image))
    return image.clamp_(0, 1).mul_(2).sub_(1)


class _Face:
    """What all the parts of one batch of faces share: labels, colours and the outline of the head."""

    def __init__(self, has: dict[str, Tensor], s, u: Tensor, skin: Tensor, hair: Tensor):
        self.has, self.s, self.u, self.skin, self.hair = has, s, u, skin, hair
        self.shade = skin * 0.62  # lines and creases
        oval, chubby = has["Oval_Face"], has["Chubby"]
        self.a = 0.53 - 0.05 * oval + 0.12 * chubby  # half width
        self.top = -0.68
        self.chin = 0.52 + 0.15 * oval
        self.b = (self.chin - self.top) / 2
        self.y0 = (self.chin + self.top) / 2

    def outline(self, layer: _Layer, grow: float = 0.0) -> Tensor:
        """Signed distance to the head: an ellipse, its lower half square for men, wide for the chubby."""
        male, oval, chubby = self.has["Male"], self.has["Oval_Face"], self.has["Chubby"]
        v = (layer.y - self.y0) / (self.b + grow)
        low = v.clamp(min=0)
        width = (self.a + grow) * (1 + low * (0.18 * chubby - 0.20 * oval * (1 - male)))
        p = (layer.x / width).square()
        q = v.square()
        corner = (v > 0) * (0.65 * male + 0.10)
        # Squircle p + q - c p q = 1; the product is capped, or the shape would come back beyond its corners.
        return ((p + q - corner * p.clamp(max=1) * q.clamp(max=1)).clamp_(min=0).sqrt_() - 1) * self.a


def _blur(image: Tensor) -> Tensor:
    """A Gaussian of 3/4 of a pixel of 32 across the frame, separable, edges replicated."""
    size = image.shape[-1]
    sigma = 0.75 * size / 32
    radius = max(1, int(2.5 * sigma + 0.5))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    weights: list[float] = (taps / taps.sum()).tolist()
    padded = torch.nn.functional.pad(image, (radius,) * 4, mode="replicate")
    rows = sum((t * padded[:, :, i:i + size] for i, t in enumerate(weights)), torch.zeros(()))
    return sum((t * rows[:, :, :, i:i + size] for i, t in enumerate(weights)), torch.zeros(()))


def _body(canvas: _Layer, f: _Face) -> None:
    layer, has = canvas.band(0.3, 1.0), f.has
    male = has["Male"]
    clothes = 0.15 + 0.65 * f.u[:, 14:17]
    wide = 0.62 + 0.36 * male
    shoulders = layer.ellipse(0.0, 1.12, wide, 0.42)
    square = torch.maximum(layer.ax - 1.0, 0.74 + 0.12 * layer.ax - layer.y)
    layer.paint(layer.cover(torch.where(male > 0, square, shoulders)), clothes)
    layer.paint(layer.cover(layer.box(0.0, 0.6, 0.20 + 0.12 * male, 0.22)), f.skin * 0.74)
    # A man's white collar, a woman's round neckline.
    neckline = layer.ellipse(0.0, 0.74, 0.30, 0.16)
    layer.paint(layer.cover(neckline), f.skin * 0.74, 1 - male)
    layer.paint(layer.cover(layer.stroke(0.36, 0.70, 0.10, 0.92, 0.055)), _rgb(0.97, 0.97, 0.97), male)


def _back_hair(canvas: _Layer, f: _Face) -> None:
    x, y, ax, has = canvas.x, canvas.y, canvas.ax, f.has
    straight, wavy, bald = has["Straight_Hair"], has["Wavy_Hair"], has["Bald"]
    grow = 0.10 + 0.06 * wavy
    r = ((x / (f.a + grow)).square() + ((y - f.y0) / (f.b + grow)).square()).sqrt_()
    cap = (r - 1) * (f.a + grow)
    sides = torch.maximum(ax - (f.a + 0.13 + 0.05 * wavy), -0.15 - y)
    end = 0.02 + 0.80 * straight + 0.50 * wavy
    bumps = 0.075 * (15 * x).cos() * (15 * y).cos()
    outline = torch.minimum(cap, sides + 2 * (1 - straight - wavy)) + wavy * bumps
    shape = torch.maximum(outline, y - end - wavy * bumps)
    shape = torch.maximum(shape, bald * (-0.28 - y) - (1 - bald) * 2)
    canvas.paint(canvas.cover(shape), f.hair * 0.85)
    ripple = wavy * (18 * y + 5 * ax).sin() + straight * (25 * ax).sin()
    canvas.paint(canvas.cover(shape) * ripple.clamp(min=0), f.hair * 0.55 + 0.22, 0.55)


def _head(canvas: _Layer, f: _Face) -> None:
    layer = canvas.band(-0.7, 0.8)
    ears = layer.ellipse(f.a + 0.01, 0.0, 0.09, 0.13, mirrored=True)
    layer.paint(layer.cover(ears), f.skin * 0.85)
    outline = f.outline(layer)
    layer.paint(layer.cover(outline - 0.03), f.shade)
    layer.paint(layer.cover(outline), f.skin)
    # A bald head shines.
    top = canvas.band(-0.7, -0.3)
    top.paint(top.cover(top.ellipse(0.12, -0.52, 0.16, 0.09)), _rgb(1.0, 1.0, 1.0), 0.6 * f.has["Bald"])


def _cheeks(layer: _Layer, f: _Face) -> None:
    has = f.has
    layer.paint(layer.cover(layer.ellipse(0.34, 0.17, 0.14, 0.11, mirrored=True)), _rgb(1.0, 0.30, 0.45),
                0.75 * has["Rosy_Cheeks"])
    bone = layer.stroke(0.50, 0.05, 0.30, 0.24, 0.03)
    layer.paint(layer.cover(bone), f.shade * 0.8, 0.85 * has["High_Cheekbones"])
    light = layer.stroke(0.45, -0.02, 0.30, 0.10, 0.03)
    layer.paint(layer.cover(light), _rgb(1.0, 0.98, 0.90), 0.7 * has["High_Cheekbones"])
    old = 1 - has["Young"]
    layer.paint(layer.cover(layer.stroke(0.14, 0.11, 0.30, 0.40, 0.03)), f.shade * 0.9, 0.9 * old)
    wave = 0.03 * (8 * layer.x).cos()
    for height in (-0.46, -0.36):
        line = torch.maximum((layer.y - height + wave).abs() - 0.015, layer.ax - 0.26)
        layer.paint(layer.cover(line), f.shade, 0.8 * old)


def _beard(layer: _Layer, f: _Face) -> None:
    has = f.has
    inside = f.outline(layer)
    bearded = 1 - has["No_Beard"]
    full = bearded * (1 - has["5_o_Clock_Shadow"]) * (1 - has["Goatee"]) * (1 - has["Mustache"])
    hair = f.hair * 0.80
    jaw = torch.maximum(inside, 0.16 + 0.30 * (0.5 - layer.ax) - layer.y)
    layer.paint(layer.cover(jaw), _rgb(0.28, 0.33, 0.40), 0.55 * has["5_o_Clock_Shadow"])
    beard = torch.maximum(inside - 0.06, 0.10 + 0.75 * (0.5 - layer.ax).clamp(min=0) - layer.y)
    layer.paint(layer.cover(beard), hair, full)
    burn = torch.maximum(layer.box(f.a - 0.05, 0.06, 0.10, 0.26, mirrored=True), inside - 0.02)
    layer.paint(layer.cover(burn), hair, has["Sideburns"])
    # Two sweeping halves, lowest at the ends.
    droop = 0.22 + 0.5 * layer.ax.square()
    stache = torch.maximum((layer.y - droop).abs() - 0.055, layer.ax - 0.30)
    layer.paint(layer.cover(stache), hair, has["Mustache"])


def _chin(layer: _Layer, f: _Face) -> None:
    # A second jaw that hangs below the first, beard or not, with a dark line under each.
    inside = f.outline(layer)
    bulge = layer.ellipse(0.0, f.chin - 0.02, f.a * 0.86, 0.18)
    below = f.has["Double_Chin"] * layer.cover(-0.02 - inside)
    layer.paint(layer.cover(bulge - 0.05) * below, f.shade * 0.6)
    layer.paint(layer.cover(bulge) * below, f.skin)
    crease = torch.maximum((inside - 0.01).abs() - 0.035, layer.ax - 0.8 * f.a)
    crease = torch.maximum(crease, f.chin - 0.14 - layer.y)
    layer.paint(layer.cover(crease), f.shade * 0.6, f.has["Double_Chin"])
    # The goatee hangs over both chins, or the creases would pass for it.
    layer.paint(layer.cover(layer.ellipse(0.0, f.chin - 0.01, 0.20, 0.13)), f.hair * 0.80, f.has["Goatee"])


def _nose(layer: _Layer, f: _Face) -> None:
    big, pointy = f.has["Big_Nose"], f.has["Pointy_Nose"]
    flesh = f.skin * _rgb(0.88, 0.68, 0.64)
    blob = layer.ellipse(0.0, 0.08, 0.075 + 0.095 * big, 0.05 + 0.07 * big)
    layer.paint(layer.cover(blob), flesh)
    wedge = torch.maximum(layer.ax - 0.10 * (layer.y + 0.24) / 0.3, layer.y - 0.08)
    wedge = torch.maximum(wedge, -0.24 - layer.y)
    layer.paint(layer.cover(wedge), _rgb(1.0, 0.97, 0.88), 0.85 * pointy)
    edge = torch.maximum(wedge - 0.05, -layer.x)
    layer.paint(layer.cover(torch.maximum(edge, -wedge)), f.shade * 0.8, 0.8 * pointy)


def _mouth(layer: _Layer, f: _Face) -> None:
    has = f.has
    smile = has["Smiling"]
    width = 0.24 + 0.07 * smile
    t = layer.ax / width
    t2 = t.square()
    middle = 0.36 + 0.05 * smile - (0.13 * smile - 0.03) * t2
    lens = (1 - t2).clamp(min=0)
    opening = 0.012 + 0.075 * has["Mouth_Slightly_Open"]
    off = (layer.y - middle).abs()
    outside = layer.ax - width
    lip = 0.035 + 0.05 * has["Big_Lips"]
    lips = torch.maximum(off - lip * (0.45 + 0.55 * lens) - opening * lens, outside - 0.6 * lip)
    natural = f.skin * _rgb(0.80, 0.52, 0.48)
    stick = torch.lerp(_rgb(0.88, 0.02, 0.10), _rgb(0.80, 0.0, 0.45), f.u[:, 17:18])
    colour = torch.where(has["Wearing_Lipstick"][:, 0] > 0, stick, natural)
    layer.paint(layer.cover(lips), colour)
    gap = torch.maximum(off - opening * lens, outside)
    layer.paint(layer.cover(gap), _rgb(0.12, 0.02, 0.03))
    teeth = torch.maximum(gap, layer.y - middle + 0.02)
    layer.paint(layer.cover(teeth), _rgb(1.0, 1.0, 1.0), has["Mouth_Slightly_Open"])


def _front_hair(layer: _Layer, f: _Face) -> None:
    has, y, ax = f.has, layer.y, layer.ax
    bald, bangs, receding = has["Bald"], has["Bangs"], has["Receding_Hairline"]
    shell = f.outline(layer, 0.09)
    line = -0.48 + 0.9 * ax.square()
    fringe = -0.30 + 0.05 * (19 * layer.x).cos() + 0.25 * ax.square()
    peak = torch.maximum(-0.46 - 1.5 * ax, -1.4 + 2.0 * ax)
    line = line + bangs * (fringe - line) + receding * (peak - line)
    crown = torch.maximum(shell, (y - line) * 0.8) + 3 * bald
    layer.paint(layer.cover(crown), f.hair)
    tuft = torch.maximum(torch.maximum(shell, f.a - 0.06 - ax), (y + 0.08).abs() - 0.22) + 3 * (1 - bald)
    layer.paint(layer.cover(tuft), f.hair)


def _eyes(layer: _Layer, f: _Face) -> None:
    has, y, ax = f.has, layer.y, layer.ax
    male = has["Male"]
    ex, ey = 0.25, -0.11
    shadow = _pick(((0.55, 0.15, 0.80), (0.05, 0.45, 0.90), (0.0, 0.65, 0.50)), f.u[:, 18])
    lid = layer.ellipse(ex + 0.01, ey - 0.07, 0.18, 0.12, mirrored=True)
    layer.paint(layer.cover(lid), shadow, 0.9 * has["Heavy_Makeup"])
    bag = layer.ellipse(ex, ey + 0.05, 0.15, 0.13, mirrored=True)
    bag = torch.maximum(bag, -layer.ellipse(ex, ey + 0.0, 0.17, 0.11, mirrored=True))
    bag = torch.maximum(bag, ey - y)
    bruise = f.skin * _rgb(0.45, 0.35, 0.55)
    layer.paint(layer.cover(bag - 0.015), bruise, 0.85 * has["Bags_Under_Eyes"])
    height = 0.10 - 0.065 * has["Narrow_Eyes"]
    white = layer.ellipse(ex, ey, 0.145, height, mirrored=True)
    layer.paint(layer.cover(white - 0.02), f.shade * 0.5)
    inside = layer.cover(white)
    layer.paint(inside, _rgb(1.0, 1.0, 1.0))
    iris = _pick(((0.10, 0.25, 0.60), (0.12, 0.40, 0.18), (0.22, 0.11, 0.05)), f.u[:, 19])
    gaze = f.s(20, -0.03, 0.03)
    pupil = ((layer.x - gaze).abs() - ex).square() + (y - ey).square()
    layer.paint(layer.cover(pupil.sqrt_() - 0.07) * inside, iris * 0.8)
    # Lashes: a woman's flick outward.
    lashes = layer.stroke(0.33, ey - 0.05, 0.46, ey - 0.13, 0.025)
    layer.paint(layer.cover(lashes), _rgb(0.03, 0.02, 0.03), 1 - male)
    # Eyebrows: dark whatever the hair, or blond ones would vanish.
    colour = f.hair * 0.35
    along = (ax - ex) / 0.17
    arch = -0.27 + has["Arched_Eyebrows"] * (-0.06 + 0.11 * along.square())
    thick = 0.018 + 0.042 * has["Bushy_Eyebrows"]
    brow = torch.maximum((y - arch).abs() - thick, along.abs() * 0.17 - 0.17)
    layer.paint(layer.cover(brow), colour)


def _accessories(canvas: _Layer, f: _Face) -> None:
    has, u = f.has, f.u
    layer = canvas.band(-0.4, 0.2)
    lens = layer.ellipse(0.26, -0.10, 0.215, 0.185, mirrored=True)
    layer.paint(layer.cover(lens), _rgb(0.55, 0.85, 1.0), 0.25 * has["Eyeglasses"])
    frame = torch.minimum(lens.abs() - 0.025, layer.box(0.0, -0.12, 0.07, 0.02))
    frame = torch.minimum(frame, layer.box(0.53, -0.12, 0.07, 0.02, mirrored=True))
    layer.paint(layer.cover(frame), _rgb(0.03, 0.03, 0.05), has["Eyeglasses"])

    layer = canvas.band(0.1, 0.5)
    gem = _pick(((1.0, 0.85, 0.0), (0.0, 0.95, 0.95), (1.0, 0.1, 0.8)), u[:, 21])
    drop = layer.ellipse(f.a + 0.06, 0.26, 0.10, 0.12, mirrored=True)
    layer.paint(layer.cover(drop), gem, has["Wearing_Earrings"])

    layer = canvas.band(0.6, 1.0)
    rope = layer.y - 0.84 + 0.75 * layer.x.square()
    rope = torch.maximum(rope.abs() - 0.055, layer.ax - 0.46)
    bead = 0.65 + 0.35 * (25 * layer.x).cos()
    layer.paint(layer.cover(rope - 0.02), _rgb(0.10, 0.06, 0.04), 0.8 * has["Wearing_Necklace"])
    layer.paint(layer.cover(rope) * bead, _pick(((1.0, 0.95, 0.55), (0.98, 0.98, 1.0)), u[:, 22]),
                has["Wearing_Necklace"])
    flare = 0.06 + 0.35 * (layer.y - 0.74).abs()
    tie = torch.maximum(layer.ax - flare, 0.70 - layer.y)
    layer.paint(layer.cover(tie), _pick(_BRIGHT, u[:, 23]), has["Wearing_Necktie"])

    layer = canvas.band(-1.0, -0.5)
    cloth = _pick(_BRIGHT, u[:, 24]) * (0.6 + 0.4 * u[:, 25:26])
    crown = torch.maximum(layer.ax - 0.46, layer.y + 0.70)
    layer.paint(layer.cover(crown), cloth, has["Wearing_Hat"])
    layer.paint(layer.cover(layer.box(0.0, -0.70, 0.78, 0.055)), cloth * 0.6, has["Wearing_Hat"])
