"""Animals and a snowman: each function draws one individual of its class from a generator.

They all look towards +x.
"""

from random import Random

from seqjepa.render.solids.parts import (
    ACCENT,
    CORNERS,
    SECOND,
    SIDES,
    Part,
    Vec,
    ball,
    bar,
    box,
    disc,
    rod,
)


def dog(r: Random) -> list[Part]:
    """Build a short-legged body with a big head, a muzzle, hanging ears and a raised tail."""
    length, w, leg = r.uniform(0.38, 0.5), r.uniform(0.16, 0.21), r.uniform(0.25, 0.38)
    head, up = r.uniform(0.18, 0.23), r.uniform(0.15, 0.28)
    x, ear = length + 0.08, (0.07, 0.03, 0.13)
    return [
        ball((0, 0, 0), (length * 1.1, w, w * 1.1)),
        *_legs(length * 0.7, w * 0.65, leg, 0.06),
        # Neck, head, muzzle and ears.
        rod((length * 0.7, 0, 0.05), (x, 0, up), 0.12),
        ball((x, 0, up), (head, head * 0.85, head * 0.9)),
        box((x + head, 0, up - 0.05), (0.13, 0.08, 0.07), ACCENT),
        *(box((x - 0.05, s * head * 0.85, up + 0.02), ear, ACCENT) for s in SIDES),
        # Tail.
        rod((-length, 0, 0.05), (-length - 0.22, 0, r.uniform(0.15, 0.4)), 0.05, SECOND),
    ]


def horse(r: Random) -> list[Part]:
    """Build a long-legged body with a rising neck, a long head, a mane and a hanging tail."""
    length, w, leg = r.uniform(0.4, 0.48), r.uniform(0.16, 0.2), r.uniform(0.5, 0.62)
    up = r.uniform(0.42, 0.55)
    x = length + 0.18
    return [
        ball((0, 0, 0), (length * 1.1, w, w * 1.15)),
        *_legs(length * 0.75, w * 0.6, leg, 0.05),
        # Neck and head.
        rod((length * 0.7, 0, 0.0), (x, 0, up), 0.14, taper=0.7),
        bar((x - 0.06, 0, up + 0.02), (x + 0.3, 0, up - 0.16), 0.08, 0.09),
        # Mane, tail and ears.
        bar((length * 0.62, 0, 0.12), (x - 0.14, 0, up + 0.06), 0.03, 0.07, ACCENT),
        rod((-length * 0.95, 0, 0.08), (-length - 0.22, 0, -0.3), 0.07, ACCENT, 0.5),
        *(box((x - 0.06, s * 0.06, up + 0.11), (0.03, 0.02, 0.07), ACCENT) for s in SIDES),
    ]


def fish(r: Random) -> list[Part]:
    """Build a flat oval body with a tail fin, a back fin, a lighter belly, eyes and side fins."""
    length, w, h = r.uniform(0.5, 0.65), r.uniform(0.14, 0.2), r.uniform(0.24, 0.34)
    parts = [
        ball((0, 0, 0), (length, w, h)),
        ball((0.02, 0, -h * 0.2), (length * 0.9, w * 0.95, h * 0.85), SECOND),
    ]

    # Tail fin and back fin.
    start: Vec = (-length * 0.8, 0, 0)
    for s in SIDES:
        end: Vec = (-length - 0.28, 0, s * r.uniform(0.25, 0.36))
        parts.append(bar(start, end, 0.025, 0.09, ACCENT))
    end = (-length * 0.35, 0, h + r.uniform(0.08, 0.2))
    parts.append(bar((length * 0.2, 0, h * 0.85), end, 0.025, 0.12, ACCENT))

    # Eyes and side fins.
    eye = (0.075, 0.06, 0.075)
    parts += [ball((length * 0.62, s * w * 0.6, h * 0.2), eye, ACCENT) for s in SIDES]
    for s in SIDES:
        start, end = (length * 0.2, s * w * 0.8, -h * 0.3), (-0.12, s * (w + 0.16), -h * 0.7)
        parts.append(bar(start, end, 0.08, 0.02, ACCENT))
    return parts


def bird(r: Random) -> list[Part]:
    """Build a plump body with a head, a beak, two raised wings, a tail and legs."""
    length, w = r.uniform(0.34, 0.42), r.uniform(0.22, 0.28)
    head, up, wing = r.uniform(0.15, 0.19), r.uniform(0.22, 0.34), r.uniform(0.45, 0.65)
    x = length * 0.9
    parts = [
        ball((0, 0, 0), (length, w, w)),
        ball((x, 0, up), (head, head, head)),
        rod((x + head * 0.7, 0, up), (x + head + 0.22, 0, up - 0.04), 0.08, ACCENT, 0.1),
    ]

    # The wings are not raised alike.
    for s in SIDES:
        tip = (-0.2, s * (w + wing), r.uniform(0.1, 0.35))
        parts.append(bar((-0.02, s * w * 0.7, 0.1), tip, 0.17, 0.02, SECOND))

    # Tail, neck and legs.
    return [
        *parts,
        bar((-length * 0.8, 0, 0.03), (-length - 0.35, 0, 0.1), 0.14, 0.02, ACCENT),
        rod((x * 0.6, 0, 0.05), (x, 0, up), 0.11),
        *(rod((0, s * 0.1, -w * 0.8), (0.05, s * 0.1, -w - 0.22), 0.03, ACCENT) for s in SIDES),
    ]


def snowman(r: Random) -> list[Part]:
    """Build three balls, a hat, a long nose, a scarf, one waving arm and a row of buttons."""
    a = r.uniform(0.34, 0.4)
    b, c = a * r.uniform(0.68, 0.8), a * r.uniform(0.5, 0.6)
    z1 = a * 0.75 + b * 0.6
    z2 = z1 + b * 0.7 + c * 0.6
    return [
        ball((0, 0, 0), (a, a, a)),
        ball((0, 0, z1), (b, b, b)),
        ball((0, 0, z2), (c, c, c)),
        # The hat's brim and crown, and the nose.
        disc((0, 0, z2 + c * 0.75), c * 1.2, 0.03, paint=ACCENT),
        disc((0, 0, z2 + c * 1.2), c * 0.75, c * 0.5, paint=ACCENT),
        rod((c * 0.8, 0, z2), (c + r.uniform(0.2, 0.35), 0, z2), 0.07, ACCENT, 0.1),
        # Scarf, arm and buttons.
        disc((0, 0, z1 + b * 0.8), c * 0.95, 0.05, paint=SECOND),
        rod((0, b * 0.8, z1), (0.1, b + r.uniform(0.3, 0.45), z1 + 0.25), 0.04, SECOND),
        box((b * 0.95, 0, z1), (0.05, 0.06, b * 0.6), ACCENT),
    ]


def _legs(x: float, y: float, length: float, radius: float) -> list[Part]:
    """Return four legs from the plane z = 0 down, at (+-x, +-y)."""
    return [rod((i * x, j * y, 0), (i * x, j * y, -length), radius, SECOND) for i, j in CORNERS]
