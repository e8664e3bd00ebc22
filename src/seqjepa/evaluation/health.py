"""Health of a representation: the dimensions that it uses, and the classes of its neighbours.

Three measures need no labels (`spectra`), and a classifier learns nothing but the labels of the
nearest training features:

    rankme  effective rank
    lidar   effective rank of what tells objects apart, in units of their views' spread
    alpha   decay of the eigenspectrum
    knn     top-1 of a vote of the k nearest, each weighted by exp(cosine / 0.1), with k = 200, or
            the mean number of a class among the training features if these are fewer

They are asked of z of one view and of z_AGG of 5 views, or as many as there are, and of the same of
the untrained model (`random`). The sequences of an object share views, which brings them nearer to
each other than sequences of other views would be.
"""

import math

import torch
from torch import Tensor

from seqjepa.evaluation.control import random_control
from seqjepa.evaluation.features import FeatureTable, aggregate
from seqjepa.evaluation.knn import nearest_votes
from seqjepa.evaluation.metrics import top1
from seqjepa.evaluation.probes import generator_for
from seqjepa.evaluation.protocol import ROUNDS, Record, labelled, make_records
from seqjepa.evaluation.spectra import MEASURES
from seqjepa.evaluation.subject import Subject
from seqjepa.methods.base import Method

OBJECTS = 1000  # for the measures without labels, at most: as many as LiDAR's paper takes
VIEWS = 5  # of a sequence
NEAREST = 200
# Training features that are searched, and features that are classified, at most.
SEARCHED, ASKED = 50_000, 10_000


def health(subject: Subject) -> list[Record]:
    """Return the measures of the model's features and of an untrained model's.

    Those without labels are of the subject's split alone; `knn` is left out where it knows no class
    of the training objects.
    """
    records = _records(subject, "model", subject.method)
    control = random_control(subject.experiment, subject.world, subject.device)
    return records + _records(subject, "random", control)


def _records(subject: Subject, features: str, method: Method) -> list[Record]:
    """Return the measures of a method's z and z_AGG."""
    seed = subject.experiment.seed
    tables = subject.tables(method, fewest=1)

    # Both representations as samples [N, Q, .] of each object.
    views = min(VIEWS, *(table.longest for table in tables.values()))
    inputs = {("view", 1): {name: table.views for name, table in tables.items()}}
    if method.aggregates:
        inputs["sequence", views] = {
            name: _sequences(subject, method, table, views) for name, table in tables.items()
        }

    records = list[Record]()
    for (source, length), samples in inputs.items():
        scores = measures(samples[subject.split], seed)
        scores |= _knn_score(samples, tables, subject.split, seed)
        records += make_records(features, subject.split, "health", source, length, scores)
    return records


def _sequences(subject: Subject, method: Method, table: FeatureTable, views: int) -> Tensor:
    """Return z_AGG [N, Q, S] of sequences of `views` views."""
    orders = table.orders(views, ROUNDS)
    space = subject.world.spec.actions
    return aggregate(method, table, space, orders, bf16=subject.bf16)[:, :, -1]


def measures(samples: Tensor, seed: int) -> dict[str, float]:
    """Return the measures without labels of samples [N, Q, D], as far as they are defined.

    Args:
        samples: of each object.
        seed: of the choice of objects, where there are more than `OBJECTS`.
    """
    some = samples[_some(len(samples), OBJECTS, seed).to(samples.device)]
    values = {name: measure(some).item() for name, measure in MEASURES.items()}
    return {name: value for name, value in values.items() if not math.isnan(value)}


def _knn_score(
    samples: dict[str, Tensor], tables: dict[str, FeatureTable], split: str, seed: int
) -> dict[str, float]:
    """Return `knn` on a split; nothing if it knows no class of the training objects."""
    if split not in labelled(tables):
        return {}
    rows, labels = {}, {}
    for name, most in (("train", SEARCHED), (split, ASKED)):
        # Every sample of an object has the object's label.
        truth = tables[name].labels[:, None].expand(samples[name].shape[:2]).flatten()
        flat = samples[name].flatten(0, 1)
        known = torch.nonzero(truth >= 0)[:, 0]
        some = known[_some(len(known), most, seed).to(known.device)]
        rows[name], labels[name] = flat[some], truth[some]

    classes = len(labels["train"].unique())
    k = min(NEAREST, max(1, len(rows["train"]) // classes))
    votes = nearest_votes(rows["train"], labels["train"], rows[split], k)
    return {"knn": top1(labels[split], votes)}


def _some(available: int, most: int, seed: int) -> Tensor:
    """Return indices in ascending order: all, or `most` of them at random."""
    if available <= most:
        return torch.arange(available)
    generator = generator_for(seed, "health")
    return torch.randperm(available, generator=generator)[:most].sort().values
