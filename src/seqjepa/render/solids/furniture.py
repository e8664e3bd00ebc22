"""Furniture and buildings: each function draws one individual of its class from a generator."""

from random import Random

from seqjepa.render.solids.parts import (
    ACCENT,
    CORNERS,
    SECOND,
    SIDES,
    Part,
    Y,
    ball,
    bar,
    box,
    disc,
    rod,
    tilted,
)


def chair(r: Random) -> list[Part]:
    """Build a seat on four legs with a tall back; some have armrests."""
    w, d, leg = r.uniform(0.3, 0.4), r.uniform(0.28, 0.38), r.uniform(0.4, 0.6)
    back, t = r.uniform(0.45, 0.7), r.uniform(0.03, 0.06)
    parts = [box((0, 0, 0), (w, d, t)), *_legs(w - t, d - t, leg, t)]

    # The back is a board, or a rail on two posts.
    if r.random() < 0.5:
        parts.append(box((0, -d + t, back / 2), (w, t, back / 2), SECOND))
    else:
        parts += [box((s * (w - t), -d + t, back / 2), (t, t, back / 2), SECOND) for s in SIDES]
        parts.append(box((0, -d + t, back * 0.75), (w, t * 0.8, back * 0.25), ACCENT))

    if r.random() < 0.4:
        parts += [box((s * w, 0, back * 0.45), (t, d, t), ACCENT) for s in SIDES]
    return parts


def stool(r: Random) -> list[Part]:
    """Build a thick round seat on three spread legs, with a footrest and a low back."""
    w, h, t = r.uniform(0.3, 0.38), r.uniform(0.6, 0.9), r.uniform(0.035, 0.055)
    spread = r.uniform(1.0, 1.4)
    back = (0.0, -w * spread, -h)
    right = (w * spread * 0.87, w * spread * 0.5, -h)
    left = (-w * spread * 0.87, w * spread * 0.5, -h)
    # The footrest joins the two front legs, 0.6 of the way down.
    start, end = ((x * 0.8, y * 0.8, -h * 0.6) for x, y, _ in (right, left))
    return [
        disc((0, 0, 0), w, r.uniform(0.05, 0.1)),
        *(rod((x * 0.5, y * 0.5, 0), (x, y, z), t, SECOND) for x, y, z in (back, right, left)),
        rod(start, end, t * 1.3, ACCENT),
        box((0, -w * 0.9, r.uniform(0.15, 0.25)), (w * 0.7, t, 0.09), ACCENT),
    ]


def bench(r: Random) -> list[Part]:
    """Build a long seat of planks on two trestles, with a plank for a back."""
    length, d, h = r.uniform(0.7, 0.95), r.uniform(0.2, 0.28), r.uniform(0.25, 0.38)
    t, back = r.uniform(0.03, 0.05), r.uniform(0.25, 0.4)
    parts = [box((0, s * d * 0.55, 0), (length, d * 0.42, t)) for s in SIDES]

    # A trestle below and a post behind at each end, and the plank on the posts.
    for s in SIDES:
        x = s * length * 0.75
        parts.append(box((x, 0, -h / 2), (t * 1.4, d * 0.9, h / 2), SECOND))
        parts.append(bar((x, -d, 0), (x, -d - 0.08, back), t, t, SECOND))
    parts.append(box((0, -d - 0.07, back * 0.85), (length, t, r.uniform(0.07, 0.12)), ACCENT))
    return parts


def sofa(r: Random) -> list[Part]:
    """Build a low upholstered block with a back, two arms, feet and one or two loose cushions."""
    w, d, h = r.uniform(0.55, 0.85), r.uniform(0.3, 0.4), r.uniform(0.12, 0.18)
    arm, back = r.uniform(0.08, 0.12), r.uniform(0.3, 0.42)
    parts = [box((0, 0, 0), (w, d, h)), box((0, -d, back / 2), (w, arm, h + back / 2))]
    for s in SIDES:
        half = (arm, d + arm / 2, h + back * 0.25)
        parts.append(box((s * (w + arm), -arm / 2, back * 0.2), half, SECOND))

    # One cushion leans in a corner; another may lie on the seat.
    side = r.choice(SIDES)
    cushion = box((side * w * 0.6, -d * 0.35, h + 0.15), (0.17, 0.06, 0.17), ACCENT)
    parts.append(tilted(cushion, 0.4))
    if r.random() < 0.5:
        parts.append(box((-side * w * 0.35, d * 0.1, h + 0.04), (w * 0.5, d * 0.8, 0.05), SECOND))

    foot = (0.05, 0.05, 0.06)
    return [*parts, *(box((i * w, j * d * 0.8, -h - 0.05), foot, ACCENT) for i, j in CORNERS)]


def table(r: Random) -> list[Part]:
    """Build a flat top on four legs, with a drawer under one side, a mat and a pot on it."""
    w, d, h = r.uniform(0.55, 0.8), r.uniform(0.35, 0.5), r.uniform(0.45, 0.65)
    t, round_legs = r.uniform(0.035, 0.06), r.random() < 0.4
    drawer, mat = (w * 0.45, d * 0.52, 0.09), (w * 0.3, d * 0.35, 0.02)
    return [
        box((0, 0, 0), (w, d, t)),
        *_legs(w - 2 * t, d - 2 * t, h, t * 1.2, round_legs),
        # Drawer, mat and pot.
        box((r.choice(SIDES) * w * 0.3, d * 0.45, -t - 0.09), drawer, ACCENT),
        box((r.choice(SIDES) * w * 0.45, -d * 0.4, t + 0.02), mat, SECOND),
        disc((w * r.uniform(-0.5, 0.5), d * 0.3, t + 0.06), 0.09, 0.06, paint=ACCENT),
    ]


def desk(r: Random) -> list[Part]:
    """Build a flat top on a pedestal of drawers and a panel, with a board behind and a blotter."""
    w, d, h = r.uniform(0.6, 0.85), r.uniform(0.32, 0.42), r.uniform(0.28, 0.36)
    t, s, pedestal = r.uniform(0.03, 0.045), r.choice(SIDES), r.uniform(0.18, 0.26)
    x, drawer = s * (w - pedestal), (pedestal * 0.8, 0.03, h * 0.22)
    parts = [
        box((0, 0, h), (w, d, t)),
        # The pedestal and its drawers at one end.
        box((x, 0, 0), (pedestal, d * 0.92, h), SECOND),
        *(box((x, d * 0.94, z * h * 0.62), drawer, ACCENT) for z in (-0.85, 0.1, 1.0)),
        # The panel at the other end, the board behind, the blotter.
        box((-s * (w - t), 0, 0), (t, d * 0.92, h), SECOND),
        box((0, -d * 0.85, h * 0.3), (w * 0.95, t, h * 0.65)),
        box((-s * w * 0.4, d * 0.25, h + t), (w * 0.3, d * 0.5, 0.015), ACCENT),
    ]

    # Some have a screen on them.
    if r.random() < 0.5:
        parts.append(box((-s * w * 0.4, -d * 0.6, h + 0.15), (w * 0.3, t, 0.13), ACCENT))
    return parts


def bed(r: Random) -> list[Part]:
    """Build a mattress with a blanket, pillows, and a headboard taller than the footboard."""
    w, d, h, t = r.uniform(0.32, 0.55), r.uniform(0.65, 0.8), r.uniform(0.1, 0.16), 0.045
    head = r.uniform(0.25, 0.45)
    pillow, pillows = (w * 0.38, d * 0.16, 0.06), SIDES if w > 0.42 else (0,)
    return [
        box((0, 0, 0), (w, d, h)),
        # Headboard and footboard, and the blanket over the lower part.
        box((0, -d - t, head / 2), (w + t, t, h + head / 2), SECOND),
        box((0, d + t, -0.02), (w + t, t, h + r.uniform(0.0, 0.08)), SECOND),
        box((0, d * 0.38, 0.03), (w + 0.03, d * 0.6, h + 0.02), ACCENT),
        # A wide bed has two pillows.
        *(box((s * w * 0.5, -d * 0.72, h + 0.04), pillow, SECOND) for s in pillows),
        *_legs(w, d, 0.28, 0.05),
    ]


def bookcase(r: Random) -> list[Part]:
    """Build open shelves with a block of books on each, over a cupboard; a patch behind."""
    w, d, h = r.uniform(0.35, 0.55), r.uniform(0.14, 0.2), r.uniform(0.65, 0.8)
    t, shelves = r.uniform(0.025, 0.04), r.choice((3, 4))
    gap = 2 * h / shelves
    parts = [
        *(box((s * w, 0, 0), (t, d, h)) for s in SIDES),
        box((0, -d, 0), (w, t, h), SECOND),
        *(box((0, 0, -h + gap * i), (w, d, t)) for i in range(shelves + 1)),
        # The cupboard.
        box((0, d * 0.35, -h + gap / 2), (w + t, d * 0.75, gap / 2), SECOND),
    ]

    # The books stand at the left or right end of their shelf.
    for i in range(1, shelves):
        books, tall = r.uniform(0.2, 0.45) * w, r.uniform(0.25, 0.42) * gap
        x = r.choice(SIDES) * (w - books - t)
        parts.append(box((x, 0, -h + gap * i + t + tall), (books, d * 0.8, tall), ACCENT))
    return [*parts, box((w * 0.4, -d - t, h * 0.3), (w * 0.2, 0.015, h * 0.5), ACCENT)]


def lamp(r: Random) -> list[Part]:
    """Build a desk lamp: a foot, a post, an arm to one side and a conical shade hanging from it."""
    h, reach, t = r.uniform(0.7, 1.0), r.uniform(0.3, 0.6), r.uniform(0.03, 0.05)
    wide, tall, tip = r.uniform(0.26, 0.36), r.uniform(0.15, 0.22), r.uniform(0.3, 0.6)
    shade = disc((reach + 0.05, 0.05, h - 0.1), wide, tall, taper=tip)
    return [
        disc((0, 0, 0), r.uniform(0.24, 0.32), 0.05, paint=SECOND),
        rod((0, 0, 0), (0, -0.05, h), t, SECOND),
        rod((0, -0.05, h), (reach, 0.05, h + r.uniform(0.0, 0.25)), t, SECOND),
        tilted(shade, r.uniform(-0.6, -0.1), Y),
        # The switch.
        ball((0, 0.12, 0.06), (0.07, 0.07, 0.05), ACCENT),
    ]


def house(r: Random) -> list[Part]:
    """Build four walls under a gabled roof, with doors, a window, a chimney and a shed."""
    w, d, h = r.uniform(0.35, 0.5), r.uniform(0.45, 0.65), r.uniform(0.25, 0.4)
    pitch, over, s = r.uniform(0.25, 0.42), 0.06, r.choice(SIDES)
    ridge, middle = (0, 0, h + pitch), h + pitch * 0.3
    return [
        box((0, 0, 0), (w, d, h)),
        # The gable, the two slopes of the roof and the chimney.
        bar((0, -d, middle), (0, d, middle), w * 0.55, pitch * 0.3),
        *(bar((x * (w + over), 0, h - over), ridge, d + over, 0.035, ACCENT) for x in SIDES),
        box((s * w * 0.5, -d * 0.4, h + pitch * 0.8), (0.08, 0.08, pitch * 0.55), SECOND),
        # Door and window in front, the shed, and a door behind.
        box((s * w * 0.3, d, -h * 0.35), (w * 0.25, 0.03, h * 0.65), ACCENT),
        box((-s * w * 0.5, d, 0.05), (w * 0.22, 0.03, h * 0.3), ACCENT),
        box((s * (w + 0.16), -d * 0.35, -h * 0.4), (0.18, d * 0.5, h * 0.6), SECOND),
        box((-s * w * 0.4, -d, -h * 0.3), (w * 0.35, 0.03, h * 0.5), ACCENT),
    ]


def monitor(r: Random) -> list[Part]:
    """Build a flat screen on a post and a foot, with a keyboard before it."""
    w, h, t = r.uniform(0.6, 0.8), r.uniform(0.35, 0.48), r.uniform(0.035, 0.06)
    stand = r.uniform(0.15, 0.3)
    return [
        box((0, 0, 0), (w, t, h)),
        box((0, t, 0.03), (w * 0.92, 0.015, h * 0.85), ACCENT),
        # Post, foot and keyboard.
        box((0, -t, -h - stand / 2), (0.07, 0.04, stand)),
        box((0, 0, -h - stand), (r.uniform(0.22, 0.4), 0.2, 0.03), SECOND),
        box((0.05, 0.4, -h - stand), (0.45, 0.12, 0.03), SECOND),
    ]


def _legs(x: float, y: float, length: float, thick: float, turned: bool = False) -> list[Part]:
    """Return four legs from the plane z = 0 down, at (+-x, +-y), square or round."""
    if turned:
        ends = [((i * x, j * y, 0), (i * x, j * y, -length)) for i, j in CORNERS]
        return [rod(start, end, thick, SECOND, 0.6) for start, end in ends]
    half = (thick, thick, length / 2)
    return [box((i * x, j * y, -length / 2), half, SECOND) for i, j in CORNERS]
