"""The runs that the paper's tables are made of."""

from collections.abc import Sequence
from typing import Any

from seqjepa.reproduce.layout import Run

METHODS = {
    "SimCLR": "simclr",
    "BYOL": "byol",
    "VICReg": "vicreg",
    "VICReg-Traj": "vicreg_traj",
    "SEN": "sen",
    "EquiMod": "equimod",
    "SIE": "sie",
    "Conditional BYOL": "conditional_byol",
}
DATA_SETS = {
    "3DIEBench": "threediebench",
    "CIFAR-100": "cifar100",
    "Tiny ImageNet": "tiny_imagenet",
    "STL-10": "stl10",
}
AUGMENTATIONS = ("crop", "jitter", "blur")  # groups of actions of CIFAR-100 and Tiny ImageNet
# Views observed by the recipe of each data set: a step of it has as many views as equal views mean.
USUAL = {"threediebench": 3, "cifar100": 3, "tiny_imagenet": 3, "stl10": 4}
COLOUR = ("rotation", "floor_hue", "light_hue")


def conditioned(actions: Sequence[str], label: str) -> dict[str, Any]:
    """Return the arguments of a `Run` conditioned on these groups of actions."""
    return {"label": label, "changes": (("world.actions", tuple(actions)),)}


def ours(data: str, observed: int, about: str = "", *, equal_views: bool = False) -> Run:
    """Return a run of seq-JEPA.

    Args:
        data: the data set.
        observed: M.
        about: conditioned on: empty or `all` for the data set's own actions, `none`, `colour` for
            rotation and both hues, or the name of a group.
        equal_views: see `Run`; runs of the recipe's own M are the same in both ways.
    """
    equal_views = equal_views and observed != USUAL.get(data)
    return Run(data, "seq_jepa", observed, equal_views=equal_views, **_about(about))


def changed(data: str, observed: int, label: str, **changes: Any) -> Run:
    """Return a run of seq-JEPA with changed fields, in whose names `__` stands for a dot."""
    pairs = tuple((path.replace("__", "."), value) for path, value in changes.items())
    return Run(data, "seq_jepa", observed, label, pairs)


def baseline(data: str, method: str, about: str = "") -> Run:
    """Return a run of another method, by its name in tables; `about` as in `ours`.

    A `+` behind the name is for a transformer as projector.
    """
    name = METHODS[method.removesuffix("+")]
    if method.endswith("+"):
        return Run(
            data,
            name,
            label="transformer",
            changes=(("method.projector.kind", "transformer"),),
        )
    return Run(data, name, **_about(about))


def _about(about: str) -> dict[str, Any]:
    """Return the arguments of a `Run` for what it is conditioned on."""
    if about in ("", "all"):
        return {}
    if about == "none":
        return {"label": "no_actions", "changes": (("method.condition", "none"),)}
    return conditioned(COLOUR if about == "colour" else (about,), about)
