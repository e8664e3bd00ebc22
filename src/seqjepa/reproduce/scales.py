"""The experiments of the paper's runs at each scale: recipes, and changes to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seqjepa.config import Experiment, to_json, with_settings
from seqjepa.recipes import CONSTANT, recipe, with_method, with_views
from seqjepa.reproduce.layout import OOD, Run

Changes = Mapping[str, Any]
Paths = Mapping[str, str]

PICTURES, OTHER_PICTURES = DRAWN = ("pictures", "other_pictures")
"""The names of the pictures that the tiny scale draws itself, in place of an option's."""
SALIENCY = "saliency"
"""The end of options that name published saliency maps: `stl10_saliency`."""
OURS, STL10 = "seq_jepa", "stl10"

# Its own optimizer (docstring of `shapes_baseline`).
CONTEXT_SSL = {
    "optim.lr": 1e-4,
    "optim.lr_start": 0.0,
    "optim.lr_end": 0.0,
    "optim.warmup": 0.01,
    "optim.weight_decay": 1e-3,
}


@dataclass(frozen=True)
class Source:
    """The data of some runs, and their recipe.

    Attributes:
        recipe: of seq-JEPA, by name.
        data: the option that names the data, without dashes; one of `DRAWN` for those drawn here,
            empty where the world needs none.
        changes: fields of the experiment by their path in config.json.
        ood: name of the split out of distribution; empty if there is none.
    """

    recipe: str
    data: str
    changes: Changes = field(default_factory=dict)
    ood: str = ""


@dataclass(frozen=True)
class Scale:
    """The size of all runs.

    Attributes:
        name: on the command line.
        about: what differs from the paper, for the pages.
        sources: by `Run.data`, and other worlds by `Where.world`.
        changes: of every recipe, before another method takes the place of seq-JEPA.
        methods: changes of single methods.
        evaluation: seconds that an evaluation takes, roughly; 0 where training takes all the time.
    """

    name: str
    about: str
    sources: Mapping[str, Source]
    changes: Changes = field(default_factory=dict)
    methods: Mapping[str, Changes] = field(default_factory=dict)
    evaluation: float = 0.0

    def split(self, run: Run, split: str) -> str:
        """Return the name of a split as the records of a run have it."""
        return self.sources[run.data].ood if split == OOD else split


def build(run: Run, scale: Scale, paths: Paths, seed: int = 0) -> Experiment:
    """Return the experiment of a run.

    Args:
        run: what is trained.
        scale: how large.
        paths: of data, by the name of their option. Without, the path stays the recipe's.
        seed: of the run.
    """
    base = _base(scale, run.data, paths)

    # As many sequences in a step whatever the method, unless views are to be as many.
    train = replace(base.train, num_views=run.observed + 1)
    if run.equal_views:
        train = with_views(base.train, run.observed + 1)
    if run.method != OURS:
        base = replace(with_method(base, run.method), optim=CONSTANT)
        train = replace(train, num_views=base.method.reads or train.num_views)
        base = _alike(base)
    base = replace(base, train=train, name=f"{scale.name}_{run.name}", seed=seed)
    return with_settings(base, {**scale.methods.get(run.method, {}), **dict(run.changes)})


def elsewhere(experiment: Experiment, world: str, scale: Scale, paths: Paths) -> Experiment:
    """Return a run's experiment as it is asked about another world.

    Args:
        experiment: of the run.
        world: the other one, a key of `Scale.sources`.
        scale: how large.
        paths: see `build`.
    """
    other = _base(scale, world, paths)
    # Probes are those of its own recipe: ImageNet's learn from a share of its images.
    return replace(experiment, world=other.world, evaluate=other.evaluate)


def _base(scale: Scale, data: str, paths: Paths) -> Experiment:
    """Return the recipe of seq-JEPA at a scale, on the data that were named."""
    source = scale.sources[data]
    base, changes = recipe(source.recipe)(), {**scale.changes, **source.changes}
    if source.data in paths:
        changes["world.path"] = paths[source.data]
    maps = f"{source.data}_{SALIENCY}"
    if maps in paths and SALIENCY in to_json(base.world):
        changes[f"world.{SALIENCY}"] = paths[maps]
    return with_settings(base, changes)


def _alike(experiment: Experiment) -> Experiment:
    """Return the experiment with one policy for all views, if its world has two.

    Those that the released code gives to its baselines all follow that of observed views.
    """
    world = to_json(experiment)["world"]
    if "last" not in world:
        return experiment
    return with_settings(experiment, {"world.last": world["observed"]})


PAPER = Scale(
    name="paper",
    about="The recipes of the paper's setting, its probes, and all published training objects.",
    sources={
        "threediebench": Source(
            "threediebench", "threediebench", {"world.train_on_val": True}, ood="ood"
        ),
        "threediebench_high": Source(
            "threediebench_high", "threediebench", {"world.train_on_val": True}
        ),
        "cifar100": Source("cifar100_paper", "cifar100"),
        "tiny_imagenet": Source("tiny_imagenet_paper", "tiny_imagenet"),
        STL10: Source(STL10, STL10),
        # Whole images, for as many steps as patches.
        "stl10_images": Source(
            "cifar100_paper",
            STL10,
            {
                "world.source": STL10,
                "world.image_size": 96,
                "world.mean": None,
                "world.std": None,
                "train.steps": 390_625,
            },
        ),
        "imagenet_32": Source("imagenet", "imagenet"),
        "imagenet_84": Source("imagenet_84", "imagenet"),
    },
    changes={"evaluate.protocol": "paper"},
    methods={"context_ssl": CONTEXT_SSL},
)

OBJECTS = {"world.train_objects": 3000, "world.test_objects": 200, "world.views": 12}
SMALL = {"method.predict": "last", "world.val_fraction": 0.0}
PATCHES = {**SMALL, "world.image_size": 64, "world.patch_size": 20}
TINY = Scale(
    name="tiny",
    about=(
        "A look, not a result: `shapes` at 32 px stands for 3DIEBench, at 48 px with twice the "
        "batch for its high-compute setting, and pictures drawn by `shapes` for CIFAR-100 (24 px), "
        "Tiny ImageNet (32 px) and STL-10 (patches of 20 px from images of 64). Other drawn "
        "pictures stand for ImageNet, with patches of 20 px for 32 and of 24 for 84. The net is a "
        "quarter as wide, batches have 64 sequences, and training and probes end after few steps, "
        "before figures mean anything."
    ),
    sources={
        "threediebench": Source("shapes_tiny_last", "", OBJECTS, "ood_rotation"),
        "threediebench_high": Source(
            "shapes_tiny_last",
            "",
            {**OBJECTS, "world.image_size": 48, "train.batch_size": 128},
            "ood_rotation",
        ),
        "cifar100": Source("augmented", PICTURES, {**SMALL, "world.image_size": 24}),
        "tiny_imagenet": Source("augmented", PICTURES, {**SMALL, "world.image_size": 32}),
        STL10: Source("saccades", PICTURES, PATCHES),
        "stl10_images": Source("augmented", PICTURES, {**SMALL, "world.image_size": 48}),
        "imagenet_32": Source("saccades", OTHER_PICTURES, PATCHES),
        "imagenet_84": Source("saccades", OTHER_PICTURES, {**PATCHES, "world.patch_size": 24}),
    },
    changes={
        # Table 4 needs the paper's width of actions; heads and momentum stay the demo's.
        "method.action_width": 128,
        "train.steps": 100,
        "evaluate.objects": 800,
        "evaluate.draws": 2,
        "evaluate.max_steps": 100,
    },
    evaluation=15.0,
)
SCALES = {scale.name: scale for scale in (PAPER, TINY)}
