"""The panel of pictures beside the scene, as HTML: what is imagined, and what is really there."""

from dataclasses import dataclass

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

from seqjepa.explore.exploration import Answer, Exploration, Seen
from seqjepa.explore.pictures import data_uri, draw_map, pixels
from seqjepa.explore.poses import PoseSpace
from seqjepa.report import style
from seqjepa.report.strips import describe

REAL, IMAGINED, SEEN = style.VARIANTS[0], style.Z, style.INK


@dataclass(frozen=True)
class Figure:
    """A picture with words.

    Attributes:
        src: address of the image; empty for none.
        words: below it.
        more: words on a second line.
        share: of a bar below it, 0 to 1; None for no bar.
    """

    src: str
    words: str
    more: str = ""
    share: float | None = None


def write_panel(exploration: Exploration, seen: Seen, answer: Answer, run_dir: str) -> str:
    """Return the panel's HTML.

    Args:
        exploration: that was asked.
        seen: what was observed.
        answer: to the pose that was asked for.
        run_dir: of the run, for the command that trains a decoder.
    """
    space, bank = exploration.space, exploration.bank
    away = ""
    if not torch.equal(answer.real_pose, answer.pose):
        away = f"the nearest that exists, {space.apart(answer.pose, answer.real_pose)} off"
    drawn = answer.pictures

    nearest = []
    for place, similarity in zip(answer.nearest, answer.nearest_similarities, strict=True):
        name = exploration.observer.name(int(bank.labels[place]), int(bank.objects[place]))
        more = f"{space.apart(answer.pose, bank.poses[place])} · {float(similarity):.2f}"
        nearest.append(Figure(data_uri(pixels(bank.views[place])), name, more=more))

    attention = [None] * len(seen.views) if seen.attention is None else seen.attention.tolist()
    observed = [
        Figure(data_uri(pixels(view)), "" if share is None else f"{share:.0%}", share=share)
        for view, share in zip(seen.views, attention, strict=True)
    ]
    return _TEMPLATE.render(
        name=seen.subject.name,
        asked=_in_words(space, answer),
        real=Figure(data_uri(pixels(answer.real)), away),
        drawn=None if drawn is None else [data_uri(pixels(picture)) for picture in drawn],
        fixed=", ".join(name.replace("_", " ") for name in exploration.fixed),
        run_dir=run_dir,
        similarity=f"{answer.similarity:.2f}",
        beaten=f"{answer.beaten:.0%}",
        around="this object" if answer.surroundings is not None else "held-out objects",
        nearest=nearest,
        observed=observed,
        own=None if seen.attention is None else f"{1 - float(seen.attention.sum()):.0%}",
        remembers=exploration.model.method.remembers,
        map=_map(exploration, seen, answer),
        fixations=space.fixations,
        colours={"real": REAL, "imagined": IMAGINED, "seen": SEEN},
    )


def _in_words(space: PoseSpace, answer: Answer) -> str:
    """Return the action that was asked for in words."""
    if not space.fixations:
        return " ".join(describe(space.actions, answer.action.cpu()))
    scales = torch.tensor([scale for group in space.actions.groups for scale in group.scales])
    down, right = (100 * answer.action.cpu() * scales).tolist()
    vertical, horizontal = ("down" if down > 0 else "up"), ("right" if right > 0 else "left")
    return f"{abs(down):.0f} % of the side {vertical} and {abs(right):.0f} % {horizontal}"


def _map(exploration: Exploration, seen: Seen, answer: Answer) -> str | None:
    """Return the map with its marks; None if there is none."""
    bank = exploration.bank
    if bank.map is None or answer.places is None or seen.places is None:
        return None
    nearness = -exploration.space.distances(answer.pose, bank.poses)
    imagined, real = answer.places
    marks = [(place, "square", SEEN) for place in seen.places]
    marks += [(imagined, "dot", IMAGINED), (real, "ring", REAL)]
    return data_uri(draw_map(bank.map, nearness, marks))


_TEMPLATE = Environment(
    loader=PackageLoader("seqjepa.explore", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
).get_template("panel.html.jinja")
