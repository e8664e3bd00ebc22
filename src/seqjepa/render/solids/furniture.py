"""Furniture and buildings: each function draws one individual of its class from a generator."""

from random import Random

from seqjepa.render.solids.parts import (
    ACCENT,
    MAIN,
    SECOND,
    Part,
    ball,
    bar,
    box,
    disc,
    rod,
    tilted,
)

SIDES = (-1, 1)
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def chair(r: Random) -> list[Part]:
    """A seat on four legs with a tall back; some have armrests."""
    w, d, leg, back, t = (
        r.uniform(0.3, 0.4),
        r.uniform(0.28, 0.38),
        r.uniform(0.4, 0.6),
        r.uniform(0.45, 0.7),
        r.uniform(0.03, 0.06),
    )
    parts = [box((0, 0, 0), (w, d, t)), *_legs(w - t, d - t, leg, t)]
    if r.random() < 0.5:
        parts.append(box((0, -d + t, back / 2), (w, t, back / 2), SECOND))
    else:
        parts += [box((s * (w - t), -d + t, back / 2), (t, t, back / 2), SECOND) for s in SIDES]
        parts.append(box((0, -d + t, back * 0.75), (w, t * 0.8, back * 0.25), ACCENT))
    if r.random() < 0.4:
        parts += [box((s * w, 0, back * 0.45), (t, d, t), ACCENT) for s in SIDES]
    return parts


def stool(r: Random) -> list[Part]:
    """A thick round seat on three spread legs, with a footrest and a low back on one side."""
    w, h, t, spread = (
        r.uniform(0.3, 0.38),
        r.uniform(0.6, 0.9),
        r.uniform(0.035, 0.055),
        r.uniform(1.0, 1.4),
    )
    feet = [
        (0.0, -w * spread, -h),
        (w * spread * 0.87, w * spread * 0.5, -h),
        (-w * spread * 0.87, w * spread * 0.5, -h),
    ]
    parts = [
        disc((0, 0, 0), w, r.uniform(0.05, 0.1)),
        *(rod((x * 0.5, y * 0.5, 0), (x, y, z), t, SECOND) for x, y, z in feet),
    ]
    low = 0.6
    (_, _, _), (x1, y1, _), (x2, y2, _) = feet
    parts.append(
        rod((x1 * 0.8, y1 * 0.8, -h * low), (x2 * 0.8, y2 * 0.8, -h * low), t * 1.3, ACCENT)
    )
    parts.append(box((0, -w * 0.9, r.uniform(0.15, 0.25)), (w * 0.7, t, 0.09), ACCENT))
    return parts


def bench(r: Random) -> list[Part]:
    """A long seat of planks on two trestles, with a plank for a back."""
    length, d, h, t = (
        r.uniform(0.7, 0.95),
        r.uniform(0.2, 0.28),
        r.uniform(0.25, 0.38),
        r.uniform(0.03, 0.05),
    )
    back = r.uniform(0.25, 0.4)
    parts = [box((0, s * d * 0.55, 0), (length, d * 0.42, t)) for s in SIDES]
    for s in SIDES:
        parts.append(box((s * length * 0.75, 0, -h / 2), (t * 1.4, d * 0.9, h / 2), SECOND))
        parts.append(
            bar((s * length * 0.75, -d, 0), (s * length * 0.75, -d - 0.08, back), t, t, SECOND)
        )
    parts.append(box((0, -d - 0.07, back * 0.85), (length, t, r.uniform(0.07, 0.12)), ACCENT))
    return parts


def sofa(r: Random) -> list[Part]:
    """A low upholstered block with a back, two arms, feet and one or two loose cushions."""
    w, d, h, arm = (
        r.uniform(0.55, 0.85),
        r.uniform(0.3, 0.4),
        r.uniform(0.12, 0.18),
        r.uniform(0.08, 0.12),
    )
    back = r.uniform(0.3, 0.42)
    parts = [box((0, 0, 0), (w, d, h)), box((0, -d, back / 2), (w, arm, h + back / 2))]
    parts += [
        box((s * (w + arm), -arm / 2, back * 0.2), (arm, d + arm / 2, h + back * 0.25), SECOND)
        for s in SIDES
    ]
    side = r.choice(SIDES)
    parts.append(
        tilted(box((side * w * 0.6, -d * 0.35, h + 0.15), (0.17, 0.06, 0.17), ACCENT), 0.4)
    )
    if r.random() < 0.5:
        parts.append(box((-side * w * 0.35, d * 0.1, h + 0.04), (w * 0.5, d * 0.8, 0.05), SECOND))
    return [
        *parts,
        *(box((i * w, j * d * 0.8, -h - 0.05), (0.05, 0.05, 0.06), ACCENT) for i, j in CORNERS),
    ]


def table(r: Random) -> list[Part]:
    """A flat top on four legs, with one drawer under one side, a mat and a pot upon it."""
    w, d, h, t = (
        r.uniform(0.55, 0.8),
        r.uniform(0.35, 0.5),
        r.uniform(0.45, 0.65),
        r.uniform(0.035, 0.06),
    )
    round_legs = r.random() < 0.4
    parts = [box((0, 0, 0), (w, d, t)), *_legs(w - 2 * t, d - 2 * t, h, t * 1.2, round_legs)]
    parts.append(
        box((r.choice(SIDES) * w * 0.3, d * 0.45, -t - 0.09), (w * 0.45, d * 0.52, 0.09), ACCENT)
    )
    parts.append(
        box((r.choice(SIDES) * w * 0.45, -d * 0.4, t + 0.02), (w * 0.3, d * 0.35, 0.02), SECOND)
    )
    return [*parts, disc((w * r.uniform(-0.5, 0.5), d * 0.3, t + 0.06), 0.09, 0.06, paint=ACCENT)]


def desk(r: Random) -> list[Part]:
    """A flat top with a blotter, a pedestal of drawers at one end, a panel at the other and a
    modesty board behind.
    """
    w, d, h, t = (
        r.uniform(0.6, 0.85),
        r.uniform(0.32, 0.42),
        r.uniform(0.28, 0.36),
        r.uniform(0.03, 0.045),
    )
    s, pedestal = r.choice(SIDES), r.uniform(0.18, 0.26)
    parts = [
        box((0, 0, h), (w, d, t)),
        box((s * (w - pedestal), 0, 0), (pedestal, d * 0.92, h), SECOND),
    ]
    parts += [
        box((s * (w - pedestal), d * 0.94, z * h * 0.62), (pedestal * 0.8, 0.03, h * 0.22), ACCENT)
        for z in (-0.85, 0.1, 1.0)
    ]
    parts += [
        box((-s * (w - t), 0, 0), (t, d * 0.92, h), SECOND),
        box((0, -d * 0.85, h * 0.3), (w * 0.95, t, h * 0.65)),
    ]
    parts.append(box((-s * w * 0.4, d * 0.25, h + t), (w * 0.3, d * 0.5, 0.015), ACCENT))
    if r.random() < 0.5:
        parts.append(box((-s * w * 0.4, -d * 0.6, h + 0.15), (w * 0.3, t, 0.13), ACCENT))
    return parts


def bed(r: Random) -> list[Part]:
    """A mattress with a blanket over its lower part, pillows, and a headboard taller than the
    footboard.
    """
    w, d, h, t = r.uniform(0.32, 0.55), r.uniform(0.65, 0.8), r.uniform(0.1, 0.16), 0.045
    head = r.uniform(0.25, 0.45)
    parts = [
        box((0, 0, 0), (w, d, h)),
        box((0, -d - t, head / 2), (w + t, t, h + head / 2), SECOND),
    ]
    parts += [
        box((0, d + t, -0.02), (w + t, t, h + r.uniform(0.0, 0.08)), SECOND),
        box((0, d * 0.38, 0.03), (w + 0.03, d * 0.6, h + 0.02), ACCENT),
    ]
    parts += [
        box((s * w * 0.5, -d * 0.72, h + 0.04), (w * 0.38, d * 0.16, 0.06), SECOND)
        for s in (SIDES if w > 0.42 else (0,))
    ]
    return [*parts, *_legs(w, d, 0.28, 0.05)]


def bookcase(r: Random) -> list[Part]:
    """A cupboard below, open shelves with one block of books on each above it; a patch behind."""
    w, d, h, t = (
        r.uniform(0.35, 0.55),
        r.uniform(0.14, 0.2),
        r.uniform(0.65, 0.8),
        r.uniform(0.025, 0.04),
    )
    shelves = r.choice((3, 4))
    gap = 2 * h / shelves
    parts = [box((s * w, 0, 0), (t, d, h)) for s in SIDES] + [box((0, -d, 0), (w, t, h), SECOND)]
    parts += [box((0, 0, -h + gap * i), (w, d, t)) for i in range(shelves + 1)]
    parts.append(box((0, d * 0.35, -h + gap / 2), (w + t, d * 0.75, gap / 2), SECOND))
    for i in range(1, shelves):
        books, tall = r.uniform(0.2, 0.45) * w, r.uniform(0.25, 0.42) * gap
        x = r.choice(SIDES) * (w - books - t)
        parts.append(box((x, 0, -h + gap * i + t + tall), (books, d * 0.8, tall), ACCENT))
    return [*parts, box((w * 0.4, -d - t, h * 0.3), (w * 0.2, 0.015, h * 0.5), ACCENT)]


def lamp(r: Random) -> list[Part]:
    """A desk lamp: a foot, a post, an arm to one side and a conical shade hanging from it."""
    h, reach, t = r.uniform(0.7, 1.0), r.uniform(0.3, 0.6), r.uniform(0.03, 0.05)
    wide, tall, tip = r.uniform(0.26, 0.36), r.uniform(0.15, 0.22), r.uniform(0.3, 0.6)
    parts = [
        disc((0, 0, 0), r.uniform(0.24, 0.32), 0.05, paint=SECOND),
        rod((0, 0, 0), (0, -0.05, h), t, SECOND),
    ]
    parts += [rod((0, -0.05, h), (reach, 0.05, h + r.uniform(0.0, 0.25)), t, SECOND)]
    shade = disc((reach + 0.05, 0.05, h - 0.1), wide, tall, paint=MAIN, taper=tip)
    return [
        *parts,
        tilted(shade, r.uniform(-0.6, -0.1), (0, 1, 0)),
        ball((0, 0.12, 0.06), (0.07, 0.07, 0.05), ACCENT),
    ]


def house(r: Random) -> list[Part]:
    """Four walls, a gabled roof, a door and a window, another door behind, a chimney and a shed to
    one side.
    """
    w, d, h = r.uniform(0.35, 0.5), r.uniform(0.45, 0.65), r.uniform(0.25, 0.4)
    pitch, over, s = r.uniform(0.25, 0.42), 0.06, r.choice(SIDES)
    slope = [
        bar((x * (w + over), 0, h - over), (0, 0, h + pitch), d + over, 0.035, ACCENT)
        for x in SIDES
    ]
    parts = [
        box((0, 0, 0), (w, d, h)),
        bar((0, -d, h + pitch * 0.3), (0, d, h + pitch * 0.3), w * 0.55, pitch * 0.3),
    ]
    parts += [
        *slope,
        box((s * w * 0.5, -d * 0.4, h + pitch * 0.8), (0.08, 0.08, pitch * 0.55), SECOND),
    ]
    parts += [
        box((s * w * 0.3, d, -h * 0.35), (w * 0.25, 0.03, h * 0.65), ACCENT),
        box((-s * w * 0.5, d, 0.05), (w * 0.22, 0.03, h * 0.3), ACCENT),
    ]
    parts.append(box((s * (w + 0.16), -d * 0.35, -h * 0.4), (0.18, d * 0.5, h * 0.6), SECOND))
    return [*parts, box((-s * w * 0.4, -d, -h * 0.3), (w * 0.35, 0.03, h * 0.5), ACCENT)]


def monitor(r: Random) -> list[Part]:
    """A flat screen on a post and a foot, with a keyboard before it."""
    w, h, t = r.uniform(0.6, 0.8), r.uniform(0.35, 0.48), r.uniform(0.035, 0.06)
    stand = r.uniform(0.15, 0.3)
    parts = [
        box((0, 0, 0), (w, t, h)),
        box((0, t, 0.03), (w * 0.92, 0.015, h * 0.85), ACCENT),
        box((0, -t, -h - stand / 2), (0.07, 0.04, stand)),
    ]
    return [
        *parts,
        box((0, 0, -h - stand), (r.uniform(0.22, 0.4), 0.2, 0.03), SECOND),
        box((0.05, 0.4, -h - stand), (0.45, 0.12, 0.03), SECOND),
    ]


def _legs(x: float, y: float, length: float, thick: float, turned: bool = False) -> list[Part]:
    """Four legs under the plane z = 0 at (+-x, +-y), square or round."""
    if turned:
        return [
            rod((i * x, j * y, 0), (i * x, j * y, -length), thick, SECOND, 0.6) for i, j in CORNERS
        ]
    return [
        box((i * x, j * y, -length / 2), (thick, thick, length / 2), SECOND) for i, j in CORNERS
    ]
