"""Experiment: everything that decides a run, as frozen dataclasses, to JSON and back."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from seqjepa import checks, plugins
from seqjepa.errors import ConfigError, unknown
from seqjepa.from_json import added_in, build_dataclass
from seqjepa.methods.base import MethodConfig
from seqjepa.nn import EncoderConfig
from seqjepa.worlds.base import WorldConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW with linear warm-up and cosine decay per step (seq-JEPA, section 3.2).

    Weights of matrices and convolutions decay, and nothing else.

    Attributes:
        lr: peak learning rate.
        lr_start: at the first step.
        lr_end: at the last step.
        warmup: fraction of the steps that warm up (paper: 20 of 1000 epochs).
        weight_decay: decoupled.
    """

    section: ClassVar[str] = "optim."
    lr: float = 4e-4
    lr_start: float = 1e-5
    lr_end: float = 1e-5
    warmup: float = 0.02
    weight_decay: float = 1e-3

    def __post_init__(self) -> None:
        checks.not_negative(self, "lr", "lr_start", "lr_end", "weight_decay")
        checks.below_one(self, "warmup")

    def require_rise(self) -> None:
        """Raise a ConfigError if the warm-up would lead downwards.

        It is asked before training only, so that runs of earlier versions can be loaded.
        """
        if self.warmup > 0 and self.lr_start > self.lr:
            raise ConfigError(
                "the warm-up would lead downwards, "
                f"from optim.lr_start {self.lr_start} to optim.lr {self.lr}: "
                f"set optim.lr_start to at most {self.lr}, or optim.warmup to 0"
            )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Length and shape of the training run.

    Attributes:
        steps: optimizer steps.
        batch_size: sequences per step.
        num_views: T, views per sequence; of seq-JEPA M observed ones and the one to predict.
        accumulate: micro-batches per step; batch_size must be a multiple. BatchNorm, and losses
            that compare samples, see micro-batches.
        precision: `bf16` (autocast), `fp32`, or `auto`: bf16 where the hardware computes in it.
        log_every: steps between lines of metrics.jsonl.
        checkpoint_every: steps between checkpoints, which is the most that a crash can cost.
        health: log LiDAR and alpha-ReQ of the views of each logged batch, too, beside their RankMe.
            On a CPU the demo takes 0.12 % longer at most: 5.6 ms every 25 steps of 182 ms; 256
            views of 512 features take 86 ms, 2,048 take 0.2 s.
    """

    section: ClassVar[str] = "train."
    steps: int = 10_000
    batch_size: int = 512
    num_views: int = 4
    accumulate: int = 1
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    log_every: int = 50
    checkpoint_every: int = 1000
    health: bool = added_in(5, False)

    @property
    def views_per_step(self) -> int:
        """The number of views in the sequences of a step."""
        return self.batch_size * self.num_views

    def __post_init__(self) -> None:
        checks.at_least(self, steps=1, num_views=1, accumulate=1, log_every=1, checkpoint_every=1)
        # BatchNorm needs two samples.
        if self.batch_size < 2 * self.accumulate:
            raise ConfigError(
                f"train.batch_size must be at least {2 * self.accumulate}, two for each of the "
                f"train.accumulate micro-batches, got {self.batch_size}"
            )
        if self.batch_size % self.accumulate:
            raise ConfigError(
                f"train.batch_size {self.batch_size} must be a multiple of train.accumulate "
                f"{self.accumulate}"
            )


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Settings of the probes on frozen features (seq-JEPA, appendix A.2, has the defaults).

    Attributes:
        views: largest number M of views that are aggregated, as far as objects have so many.
        objects: training objects that probes learn from, at most; None for all.
        encoded_views: views of each object whose features are cached, at most; where the order of
            views means something, as in saccades, they are those of `draws` sequences of `views`
            views instead.
        draws: random sequences of each object whose z_AGG are cached, for training and for testing.
        precision: of the frozen forward passes and of training probes that converge, as in
            `train.precision`.
        protocol: `converged`: probes learn until they no longer improve on training objects that
            are held out; `paper`: for as long as the paper's, in fp32.
        max_steps: where a probe that has not converged is stopped; results say so.
    """

    section: ClassVar[str] = "evaluate."
    views: int = 8
    objects: int | None = None
    encoded_views: int = 50
    draws: int = 4
    precision: Literal["auto", "bf16", "fp32"] = "fp32"
    protocol: Literal["converged", "paper"] = added_in(4, "converged")
    max_steps: int = added_in(4, 30_000)

    def __post_init__(self) -> None:
        checks.positive(self, "views", "draws", "max_steps")
        checks.at_least(self, encoded_views=2, objects=1)

    def encoded(self, ordered: bool) -> tuple[int, int]:
        """Return the number of sequences of each object to encode, and their views at most.

        Where the order of views means nothing, a single sequence holds them all.
        """
        return (self.draws, self.views) if ordered else (1, self.encoded_views)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A whole experiment; `to_json` and `from_json` are inverse to each other.

    Attributes:
        name: of the recipe it came from.
        method: what is learned.
        world: from what.
        encoder: with which backbone.
        optim, train, evaluate: how.
        seed: of initial weights, data order, view draws and dropout.
    """

    name: str
    method: MethodConfig
    world: WorldConfig
    encoder: EncoderConfig
    optim: OptimConfig
    train: TrainConfig
    evaluate: EvaluateConfig
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must be at least 0 and below 2^32, got {self.seed}")


def to_json(config: Any) -> dict[str, Any]:
    """Return a config dataclass as plain JSON data; methods and worlds carry their `kind`."""
    data: dict[str, Any] = {}
    if isinstance(config, MethodConfig | WorldConfig):
        data["kind"] = kind(type(config))
    return data | {
        field.name: plain(getattr(config, field.name)) for field in dataclasses.fields(config)
    }


def plain(value: Any) -> Any:
    """Return the value of a config's field as `json.loads` would return it from a file."""
    if dataclasses.is_dataclass(value):
        return to_json(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def from_json(data: Mapping[str, Any]) -> Experiment:
    """Build the experiment that `to_json` wrote.

    Raises:
        ConfigError: at an unknown, missing or ill-typed key, naming it.
    """
    return build_dataclass(Experiment, data, concrete=concrete)


def with_settings(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    """Return the experiment with other values of fields, by their paths in config.json.

    Raises:
        ConfigError: if there is no such field, or a value is not one.
    """
    data = to_json(experiment)
    for path, value in settings.items():
        *sections, name = path.split(".")
        inner = data
        # A section or a field that does not exist is named by `from_json`.
        for section in sections:
            if not isinstance(inner.get(section), dict):
                inner[section] = {}
            inner = inner[section]
        inner[name] = plain(value)
    return from_json(data)


def method_defaults(name: str) -> dict[str, Any]:
    """Return a method's default settings, as JSON data.

    Raises:
        ConfigError: if there is no such method.
    """
    return to_json(find_kind(MethodConfig, name)())


def kind(config: type[MethodConfig | WorldConfig]) -> str:
    """Return the name of a method or world in configs, which is the name of its module."""
    return config.__module__.rpartition(".")[2]


def find_kind(base: type[T], name: str) -> type[T]:
    """Find the config class of a method or world: ours, a plug-in's or one that was imported.

    Args:
        base: `MethodConfig` or `WorldConfig`.
        name: see `kind`.

    Raises:
        ConfigError: if there is none, or a plug-in of that name is not as it should be.
    """
    package = "methods" if issubclass(base, MethodConfig) else "worlds"
    root = importlib.import_module(f"seqjepa.{package}")
    ours = [module.name for module in pkgutil.iter_modules(root.__path__) if not module.ispkg]
    if name in (others := plugins.registered(package)):
        return plugins.load_config(package, name, ours, base)

    if name not in _kinds(base):
        # Where none has the name, all are imported, for the message below to list them.
        for module in [name] if name in ours else ours:
            importlib.import_module(f"{root.__name__}.{module}")

    known = _kinds(base)
    if name not in known:
        raise ConfigError(
            f"{unknown(package.removesuffix('s'), name, [*known, *others])}. If it is your own, "
            "import its file first (command line: --code FILE, or FILE.py in place of a method's "
            "name); if it is a plug-in's, install that"
        )
    return known[name]


def concrete(
    cls: type[Any], data: Mapping[str, Any], where: str
) -> tuple[type[Any], Mapping[str, Any]]:
    """Return the class to build from a declared one, and its data.

    Methods and worlds are declared by their base class; their data name the config class by its
    `kind`. Other classes are built as they are declared.

    Raises:
        ConfigError: if the kind is missing or unknown.
    """
    if cls not in (MethodConfig, WorldConfig):
        return cls, data
    name = data.get("kind")
    if not isinstance(name, str):
        raise ConfigError(f"key '{where}kind' must name a {where[:-1]}, got {name!r}")
    return find_kind(cls, name), {key: value for key, value in data.items() if key != "kind"}


def _kinds(base: type[T]) -> dict[str, type[T]]:
    return {kind(cls): cls for cls in base.__subclasses__()}  # type: ignore[arg-type]
