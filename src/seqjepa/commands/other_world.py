"""The world that a run is asked about, where that is not its own: a recipe's, or data at a path.

A path is recognised by what it holds, as `seqjepa data check` does. Images are seen as in the run,
if its world makes views of images (`saccades`, `augmented`); otherwise as they are, one view each.
Every world has views of the size that the run was trained on, where it can.
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from seqjepa.config import Experiment
from seqjepa.display import warn
from seqjepa.errors import ConfigError, unknown
from seqjepa.reading.findings import Look
from seqjepa.recipes import recipe, recipes
from seqjepa.worlds import augmented, saccades, threediebench
from seqjepa.worlds.base import WorldConfig, WorldSpec
from seqjepa.worlds.recognise import image_format, world_configs
from seqjepa.worlds.views.policy import Policy

MOST_VIEWS = 50  # of each object of 3DIEBench or its like: as many as that has
# Augmentation that changes nothing.
PLAIN = Policy(scale=(1.0, 1.0), ratio=(1.0, 1.0), p_flip=0, p_jitter=0, p_gray=0, p_blur=0)


def find_world(what: str, experiment: Experiment, trained: WorldSpec) -> WorldConfig:
    """Return the config of another world, with views as a run's own.

    Args:
        what: a recipe's name, a Python file with a recipe, or the path of data.
        experiment: of the run.
        trained: of the run's world.

    Raises:
        ConfigError: if there is no such recipe or path, or no world reads what is there.
    """
    known = recipes()
    if what in known or what.endswith(".py"):
        return _resized(recipe(what)().world, trained.image_shape[-1])

    path = Path(what).expanduser()
    if not path.exists():
        raise ConfigError(f"{unknown('recipe', what, known)}. Nor is there data at {path}")
    found = _views_at(path, what, trained) or _images_at(path, what, experiment, trained)
    if found is None:
        raise ConfigError(
            f"{path} is not in a format that a world of seqjepa reads: `seqjepa data check` says "
            "what it holds"
        )
    return found


def _resized(config: WorldConfig, side: int) -> WorldConfig:
    """Return a world's config with views of so many pixels per side, where it has such a field."""
    names = [field.name for field in fields(config)]
    for name in ("patch_size", "image_size"):
        if name in names:
            size: Any = {name: side}
            return replace(config, **size)
    return config


def _views_at(path: Path, what: str, trained: WorldSpec) -> WorldConfig | None:
    """Return the config of a world whose files hold views of objects, or None."""
    for config in world_configs():
        names = {field.name for field in fields(config)}
        # Worlds with a source make views of images, which have formats of their own.
        if "path" not in names or "source" in names:
            continue
        if config.inspect(path, Look(quick=True)) is None:
            continue
        options: dict[str, Any] = {"path": what}
        if config is threediebench.Config:
            store = threediebench.open_store(what, "--world")
            options["views"] = min(MOST_VIEWS, threediebench.views_of(store))
        return _resized(config(**options), trained.image_shape[-1])
    return None


def _images_at(
    path: Path, what: str, experiment: Experiment, trained: WorldSpec
) -> WorldConfig | None:
    """Return the config of a world of labelled images, or None."""
    source, own = image_format(path), experiment.world
    if source is None:
        return None
    if isinstance(own, augmented.Config):
        return replace(own, source=source, path=what)
    if isinstance(own, saccades.Config):
        seen = replace(own, source=source, path=what)
        # Maps that were computed elsewhere are those of the run's images.
        if own.saliency not in saccades.BUILT_IN:
            warn("fixations follow the built-in saliency: --world.saliency FOLDER for other maps")
            seen = replace(seen, saliency=saccades.BUILT_IN[0])
        return seen
    return augmented.Config(
        source=source,
        path=what,
        image_size=trained.image_shape[-1],
        actions=(),
        observed=PLAIN,
        last=PLAIN,
    )
