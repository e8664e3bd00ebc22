"""The model card of a run: README.md with what it is, how to use it, its figures and limits."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jinja2

from seqjepa.config import kind
from seqjepa.errors import ConfigError
from seqjepa.exchange.packages import package
from seqjepa.model import Model
from seqjepa.report.headline import summary
from seqjepa.report.runs import Run, Variant
from seqjepa.report.tables import (
    describe_split,
    questions,
    results_table,
    splits_of,
    value,
)

TAGS = ["self-supervised-learning", "joint-embedding-predictive-architecture", "world-model"]
# Of the hub, by ours; R² and angles have no type of their own there.
METRIC_TYPES = {"top1": "accuracy", "r2": "r_squared"}
PROTOCOLS = {
    "converged": "until they no longer improved",
    "paper": "for as long as those of the paper",
}


@dataclass(frozen=True)
class Table:
    """The figures of a split: a column for the model and each control, a row for each question."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[str]]]


def model_card(model: Model, run: Run, *, address: str, licence: str) -> str:
    """Return the model card as Markdown with a YAML head.

    Args:
        model: of the run's newest checkpoint.
        run: with its results, if it was evaluated.
        address: what to give `from_pretrained`.
        licence: of the weights, by the hub's name for it.

    Raises:
        ConfigError: if the results are of another step than the weights.
    """
    results = run.results or {}
    if results and results["step"] != model.step:
        raise ConfigError(
            f"the results of {run.folder} are of step {results['step']}, the weights of step "
            f"{model.step}: seqjepa evaluate {run.folder}"
        )

    experiment, spec, method = model.experiment, model.spec, model.method
    variant = Variant(experiment.name, (run,))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("seqjepa", "exchange"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("card.md.jinja").render(
        front=_front(variant, licence),
        name=experiment.name,
        summary=summary(run),
        address=address,
        views=experiment.train.num_views,
        shape=spec.image_shape,
        features=method.encoder.dim,
        aggregates=method.aggregates,
        predicts=method.predicts,
        action_dim=spec.actions.action_dim,
        groups=spec.actions.groups,
        pose=spec.actions.pose,
        training=_training(model),
        tables=_tables(variant, results.get("sizes", {})),
        probed=results.get("sizes", {}).get("train", "the"),
        probe_split=spec.probe_split,
        protocol=PROTOCOLS[_protocol(results)],
        seed=experiment.seed,
        world=spec.name,
        changed=results.get("changed_data", []),
        rising=sorted({record.task for record in run.records if record.rising}),
        paper=(sys.modules[type(experiment.method).__module__].__doc__ or "").partition("\n")[0],
    )


def _front(variant: Variant, licence: str) -> str:
    """Return the YAML head, with the model's figures of the split of the training distribution."""
    hub = package("huggingface_hub", "writing a model card")
    run, split = variant.runs[0], variant.split
    world = run.config["world"]["kind"]

    results = []
    for question in questions([variant], every=False):
        asked = f"{question.task} from {question.input_label}, {question.metric}"
        figure = value(variant.runs, "model", split, question)
        if question.metric not in METRIC_TYPES or figure is None:
            continue
        results.append(
            hub.EvalResult(
                task_type="image-feature-extraction",
                dataset_type=world,
                dataset_name=world,
                dataset_split=split,
                metric_type=METRIC_TYPES[question.metric],
                metric_name=f"{asked}, {_protocol(run.results or {})} probe, n = 1",
                metric_value=round(figure.mean, 4),
            )
        )

    data = hub.ModelCardData(
        license=licence,
        library_name="seqjepa",
        pipeline_tag="image-feature-extraction",
        tags=[*TAGS, run.config["method"]["kind"]],
        model_name=variant.label,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def _protocol(results: Mapping[str, Any]) -> str:
    """Return the protocol of probes, see `EvaluateConfig`."""
    return str(results.get("experiment", {}).get("evaluate", {}).get("protocol", "converged"))


def _training(model: Model) -> dict[str, str]:
    """Return what the model was trained from and how, by key, in words."""
    experiment, spec, environment = model.experiment, model.spec, model.environment
    encoder, train = experiment.encoder, experiment.train
    # A net of timm's has neither a width nor a stem of ours.
    ours = not encoder.name.startswith("timm:")
    size = f", width {encoder.width}, {encoder.stem} stem" if ours else ""

    return {
        "recipe": f"`{experiment.name}`",
        "method": f"`{kind(type(experiment.method))}`",
        "encoder": encoder.name + size,
        "world": f"`{spec.name}`, {len(spec.classes)} classes, views of {list(spec.image_shape)}",
        "actions": ", ".join(group.name for group in spec.actions.groups) or "none",
        "steps": f"{model.step:,} of {train.steps:,}",
        "batch": f"{train.batch_size} sequences of {train.num_views} views",
        "learning rate": f"{experiment.optim.lr:g}",
        "seed": str(experiment.seed),
        "precision and device": f"{environment.get('precision')}, {environment.get('device')}",
        "versions": f"seqjepa {environment.get('seqjepa')}, torch {environment.get('torch')}",
    }


def _tables(variant: Variant, sizes: Mapping[str, int]) -> list[Table]:
    """Return a table of figures for each split, those of the training distribution first."""
    found = []
    for split in splits_of([variant]):
        table = results_table([variant], [split], every=False)
        rows = []
        for title, block in table.blocks:
            # Classes of a split that training does not know are no question.
            for row in (row for row in block if any(cell.text != "–" for cell in row.cells)):
                cells = [f"**{cell.text}**" if cell.best else cell.text for cell in row.cells]
                rows.append((f"{title}: {row.label}", cells))
        size = f", {sizes[split]:,} objects" if split in sizes else ""
        columns = [column.label for column in table.columns]
        found.append(Table(f"Split {describe_split(split)}{size}", columns, rows))
    return found
