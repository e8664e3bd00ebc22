"""Stages of the encoder: at which of them can factors and class be read from features?

The map that each stage of a ResNet leaves is averaged over space and probed as features are, by the
same probes: for every group of factors, and for the class of one view. Records name the stage,
`stem`, `layer1`, `layer2`, `layer3`; those of `layer4`, whose average the encoder returns, are
named `features`.

So that it takes minutes, probes learn from 6,000 training objects and for 2,500 steps at most,
where the experiment allows more: records say `rising` of those that could have gone on.
"""

from dataclasses import replace

from torch import Tensor

from seqjepa.evaluation import class_probes
from seqjepa.evaluation.factor_probes import regress
from seqjepa.evaluation.features import FeatureTable, encode_parts
from seqjepa.evaluation.probes import concatenated
from seqjepa.evaluation.protocol import ROUNDS, Record, labelled, view_inputs
from seqjepa.evaluation.sampling import choose_samplings, splits_to_probe
from seqjepa.evaluation.subject import NotApplicableError, Subject
from seqjepa.nn import STAGES, Encoder, ResNet

OBJECTS, STEPS = 6000, 2500


def stages(subject: Subject) -> list[Record]:
    """Return the figures of every group of factors, and of the class, at each stage.

    Raises:
        NotApplicableError: if the encoder is no ResNet of ours.
    """
    experiment = subject.experiment
    if not isinstance(subject.method.encoder.backbone, ResNet):
        raise NotApplicableError(
            f"the encoder {experiment.encoder.name!r} has no stages that are known: ResNets have"
        )
    config = experiment.evaluate
    objects, steps = min(config.objects or OBJECTS, OBJECTS), min(config.max_steps, STEPS)
    config = replace(config, objects=objects, max_steps=steps)
    short = replace(subject, experiment=replace(experiment, evaluate=config))

    records = []
    for stage, tables in _tables(short).items():
        protocol = short.protocol(stage)
        if known := labelled(tables):
            inputs = {name: view_inputs(table, 1, concatenated) for name, table in known.items()}
            question = class_probes.Question("view", inputs, ROUNDS)
            records += class_probes.ask(protocol, question, known)
        records += regress(protocol, tables, subject.world.spec.factors)
    return records


def _tables(subject: Subject) -> dict[str, dict[str, FeatureTable]]:
    """Return the features of each stage, by split."""
    world, encoder = subject.world, subject.method.encoder
    splits = splits_to_probe(world.spec, subject.split)
    samplings = choose_samplings(subject.experiment, world, splits)

    def encode(images: Tensor) -> list[Tensor]:
        with subject.inference():
            return pooled_stages(encoder, images)

    tables: dict[str, dict[str, FeatureTable]] = {name: {} for name in [*STAGES[:-1], "features"]}
    for split, sampling in samplings.items():
        parts = encode_parts(encode, world, splits[split], sampling, subject.device)
        for by_split, table in zip(tables.values(), parts, strict=True):
            by_split[split] = table
    return tables


def pooled_stages(encoder: Encoder, images: Tensor) -> list[Tensor]:
    """Return the map of each of `STAGES`, averaged over space, [N, its channels].

    Args:
        encoder: whose backbone is a ResNet.
        images: [N, C, H, W], as `Encoder.forward` takes them.
    """
    assert isinstance(encoder.backbone, ResNet)
    x, pooled = encoder.normalise(images), []
    for name in STAGES:
        x = encoder.backbone.stage(name, x)
        pooled.append(x.mean((2, 3)))
    return pooled
