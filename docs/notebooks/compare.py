# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Compare two methods
#
# seq-JEPA and SimCLR learn from the same views, with the same encoder and optimizer, and are asked
# the same questions. This is the recipe `shapes_tiny` made much smaller, so that the notebook takes
# a few minutes on a CPU: what it finds is an example of a comparison, not a result. The measured
# results, with three seeds and a million views, are in [the benchmark](../benchmark.md).

# %%
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import seqjepa
from seqjepa.recipes import with_method

# %% [markdown]
# ## Two experiments that differ in the method alone
#
# `with_method` puts another method into an experiment. SimCLR reads two views of a sequence, so its
# batches have twice as many sequences of half the length: both see as many views in a step.

# %%
tiny = seqjepa.recipe("shapes_tiny")()
small = replace(
    tiny,
    world=replace(tiny.world, train_objects=580, test_objects=116, views=8),
    encoder=replace(tiny.encoder, width=8),
    train=replace(tiny.train, steps=300, log_every=100, checkpoint_every=300),
    evaluate=replace(tiny.evaluate, max_steps=200),
)
experiments = {"seq-JEPA": small, "SimCLR": with_method(small, "simclr")}
for name, experiment in experiments.items():
    train = experiment.train
    print(f"{name:9} {train.batch_size} sequences of {train.num_views} views a step")

# %%
runs = {"seq-JEPA": Path("runs/compare_seq_jepa"), "SimCLR": Path("runs/compare_simclr")}
results = {}
for name, experiment in experiments.items():
    seqjepa.train(experiment, runs[name], resume=True, quiet=True)
    results[name] = seqjepa.evaluate(runs[name], progress=False)

# %% [markdown]
# ## What is in one view, and in several
#
# Every figure is a record: which features, which question, on which held-out objects. SimCLR has no
# aggregator, so beside seq-JEPA's z_AGG stands the mean of the same views' *z*, which every method
# has. After 300 steps SimCLR has begun to learn and seq-JEPA has hardly: the recipe has 4,000.


# %%
def curve(name: str, source: str, features: str = "model") -> list[float]:
    """Return the accuracy from 1 to 8 views."""
    found = {
        record["views"]: record["value"]
        for record in results[name]["records"]
        if record["split"] == results[name]["split"]
        and (record["features"], record["task"]) == (features, "class")
        and (record["input"], record["metric"]) == (source, "top1")
    }
    return [found[views] for views in sorted(found)]


lines = {
    "seq-JEPA, z_AGG": curve("seq-JEPA", "sequence"),
    "seq-JEPA, mean of z": curve("seq-JEPA", "mean"),
    "SimCLR, mean of z": curve("SimCLR", "mean"),
    "untrained, mean of z": curve("SimCLR", "mean", "random"),
}
figure, axis = plt.subplots(figsize=(6, 3.6))
for (label, values), style in zip(lines.items(), ("-", "--", "-", ":")):
    axis.plot(range(1, len(values) + 1), 100 * np.array(values), style, marker="o", label=label)
axis.set(xlabel="views", ylabel="accuracy on unseen objects, %", ylim=(0, None))
_ = axis.legend(frameon=False, bbox_to_anchor=(1, 1), loc="upper left")
# %% [markdown]
# ## What is known of the rotation between two views

# %%
for name, found in results.items():
    for record in found["records"]:
        if record["split"] != found["split"] or record["task"] != "relative rotation":
            continue
        if record["metric"] == "median_degrees" and record["features"] in ("model", "random"):
            print(f"{name:9} {record['features']:7} median error {record['value']:.0f}°")

# %% [markdown]
# ## More methods, more seeds
#
# On the command line one call compares any number of methods over seeds, can be interrupted, and
# ends in a table and a figure:
#
# ```
# seqjepa benchmark shapes_tiny --methods simclr equimod seq_jepa --seeds 3
# ```
