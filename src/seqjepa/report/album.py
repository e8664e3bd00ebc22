"""The pictures that need a trained model and its world."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqjepa.display import warn
from seqjepa.errors import CheckpointError, ConfigError, DataError
from seqjepa.keys import draw_key
from seqjepa.model import Model, load
from seqjepa.report import imagined, maps, neighbours, sample, strips
from seqjepa.report.decoded import draw_decoded
from seqjepa.report.neighbours import Nearness
from seqjepa.report.runs import Variant
from seqjepa.report.sample import Sample
from seqjepa.report.style import MARKERS, Picture, picture
from seqjepa.runs.folder import warn_of_changed_data
from seqjepa.runs.movable import build_world, move
from seqjepa.world_model.decoder import load_decoder
from seqjepa.world_model.model import WorldModel
from seqjepa.worlds.base import World, WorldSpec

# Neighbours drawn at random show what the figures would be without a representation.
COMPARED = {"z": "in z", "agg": "in z_AGG", "chance": "drawn at random"}
STRIPS, LONGEST = 4, 5  # sequences shown, and views of each at most
DECODED = 2  # objects whose imagined views are drawn


@dataclass(frozen=True, kw_only=True)
class Album:
    """The pictures that need a variant's model and world, those of its first run.

    Attributes:
        label: the variant's.
        world: the world's config, as JSON data.
        missing: why there are no pictures; all that follows is empty then.
        strips: sample sequences.
        imagined: what the predictor expects to see; None if there is no predictor of actions.
        decoded: what is imagined, drawn by the run's decoder.
        maps: of z and z_AGG.
        legend: name, colour and character of each class.
        neighbours: in z and z_AGG.
        nearness: the same in figures, with the name of what was compared.
        no_decoded, no_maps, no_neighbours: why some of these pictures were left out; empty if none
            were.
        objects: number of objects that the figures are about.
        classes: number of their classes.
    """

    label: str
    world: Mapping[str, Any]
    missing: str = ""
    strips: Picture | None = None
    imagined: Picture | None = None
    decoded: Picture | None = None
    maps: Sequence[Picture] = ()
    legend: Sequence[tuple[str, str, str]] = ()
    neighbours: Sequence[Picture] = ()
    nearness: Sequence[tuple[str, Nearness]] = ()
    no_decoded: str = ""
    no_maps: str = ""
    no_neighbours: str = ""
    objects: int = 0
    classes: int | None = None

    @property
    def pictures(self) -> list[Picture]:
        """All pictures."""
        single = (self.strips, self.imagined, self.decoded)
        return [picture for picture in (*single, *self.maps, *self.neighbours) if picture]

    @property
    def has_angle(self) -> bool:
        """True if rotations can be compared."""
        return any(not math.isnan(near.angle) for _, near in self.nearness)


def make_album(variant: Variant, prefix: str, paths: Mapping[str, str]) -> Album:
    """Draw the album of a variant's first run.

    Args:
        variant: trained; without a checkpoint or its data, the album says that they are missing.
        prefix: what the names of its PNG files begin with.
        paths: where its data are now, as for `evaluate`.
    """
    first = variant.runs[0]
    try:
        model = load(first.folder)
        world = build_world(move(model.experiment, paths).world)
    except (CheckpointError, DataError) as error:
        return Album(
            label=variant.label, world=first.config["world"], missing=f"No pictures: {error}"
        )

    warn_of_changed_data(first.folder, world.spec, warn)
    drawn = sample.draw(model, world)
    legend = maps.legend(drawn)
    decoded, no_decoded = _decoded(first.folder, model, drawn, world, prefix)
    drawn_maps, no_maps = _maps(drawn, prefix)
    # Neighbours are other objects.
    several = len(drawn.labels) > 1
    return Album(
        label=variant.label,
        world=first.config["world"],
        strips=_strips(drawn, world, model.experiment.train.num_views, prefix),
        imagined=_imagined(model, drawn, world, prefix),
        decoded=decoded,
        maps=drawn_maps,
        legend=[(name, colour, MARKERS[marker]) for name, colour, marker, _ in legend],
        neighbours=_neighbours(drawn, prefix) if several else (),
        nearness=[(words, neighbours.nearness(drawn, key)) for key, words in COMPARED.items()]
        if several
        else (),
        no_decoded=no_decoded,
        no_maps=no_maps,
        no_neighbours="" if several else "Left out: neighbours need two objects, there is one.",
        objects=len(drawn.labels),
        classes=len(drawn.classes) or None,
    )


def _strips(drawn: Sample, world: World, num_views: int, prefix: str) -> Picture:
    """Draw a few sequences, as long as those of training where there is room."""
    spec = world.spec
    index = drawn.index[neighbours.examples(drawn, STRIPS)]
    length = world.at_most(min(num_views, LONGEST), "test")
    # The key is the same for all runs: models of a world are shown the same views.
    batch = world.sequences("test", index, length, draw_key(0, "test", 0, index))
    figure = strips.draw_strips(batch, spec)
    alt = "Sequences of views with the actions between them"
    return picture(f"{prefix}sequences", figure, alt, _strips_caption(spec))


def _imagined(model: Model, drawn: Sample, world: World, prefix: str) -> Picture | None:
    """Draw what the predictor expects to see; nothing if it predicts no views from actions."""
    if not (model.method.predicts and world.spec.actions.groups):
        return None
    index = drawn.index[neighbours.examples(drawn, STRIPS)]
    figure = imagined.draw_imagined(model, world, index)
    alt = "Views, actions, and the views nearest to what the predictor expects"
    caption = (
        "A view, an action, the view that it leads to, and the object’s views that are nearest to "
        "what the predictor expects. The right one is framed."
    )
    return picture(f"{prefix}imagined", figure, alt, caption)


def _decoded(
    run_dir: Path, model: Model, drawn: Sample, world: World, prefix: str
) -> tuple[Picture | None, str]:
    """Draw what is imagined with the run's decoder; or return why not."""
    try:
        world_model = WorldModel(model, load_decoder(run_dir, model, warn))
    except (CheckpointError, ConfigError) as error:
        # The folders of this machine are private.
        return None, f"Left out: {str(error).replace(str(run_dir), run_dir.name)}"
    if world_model.decoder is None:
        return (
            None,
            "Not drawn yet: seqjepa decode RUN_DIR trains a decoder of what is imagined.",
        )

    index = drawn.index[neighbours.examples(drawn, DECODED)]
    figure = draw_decoded(world_model, world, index)
    caption = (
        "A view, and for each of some actions the view that it leads to, what is imagined of it, "
        "and the best that the decoder can draw: its picture of the true view’s own features."
    )
    if fixed := world_model.decoder.layout.fixed:
        names = ", ".join(name.replace("_", " ") for name in fixed)
        caption += f" All but the first have one value of what actions do not change: {names}."
    alt = "What the model imagines, drawn by its decoder"
    return picture(f"{prefix}decoded", figure, alt, caption), ""


def _strips_caption(spec: WorldSpec) -> str:
    """Return what the actions are, what changes without them, and how to read a globe."""
    acted, others = strips.factors_in_words(spec)
    caption = f"Actions: the change of {acted}." if acted else "Without actions."
    if others:
        caption += f" What changes besides is no part of them: {others}."
    if any(group.is_rotation for group in spec.actions.groups):
        caption += (
            " A globe shows the turn as the camera of shapes and 3DIEBench sees it,"
            " the numbers its axis in the object’s own frame."
        )
    return caption


def _maps(drawn: Sample, prefix: str) -> tuple[list[Picture], str]:
    """Draw the maps of z, and that of z_AGG where there are classes to colour it by.

    Also return why some were left out.
    """
    pictures, missing = [], []
    if reason := maps.why_not(drawn.z.reshape(-1, drawn.z.shape[-1])):
        missing.append(f"z: {reason}")
    else:
        pictures += _maps_of_views(drawn, prefix)

    if drawn.classes and (reason := maps.why_not(drawn.agg)):
        missing.append(f"z_AGG: {reason}")
    elif drawn.classes:
        placed = maps.umap(drawn.agg)
        figure = maps.map_by_class(placed, drawn.labels, drawn, "z_AGG of sequences, by class")
        alt = "UMAP of z_AGG coloured by class"
        caption = f"z_AGG of {len(drawn.agg)} sequences of {drawn.z.shape[1]} views."
        pictures.append(picture(f"{prefix}map_agg_class", figure, alt, caption))
    return pictures, f"Left out: {'; '.join(missing)}." if missing else ""


def _maps_of_views(drawn: Sample, prefix: str) -> list[Picture]:
    """Draw the map of z, coloured by class and by a factor, as far as there are such."""
    points, where = maps.mapped_views(drawn)
    pictures = []
    if drawn.classes:
        labels = drawn.labels[where[:, 0]]
        figure = maps.map_by_class(points, labels, drawn, "z of views, by class")
        alt, caption = "UMAP of z coloured by class", f"z of {len(points):,} views."
        pictures.append(picture(f"{prefix}map_z_class", figure, alt, caption))

    if (factor := maps.best_ordered(drawn)) is not None:
        figure = maps.map_by_factor(points, where, factor, "z of views, by")
        kind = "angle" if drawn.rotations is not None else "factor"
        alt = "UMAP of z coloured by a factor of the pose"
        caption = f"The same points, coloured by the {kind} that neighbours in z agree on most."
        pictures.append(picture(f"{prefix}map_z_factor", figure, alt, caption))
    return pictures


def _neighbours(drawn: Sample, prefix: str) -> list[Picture]:
    """Draw nearest neighbours in both representations."""
    of_view = "One view against all views."
    if drawn.rotations is not None:
        of_view += " Degrees: rotation from the query to the neighbour."
    of_sequence = (
        f"Sequences of {drawn.z.shape[1]} views against each other, each shown by its first view."
    )

    pictures = []
    for key, caption in (("z", of_view), ("agg", of_sequence)):
        figure = neighbours.draw_neighbours(drawn, key)
        alt = f"Nearest neighbours in {key}"
        pictures.append(picture(f"{prefix}neighbours_{key}", figure, alt, caption))
    return pictures
