"""Vehicles: each function draws one individual of its class from a generator.

They all drive, fly or sail towards +x.
"""

from random import Random

from seqjepa.render.solids.parts import (
    ACCENT,
    SECOND,
    SIDES,
    Part,
    Vec,
    X,
    Y,
    ball,
    bar,
    box,
    disc,
    rod,
)


def car(r: Random) -> list[Part]:
    """Build a low body with a cabin set back, a windscreen, lights and four wheels."""
    length, w, h = r.uniform(0.65, 0.8), r.uniform(0.28, 0.34), r.uniform(0.1, 0.15)
    cabin, at, tall = r.uniform(0.28, 0.42), r.uniform(-0.25, -0.08), r.uniform(0.12, 0.18)
    return [
        box((0, 0, 0), (length, w, h)),
        box((at, 0, h + tall), (cabin, w * 0.88, tall), SECOND),
        # Windscreen and lights.
        box((at + cabin, 0, h + tall), (0.02, w * 0.75, tall * 0.75), ACCENT),
        box((length, 0, 0), (0.02, w * 0.85, h * 0.45), ACCENT),
        *_wheels((-length * 0.62, length * 0.62), w, -h, r.uniform(0.14, 0.18)),
    ]


def lorry(r: Random) -> list[Part]:
    """Build a cab with a windscreen before a tall cargo box with one rear door, on six wheels."""
    length, w, h = r.uniform(0.48, 0.62), r.uniform(0.24, 0.3), r.uniform(0.24, 0.34)
    cab, low = r.uniform(0.14, 0.2), r.uniform(0.6, 0.85) * h
    front = length + 0.05 + cab
    return [
        box((0, 0, h), (length, w, h)),
        # Cab and windscreen.
        box((front, 0, low), (cab, w * 0.92, low), ACCENT),
        box((front + cab, 0, low * 1.3), (0.02, w * 0.75, low * 0.4), SECOND),
        # Frame, rear door and wheels.
        box((0.1, 0, -0.03), (length + cab, w * 0.6, 0.05), SECOND),
        box((-length, w * 0.4, h), (0.02, w * 0.45, h * 0.8), ACCENT),
        *_wheels((-length * 0.75, -length * 0.25, front), w * 0.9, -0.06, 0.13),
    ]


def bus(r: Random) -> list[Part]:
    """Build one long block with a band of windows, a door on its right side and a windscreen."""
    length, w, h = r.uniform(0.75, 0.9), r.uniform(0.23, 0.28), r.uniform(0.26, 0.34)
    band = r.uniform(0.08, 0.12)
    return [
        box((0, 0, 0), (length, w, h)),
        # Windows, windscreen and door.
        box((-0.06, 0, h * 0.35), (length * 0.88, w + 0.012, band), ACCENT),
        box((length, 0, h * 0.2), (0.02, w * 0.85, h * 0.6), ACCENT),
        box((length * 0.6, -w, -h * 0.15), (0.1, 0.03, h * 0.75), SECOND),
        # A box on the roof, and the wheels.
        box((-length * r.uniform(0.3, 0.6), 0, h + 0.04), (0.2, w * 0.6, 0.05), SECOND),
        *_wheels((-length * 0.65, length * 0.62), w, -h, 0.12),
    ]


def locomotive(r: Random) -> list[Part]:
    """Build a steam engine: boiler, chimney, a cab behind and wheels along both sides."""
    length, w, cab = r.uniform(0.4, 0.55), r.uniform(0.19, 0.25), r.uniform(0.16, 0.22)
    front = length * 0.65
    return [
        # Boiler, frame and cab.
        disc((0, 0, 0), w, length, X),
        box((-0.1, 0, -w), (length + cab + 0.1, w * 1.05, 0.06), ACCENT),
        box((-length - cab, 0, w * 0.7), (cab, w * 1.1, w * 1.6), SECOND),
        # Chimney, steam dome and cowcatcher.
        rod((front, 0, 0), (front, 0, w + r.uniform(0.2, 0.35)), 0.08, ACCENT),
        ball((0, 0, w), (0.1, 0.1, 0.12), SECOND),
        bar((length * 0.95, 0, -w * 0.9), (length + 0.25, 0, -w - 0.12), w, 0.04, SECOND),
        *_wheels((-length * 1.1, 0, length * 0.7), w, -w - 0.06, 0.13),
    ]


def motorbike(r: Random) -> list[Part]:
    """Build two wheels in line, a tank, a seat, a fork, handlebars and an exhaust on the right."""
    wheel, base, t = r.uniform(0.24, 0.3), r.uniform(0.45, 0.55), 0.045
    return [
        # Tyres and hubs.
        *(disc((s * base, 0, 0), wheel, 0.07, Y, SECOND) for s in SIDES),
        *(disc((s * base, 0, 0), wheel * 0.45, 0.085, Y, ACCENT) for s in SIDES),
        # Frame, tank and seat.
        bar((-base, 0, 0), (base * 0.5, 0, 0.32), 0.07, 0.06),
        ball((base * 0.15, 0, 0.36), (0.26, 0.13, 0.13)),
        box((-base * 0.55, 0, 0.32), (0.26, 0.1, 0.05), ACCENT),
        # Fork and handlebars.
        rod((base, 0, 0), (base * 0.55, 0, 0.55), t),
        rod((base * 0.5, -0.3, 0.58), (base * 0.5, 0.3, 0.58), t, ACCENT),
        # Exhaust and engine.
        rod((0, -0.12, -0.05), (-base - r.uniform(0.1, 0.3), -0.16, 0.0), 0.06, SECOND),
        box((0, 0, 0.05), (0.16, 0.09, 0.15), SECOND),
    ]


def plane(r: Random) -> list[Part]:
    """Build a slim hull with swept wings, a tail plane, a fin and engines under the wings."""
    length, w, span = r.uniform(0.7, 0.9), r.uniform(0.09, 0.13), r.uniform(0.65, 0.85)
    sweep, chord, at = r.uniform(0.05, 0.35), r.uniform(0.1, 0.16), r.uniform(0.0, 0.15)
    parts = [ball((0, 0, 0), (length, w, w))]

    # Wings, tail plane and fin.
    tail = -length * 0.85
    parts += [_vane((at, 0, 0), (at - sweep, s * span, 0.06), chord) for s in SIDES]
    parts += [_vane((tail, 0, 0.02), (tail - 0.1, s * span * 0.4, 0.05), 0.07) for s in SIDES]
    parts.append(_fin((-length * 0.8, 0, 0), (-length * 0.95, 0, r.uniform(0.25, 0.35)), 0.09))

    # Some have no engines.
    if r.random() < 0.7:
        x = at - sweep * 0.4
        for y in (s * span * 0.4 for s in SIDES):
            parts.append(rod((x + 0.16, y, -0.06), (x - 0.1, y, -0.06), 0.07, ACCENT))

    # The cockpit.
    return [*parts, ball((length * 0.6, 0, w * 0.6), (0.14, w * 0.6, 0.06), ACCENT)]


def helicopter(r: Random) -> list[Part]:
    """Build a round hull with a glass nose, a tail boom with a fin, a two-bladed rotor, skids."""
    w, boom, blade = r.uniform(0.24, 0.3), r.uniform(0.6, 0.75), r.uniform(0.6, 0.75)
    angle = r.uniform(-0.7, 0.7)
    tail, top, low = -w - boom, w + 0.16, -w - 0.12
    tip = (blade, blade * angle, top)
    return [
        ball((0, 0, 0), (w * 1.4, w, w)),
        ball((w * 0.65, 0, 0.02), (w * 0.85, w * 0.8, w * 0.75), ACCENT),
        # Boom and fin.
        rod((-w * 0.8, 0, w * 0.3), (tail, 0, w * 0.5), 0.09, taper=0.5),
        _fin((tail, 0, w * 0.3), (tail - 0.12, 0, w * 0.5 + 0.25), 0.07),
        # Mast and rotor.
        rod((0, 0, w * 0.8), (0, 0, top), 0.05, SECOND),
        bar((-blade, -blade * angle, top), tip, 0.05, 0.018, SECOND),
        # Skids, their cross bar and strut.
        *(rod((-w * 1.2, s * w, low), (w * 1.5, s * w, low), 0.035, SECOND) for s in SIDES),
        bar((0, -w * 0.95, low), (0, w * 0.95, low), 0.04, 0.03, SECOND),
        box((0, 0, -w), (0.05, 0.05, 0.12), SECOND),
        # Tail rotor.
        disc((tail, 0.05, w * 0.5), 0.13, 0.02, Y, ACCENT),
    ]


def rocket(r: Random) -> list[Part]:
    """Build a hull with a pointed nose, three fins (one painted), a port-hole and a booster."""
    w, length, nose = r.uniform(0.15, 0.2), r.uniform(0.5, 0.65), r.uniform(0.3, 0.45)
    fin = r.uniform(0.25, 0.38)
    parts = [
        disc((0, 0, 0), w, length),
        rod((0, 0, length), (0, 0, length + nose), w, ACCENT, 0.15),
        # The nozzle.
        rod((0, 0, -length - 0.1), (0, 0, -length), w * 0.8, SECOND, 0.6),
    ]

    for x, y, paint in ((0.0, 1.0, ACCENT), (0.87, -0.5, SECOND), (-0.87, -0.5, SECOND)):
        tip = (x * (w + fin), y * (w + fin), -length * 1.05)
        parts.append(_fin((x * w, y * w, -length * 0.55), tip, 0.12, paint))

    # Port-hole, and the booster with its own nose.
    y, high = -w * 1.6, r.uniform(-0.1, 0.15)
    return [
        *parts,
        disc((0, w * 0.95, length * 0.45), w * 0.6, 0.05, Y, ACCENT),
        rod((0, y, -length * 0.9), (0, y, high), w * 0.6, SECOND),
        rod((0, y, high), (0, y, high + 0.2), w * 0.6, ACCENT, 0.1),
    ]


def boat(r: Random) -> list[Part]:
    """Build a hull with a raised prow, and a cabin or a mast with a sail."""
    length, w, h = r.uniform(0.55, 0.7), r.uniform(0.2, 0.26), r.uniform(0.1, 0.15)
    parts = [
        box((0, 0, 0), (length, w, h)),
        box((-0.04, 0, h), (length * 0.9, w * 0.82, 0.012), ACCENT),
    ]

    # The two sides of the prow.
    for s in SIDES:
        start, end = (length * 0.95, s * w * 0.55, 0.02), (length * 1.45, s * 0.02, 0.08)
        parts.append(bar(start, end, w * 0.42, h, SECOND))

    if r.random() < 0.5:
        mast = r.uniform(0.75, 1.0)
        return [
            *parts,
            rod((0.1, 0, 0), (0.1, 0, mast), 0.035, SECOND),
            bar((-0.2, 0, h + 0.1), (-0.05, 0, mast * 0.85), 0.015, 0.22, ACCENT),
        ]

    # Cabin, window and funnel.
    funnel = (-length * 0.6, 0, h + r.uniform(0.45, 0.6))
    return [
        *parts,
        box((-length * 0.35, 0, h + 0.15), (length * 0.35, w * 0.7, 0.15)),
        box((-length * 0.02, 0, h + 0.2), (0.02, w * 0.6, 0.07), ACCENT),
        rod((-length * 0.5, 0, h), funnel, 0.08, ACCENT),
    ]


def _wheels(along: tuple[float, ...], side: float, z: float, radius: float) -> list[Part]:
    """Return a pair of wheels on each axle."""
    return [disc((x, s * side, z), radius, 0.05, Y, SECOND) for x in along for s in SIDES]


def _vane(root: Vec, tip: Vec, chord: float) -> Part:
    """Return a thin level blade from root to tip."""
    return bar(root, tip, chord, 0.018, SECOND)


def _fin(root: Vec, tip: Vec, chord: float, paint: int = ACCENT) -> Part:
    """Return a thin upright blade from root to tip."""
    return bar(root, tip, 0.018, chord, paint)
