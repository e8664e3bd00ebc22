"""Vessels, tools, instruments: each function draws one individual of its class from a generator."""

import math
from itertools import pairwise
from random import Random

from seqjepa.render.solids.parts import (
    ACCENT,
    SECOND,
    SIDES,
    Part,
    X,
    Y,
    ball,
    bar,
    box,
    disc,
    rod,
    tilted,
)


def mug(r: Random) -> list[Part]:
    """Build a stout cup with a square handle, a picture on its front and a dark inside."""
    w, h = r.uniform(0.3, 0.38), r.uniform(0.3, 0.45)
    body = disc((0, 0, 0), w, h, taper=r.uniform(0.8, 1.0))
    return [
        tilted(body, math.pi, X),  # the narrow end below
        _mouth(w, h),
        *_handle(w * 0.9, 0.3 * h, r.uniform(0.5, 0.65) * h, r.uniform(0.16, 0.24), 0.05),
        _label(w, h * 0.45),
    ]


def jug(r: Random) -> list[Part]:
    """Build a tall vessel, wide below, with a spout, a big handle opposite and a painted band."""
    w, h, top = r.uniform(0.26, 0.34), r.uniform(0.5, 0.7), r.uniform(0.5, 0.75)
    lip = w * top
    return [
        disc((0, 0, 0), w, h, taper=top),
        _mouth(lip, h),
        *_handle(w * 0.7, 0.1, h * 0.62, r.uniform(0.22, 0.32), 0.05),
        # The spout.
        bar((-lip * 0.7, 0, h * 0.86), (-lip - 0.16, 0, h * 1.06), 0.09, 0.06, SECOND),
        _label(w * 0.95, h * 0.25, -h * 0.3),
    ]


def bottle(r: Random) -> list[Part]:
    """Build a slim body, a shoulder, a neck with an ear and a cap, with a label on one side."""
    w, h, neck = r.uniform(0.2, 0.28), r.uniform(0.4, 0.55), r.uniform(0.3, 0.45)
    long = r.uniform(0.15, 0.3)
    return [
        disc((0, 0, 0), w, h),
        # Shoulder, neck and cap.
        disc((0, 0, h + 0.08), w, 0.08, taper=neck),
        disc((0, 0, h + 0.16 + long / 2), w * neck, long / 2),
        disc((0, 0, h + 0.2 + long), w * neck * 1.25, 0.06, paint=SECOND),
        # Label, ear, and a strip down the back.
        _label(w, h * r.uniform(0.4, 0.6), r.uniform(-0.3, 0.1) * h),
        *_handle(w * neck, h + 0.12 + long * 0.4, 0.09, r.uniform(0.1, 0.15), 0.035),
        box((0, -w * 0.95, -h * 0.2), (w * 0.25, 0.03, h * 0.6), SECOND),
    ]


def teapot(r: Random) -> list[Part]:
    """Build a round belly with a spout, a handle opposite, a lid with a knob, a painted front."""
    w, h = r.uniform(0.4, 0.48), r.uniform(0.3, 0.42)
    tip = (-w - r.uniform(0.22, 0.32), 0, h * r.uniform(0.6, 1.0))
    return [
        ball((0, 0, 0), (w, w, h)),
        # Lid and knob.
        disc((0, 0, h * 0.92), w * 0.45, 0.05, paint=SECOND),
        ball((0, 0, h + 0.1), (0.08, 0.08, 0.08), ACCENT),
        # Spout, handle and front.
        rod((-w * 0.75, 0, -h * 0.25), tip, 0.12, SECOND, 0.5),
        *_handle(w * 0.85, 0.05, h * 0.55, r.uniform(0.22, 0.3), 0.05),
        ball((0, w * 0.3, 0), (w * 0.6, w * 0.74, h * 0.6), ACCENT),
    ]


def watering_can(r: Random) -> list[Part]:
    """Build a drum with a long rising spout that ends in a rose, and a bow over its top."""
    w, h, reach = r.uniform(0.3, 0.38), r.uniform(0.28, 0.4), r.uniform(0.4, 0.6)
    rise, x = h + r.uniform(0.1, 0.3), -w - reach
    bow = [(w * 0.9, 0, -h * 0.4), (w * 1.3, 0, h + 0.2), (-w * 0.4, 0, h + 0.3), (-w * 0.6, 0, h)]
    return [
        disc((0, 0, 0), w, h),
        _mouth(w, h),
        # Spout and rose.
        rod((-w * 0.8, 0, -h * 0.5), (x, 0, rise), 0.09, SECOND, 0.6),
        rod((x + 0.04, 0, rise - 0.06), (x - 0.07, 0, rise + 0.09), 0.08, ACCENT),
        *(bar(start, end, 0.05, 0.05, SECOND) for start, end in pairwise(bow)),
        _label(w, h * 0.4),
    ]


def pan(r: Random) -> list[Part]:
    """Build a flat round vessel with a dark inside and one long handle."""
    w, h, length = r.uniform(0.4, 0.5), r.uniform(0.06, 0.16), r.uniform(0.5, 0.75)
    body = disc((0, 0, 0), w, h, taper=r.uniform(0.75, 0.95))
    tip = (w + length, 0, h * 0.4 + r.uniform(0.05, 0.2))
    return [
        tilted(body, math.pi, X),  # the narrow end below
        disc((0, 0, h), w * 0.86, 0.012, paint=ACCENT),
        # The handle, a lug opposite, and the foot.
        bar((w * 0.9, 0, h * 0.4), tip, 0.06, 0.035, SECOND),
        bar((-w * 0.9, 0, h * 0.5), (-w - 0.1, 0, h * 0.5), 0.1, 0.03, SECOND),
        disc((0, 0, -h - 0.01), w * 0.4, 0.012, paint=SECOND),
    ]


def hammer(r: Random) -> list[Part]:
    """Build a long handle and a head with a round face on one side and a wedge on the other."""
    length, head, t = r.uniform(0.6, 0.8), r.uniform(0.2, 0.28), r.uniform(0.05, 0.07)
    top = length * 0.8
    return [
        # Handle and grip.
        bar((0, 0, -length), (0, 0, top), t, t * 0.75),
        bar((0, 0, -length), (0, 0, -length * 0.35), t * 1.5, t * 1.3, SECOND),
        # Head, face and wedge.
        box((0, 0, top), (0.13, 0.1, 0.1), ACCENT),
        disc((head, 0, top), r.uniform(0.12, 0.16), 0.1, X, ACCENT),
        bar((-0.1, 0, length * 0.82), (-head - 0.22, 0, length * 0.7), 0.09, 0.04, ACCENT),
    ]


def guitar(r: Random) -> list[Part]:
    """Build a waisted flat body with a hole and a bridge, a long neck, a head with pegs."""
    w, d, neck = r.uniform(0.3, 0.38), r.uniform(0.08, 0.12), r.uniform(0.55, 0.75)
    upper, up = w * r.uniform(0.68, 0.82), w * 0.85
    top = up + upper * 0.6 + neck + 0.2
    return [
        disc((0, 0, 0), w, d, Y),
        disc((0, 0, up), upper, d, Y),
        # Hole, bridge and neck.
        disc((0, d + 0.005, up * 0.75), w * 0.3, 0.015, Y, ACCENT),
        box((0, d, -w * 0.35), (w * 0.4, 0.03, 0.04), ACCENT),
        box((0, d * 0.9, up + upper * 0.6 + neck / 2), (0.05, 0.035, neck / 2 + 0.15), SECOND),
        # The head, and the pegs on one side of it.
        box((0, d * 0.7, top), (0.09, 0.03, 0.12), ACCENT),
        box((0.13, d * 0.7, top), (0.05, 0.02, 0.1), SECOND),
    ]


def camera(r: Random) -> list[Part]:
    """Build a box with a lens in front, a viewfinder hump, a shutter button and a grip."""
    w, d, h = r.uniform(0.45, 0.58), r.uniform(0.16, 0.22), r.uniform(0.28, 0.36)
    long, lens, x = r.uniform(0.15, 0.4), r.uniform(0.19, 0.26), r.uniform(-0.08, 0.02)
    return [
        box((0, 0, 0), (w, d, h)),
        # Lens and glass.
        disc((x, d + long / 2, 0), lens, long / 2, Y, SECOND),
        disc((x, d + long, 0), lens * 0.75, 0.015, Y, ACCENT),
        # Hump, button, grip and back.
        box((x, 0, h + 0.06), (0.17, d * 0.8, 0.08), SECOND),
        disc((w * 0.7, 0, h + 0.03), 0.09, 0.05, paint=ACCENT),
        box((w * 0.8, d, -h * 0.1), (w * 0.18, 0.08, h * 0.85), ACCENT),
        box((0, -d, -h * 0.05), (w * 0.6, 0.02, h * 0.65), ACCENT),
    ]


def laptop(r: Random) -> list[Part]:
    """Build two leaves at an angle: keys and a touch pad below, a screen above; a badge behind."""
    w, d, t = r.uniform(0.55, 0.68), r.uniform(0.35, 0.45), r.uniform(0.025, 0.04)
    lean = r.uniform(0.05, 0.35)
    dy, dz = -math.sin(lean), math.cos(lean)

    # On the upper leaf, which leans back from its hinge at (0, -d, 0).
    x, y = w * 0.3, -d - t - 0.01
    badge = bar((x, y + d * dy, d * dz), (x, y + 1.5 * d * dy, 1.5 * d * dz), 0.12, 0.015, ACCENT)
    lid = bar((0, -d, 0), (0, -d + 2 * d * dy, 2 * d * dz), w, t)
    start = (0, -d + 0.03 + 0.2 * d * dy, 0.2 * d * dz)
    screen = bar(start, (0, -d + 0.03 + 1.8 * d * dy, 1.8 * d * dz), w * 0.88, t, ACCENT)

    # The flap below, the lower leaf, the upper one, keys and touch pad.
    return [
        badge,
        box((w * 0.55, d * 0.3, -t), (w * 0.3, d * 0.4, 0.015), ACCENT),
        box((0, 0, 0), (w, d, t)),
        lid,
        screen,
        box((0, -d * 0.3, t), (w * 0.88, d * 0.4, 0.015), SECOND),
        box((w * 0.1, d * 0.6, t), (0.14, d * 0.22, 0.015), ACCENT),
    ]


def _label(radius: float, half_height: float, z: float = 0.0) -> Part:
    """Return a patch of paint on the front of an upright tube: a thinner tube, moved forward."""
    return disc((0, radius * 0.12, z), radius * 0.93, half_height, paint=ACCENT)


def _mouth(radius: float, top: float) -> Part:
    """Return the dark disc that makes the top of a vessel look open."""
    return disc((0, 0, top), radius * 0.82, 0.012, paint=ACCENT)


def _handle(x: float, z: float, half_height: float, reach: float, thick: float) -> list[Part]:
    """Return a square loop that stands out from x towards +x."""
    arm = (reach / 2 + thick, thick, thick)
    arms = [box((x + reach / 2, 0, z + s * half_height), arm, SECOND) for s in SIDES]
    return [*arms, box((x + reach, 0, z), (thick, thick, half_height), SECOND)]
