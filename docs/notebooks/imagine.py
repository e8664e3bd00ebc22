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
# # Imagine and plan
#
# A trained seq-JEPA is a world model: it says what it would see if the object were turned. Here it
# is asked that, and which turn brings a goal into view. The model is that of the recipe
# `shapes_demo_long`, three million views of procedural objects; the notebook takes a minute on a
# CPU. What was measured is in [the world model in use](../world_model.md).

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import torch

import seqjepa

model = seqjepa.WorldModel(seqjepa.from_pretrained("../../weights/shapes_demo_long"))

# %% [markdown]
# `seqjepa.WorldModel.load("runs/demo")` loads a run of your own.
#
# ## Views of objects that it has not seen
#
# `poses` are the world's factors of each view. `space.between` makes actions of them: here
# rotations, as unit quaternions.

# %%
config = replace(model.model.experiment.world, train_objects=35, test_objects=105)
batch = next(iter(config.build().loader("test", num_views=8, batch_size=100, seed=0)))
views, poses = batch.views, batch.poses  # [B, T, C, H, W] and [B, T, P]
before, after = views[:, 0], views[:, 1]
turn = model.space.between(poses[:, 0], poses[:, 1])  # [B, A]

# %% [markdown]
# ## What would I see?
#
# `observe` makes a state of what was seen, `imagine` the embedding of the view that an action leads
# to. Beside the action that was made stands none: the right view should be nearer to what is
# imagined with it.

# %%
state = model.observe(before[:, None])
still = model.action(rotation=torch.zeros(1, 3)).expand_as(turn)
imagined = model.imagine(state, torch.stack([turn, still], 1))  # [B, 2, F]
goal = model.observe(after[:, None])
distances = model.distance(imagined, goal.embedding[:, None])
for name, column in zip(("the action that was made", "no action"), distances.unbind(1)):
    print(f"distance of what is imagined to the next view, with {name}: {column.mean():.3f}")

# %% [markdown]
# Among all views of the object, which are nearest to what is imagined?

# %%
rows = 3
figure, axes = plt.subplots(rows, 6, figsize=(9, 1.6 * rows))
for b in range(rows):
    bank = model.target(views[b])
    found = model.retrieve(imagined[b, 0], bank, k=4)
    pictures = [before[b], after[b], *views[b][found.indices]]
    titles = ["seen", "what comes", *(f"nearest {n}" for n in range(1, 5))]
    for axis, picture, title in zip(axes[b], pictures, titles):
        axis.imshow(picture.permute(1, 2, 0))
        axis.set_title(title if b == 0 else "", fontsize=9)
        axis.axis("off")

# %% [markdown]
# ## Which action was that, and which one leads to a goal?
#
# `infer_action` reads the action between two views, `plan` searches for the action, or for several
# in turn, after which the goal is in view. Their error is the angle between the rotation that is
# found and the true one. Random rotations stand for chance.


# %%
def angle(found: torch.Tensor) -> float:
    """Return the median angle in degrees between rotations [B, 4] and the true ones."""
    likeness = (found * turn).sum(-1).abs().clamp(max=1)
    return float(2 * likeness.acos().rad2deg().median())


inferred = model.infer_action(before, after)
planned = model.plan(state, goal)
chance = model.action(rotation=torch.randn(len(turn), 3, generator=torch.manual_seed(0)))
print(f"inferred by the {inferred.by}: {angle(inferred.actions):.0f}°")
print(f"planned: {angle(planned.actions[:, 0]):.0f}°")
print(f"a random turn: {angle(chance):.0f}°")

# %% [markdown]
# `seqjepa decode RUN_DIR` trains a decoder, and `model.decode(imagined)` then draws what is
# imagined. `seqjepa evaluate RUN_DIR --suite planning` measures all of this on held-out objects.
