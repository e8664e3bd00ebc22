"""Parametric object classes of the `shapes` world."""

from seqjepa.render.solids.objects import CLASSES, PALETTES, RADIUS, UNSEEN_CLASSES, make_objects

__all__ = ["CLASSES", "PALETTES", "RADIUS", "UNSEEN_CLASSES", "make_objects"]
