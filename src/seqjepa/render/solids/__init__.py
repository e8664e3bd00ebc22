"""Parametric object classes of the `shapes` world."""

from seqjepa.render.solids.objects import CLASSES, PALETTES, UNSEEN_CLASSES, make_objects

__all__ = ["CLASSES", "PALETTES", "UNSEEN_CLASSES", "make_objects"]
