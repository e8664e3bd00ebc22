"""Class of an object by its nearest neighbours: no probe is trained, so nothing is adapted.

The K training objects of the largest cosine vote, each by one input drawn at random of it. Of
classes with as many votes, the first one wins, as in scikit-learn.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from seqjepa.evaluation.class_probes import class_questions
from seqjepa.evaluation.probes import generator_for
from seqjepa.evaluation.protocol import Protocol, Record, Tables, test_tables

K = 20
COSINES = 2**25  # that are compared at once


def nearest_neighbours(
    protocol: Protocol, tables: Tables, sequences: Mapping[str, Tensor] | None
) -> list[Record]:
    """Return top-1 of the nearest neighbours, for everything that linear probes read.

    Args:
        protocol, tables, sequences: see `class_probes.classify`.
    """
    labels, task = tables["train"].labels, f"class, {K} neighbours"
    records = []
    for question in class_questions(protocol, tables, sequences):
        inputs = question.inputs["train"]
        objects = torch.arange(len(inputs), device=labels.device)
        generator = generator_for(protocol.seed, "neighbours", question.name)
        bank = inputs(objects, inputs.draw(generator))

        for split, table in test_tables(tables):
            inputs = question.inputs[split]
            objects = torch.arange(len(inputs), device=labels.device)
            asked = [inputs(objects, rows) for rows in inputs.test_choices(question.rounds)]
            truth = table.labels.repeat(len(asked))
            for views, queries in enumerate(torch.cat(asked).unbind(1), 1):
                found = vote(bank[:, views - 1], labels, queries)
                value = float((found == truth).double().mean())
                about = (protocol.features, split, task, question.name, views)
                records.append(Record(*about, "top1", value))
    return records


def vote(bank: Tensor, labels: Tensor, queries: Tensor, k: int = K) -> Tensor:
    """Return the class [n] that most of the k nearest neighbours of each query have.

    Args:
        bank: [N, D].
        labels: [N] int64, from 0.
        queries: [n, D].
        k: neighbours; all N if these are fewer.
    """
    bank, queries = F.normalize(bank, dim=-1), F.normalize(queries, dim=-1)
    classes, found = int(labels.max()) + 1, []
    for part in queries.split(max(1, COSINES // len(bank))):
        nearest = (part @ bank.T).topk(min(k, len(bank)), sorted=False).indices
        votes = part.new_zeros(len(part), classes)
        votes.scatter_add_(1, labels[nearest], torch.ones_like(nearest, dtype=votes.dtype))
        found.append(votes.argmax(1))
    return torch.cat(found)
