"""Parametric object classes of the `shapes` world (`make_objects`), and pictures of them (`sample_latents`, `render_latents`)."""

from seqjepa.worlds.scene import render_latents, sample_latents
from seqjepa.worlds.solids.objects import CLASSES, PALETTES, UNSEEN_CLASSES, make_objects

__all__ = ["CLASSES", "PALETTES", "UNSEEN_CLASSES", "make_objects", "render_latents", "sample_latents"]
