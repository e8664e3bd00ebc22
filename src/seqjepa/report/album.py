"""The pictures that need a trained model and its world."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqjepa.errors import CheckpointError, DataError
from seqjepa.keys import draw_key
from seqjepa.model import load
from seqjepa.report import maps, neighbours, sample, strips
from seqjepa.report.neighbours import Nearness
from seqjepa.report.runs import Variant
from seqjepa.report.sample import Sample
from seqjepa.report.style import MARKERS, Picture, picture

COMPARED = {"z": "in z", "agg": "in z_AGG", "chance": "drawn at random"}
STRIPS, LONGEST = 4, 5  # sequences shown, and views of each at most


@dataclass(frozen=True, kw_only=True)
class Album:
    """The pictures that need a variant's model and world; of its first run.

    Attributes:
        label: of the variant.
        world: the world's config, as JSON data.
        missing: why there are no pictures; all that follows is empty then.
        strips: sample sequences.
        maps: of z and z_AGG.
        legend: name, colour and character of each class.
        neighbours: in z and z_AGG.
        nearness: the same in figures, with the name of what was compared.
        objects, classes: how many objects the figures are about, and of how many classes.
    """

    label: str
    world: Mapping[str, Any]
    missing: str = ""
    strips: Picture | None = None
    maps: Sequence[Picture] = ()
    legend: Sequence[tuple[str, str, str]] = ()
    neighbours: Sequence[Picture] = ()
    nearness: Sequence[tuple[str, Nearness]] = ()
    objects: int = 0
    classes: int | None = None

    @property
    def pictures(self) -> list[Picture]:
        """All of them."""
        return [picture for picture in (self.strips, *self.maps, *self.neighbours) if picture]

    @property
    def has_angle(self) -> bool:
        """Whether rotations can be compared."""
        return any(not math.isnan(near.angle) for _, near in self.nearness)


def make(variant: Variant, name: str) -> Album:
    """The album of a variant's first run.

    Args:
        variant: trained; where there is no checkpoint yet or the data is not here, the album says
            so.
        name: what its PNG files begin with.
    """
    first = variant.runs[0]
    try:
        model = load(first.folder)
        world = model.experiment.world.build()
    except (CheckpointError, DataError) as error:
        return Album(
            label=variant.label, world=first.config["world"], missing=f"No pictures: {error}"
        )
    drawn = sample.draw(model, world)
    index = neighbours.examples(drawn, STRIPS)
    length = min(model.experiment.train.num_views, LONGEST, world.spec.views_per_object or LONGEST)
    few = world.sequences(
        "test", drawn.index[index], length, draw_key(0, "test", 0, drawn.index[index])
    )
    told, untold = strips.factors_in_words(world.spec)
    caption = f"Actions: the change of {told}." if told else "Without actions."
    if untold:
        caption += f" What changes besides is no part of them: {untold}."
    if any(g.is_rotation for g in world.spec.actions.groups):
        caption += " A globe shows the turn as the camera of shapes and 3DIEBench sees it, the numbers its axis in the object’s own frame."
    return Album(
        label=variant.label,
        world=first.config["world"],
        strips=picture(
            f"{name}sequences",
            strips.draw_strips(few, world.spec),
            "Sequences of views with the actions between them",
            caption,
        ),
        maps=_maps(drawn, name),
        legend=[
            (words, colour, MARKERS[marker]) for words, colour, marker, _ in maps.legend(drawn)
        ],
        neighbours=_neighbours(drawn, name),
        nearness=[(words, neighbours.nearness(drawn, key)) for key, words in COMPARED.items()],
        objects=len(drawn.labels),
        classes=len(drawn.classes) or None,
    )


def _maps(drawn: Sample, name: str) -> list[Picture]:
    points, where = maps.mapped_views(drawn)
    pictures = []
    if drawn.classes:
        figure = maps.map_by_class(points, drawn.labels[where[:, 0]], drawn, "z of views, by class")
        pictures.append(
            picture(
                f"{name}map_z_class",
                figure,
                "UMAP of z coloured by class",
                f"z of {len(points):,} views.",
            )
        )
    figure = maps.map_by_factor(points, where, maps.best_ordered(drawn), "z of views, by")
    kind = "angle" if drawn.rotations is not None else "factor"
    caption = f"The same points, coloured by the {kind} that neighbours in z agree on most."
    pictures.append(
        picture(
            f"{name}map_z_factor", figure, "UMAP of z coloured by a factor of the pose", caption
        )
    )
    if drawn.classes:
        figure = maps.map_by_class(
            maps.umap(drawn.agg), drawn.labels, drawn, "z_AGG of sequences, by class"
        )
        caption = f"z_AGG of {len(drawn.agg)} sequences of {drawn.z.shape[1]} views."
        pictures.append(
            picture(f"{name}map_agg_class", figure, "UMAP of z_AGG coloured by class", caption)
        )
    return pictures


def _neighbours(drawn: Sample, name: str) -> list[Picture]:
    captions = {
        "z": "One view against all views."
        + " Degrees: rotation from the query to the neighbour." * (drawn.rotations is not None),
        "agg": f"Sequences of {drawn.z.shape[1]} views against each other, each shown by its first view.",
    }
    return [
        picture(
            f"{name}neighbours_{key}",
            neighbours.draw_neighbours(drawn, key),
            f"Nearest neighbours in {key}",
            caption,
        )
        for key, caption in captions.items()
    ]
