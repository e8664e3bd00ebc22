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
# # Your own data in ten minutes
#
# Any pictures of objects will do, if you know what changes between them. Here they are
# scikit-learn's handwritten digits, turned and shifted by known amounts. The whole notebook takes a
# minute or two on a CPU.

# %%
import json
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

import seqjepa

# %% [markdown]
# ## Four files
#
# `views.npy` holds the pictures [N objects, V views, H, W, C], `poses.npy` what is known of each
# view [N, V, P], `labels.npy` the classes, which only probes read. `world.json` says what the
# columns of a pose mean, and so what an action is: a difference, an angle that wraps around, or a
# rotation in space.

# %%
OBJECTS, VIEWS = 800, 6
folder = Path("turned_digits")
folder.mkdir(exist_ok=True)

digits = load_digits()
random = np.random.default_rng(0)
limits = np.array([90.0, 6.0, 6.0])  # degrees, and pixels to the right and down, either way
poses = random.uniform(-limits, limits, (OBJECTS, VIEWS, 3)).astype(np.float32)


def look(digit: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Return a digit of 8 x 8 levels in 0..16 as 32 x 32 pixels, turned and shifted."""
    angle, right, down = pose
    image = Image.fromarray((digit * 15).astype(np.uint8)).resize(
        (20, 20), Image.Resampling.BICUBIC
    )
    canvas = Image.new("L", (32, 32))
    canvas.paste(image, (6, 6))
    turned = canvas.rotate(angle, Image.Resampling.BICUBIC, translate=(right, down))
    return np.asarray(turned)[..., None]


views = [[look(digits.images[n], pose) for pose in poses[n]] for n in range(OBJECTS)]
np.save(folder / "views.npy", np.array(views, np.uint8))
np.save(folder / "poses.npy", poses)
np.save(folder / "labels.npy", digits.target[:OBJECTS])

world = {
    "name": "digits",
    "pose": ["angle", "right", "down"],
    "groups": [
        {"name": "rotation", "dims": ["angle"], "kind": "circular", "period": 360, "scale": 90},
        {"name": "shift", "dims": ["right", "down"], "kind": "difference", "scale": 6},
    ],
    "classes": [str(name) for name in digits.target_names],
}
(folder / "world.json").write_text(json.dumps(world))
# %% [markdown]
# On the command line `seqjepa data check turned_digits --samples samples.png` says everything that
# is wrong with such a folder, and draws sequences of it.

# %%
figure, axes = plt.subplots(1, 8, figsize=(10, 1.6))
for axis, image, pose in zip(axes, views[3], poses[3]):
    axis.imshow(image, cmap="gray")
    axis.set_title(f"{pose[0]:.0f}°, {pose[1]:.0f}, {pose[2]:.0f}", fontsize=8)
    axis.axis("off")

# %% [markdown]
# ## Train
#
# The recipe `arrays` is an experiment for such a folder. Every field can be replaced; the same are
# options of `seqjepa train`. The objective is the demo's, the net is small, and 300 steps are few.
# With `resume=True` a run that was stopped goes on, and one that is complete is left as it is.

# %%
recipe = seqjepa.recipe("arrays")()
experiment = replace(
    recipe,
    world=replace(recipe.world, path=str(folder)),
    method=seqjepa.recipe("shapes_demo")().method,
    encoder=replace(recipe.encoder, width=8),
    train=replace(recipe.train, steps=300, batch_size=32, log_every=100),
    evaluate=replace(recipe.evaluate, draws=2, max_steps=200),
)
seqjepa.train(experiment, "runs/digits", resume=True, quiet=True)

# %% [markdown]
# ## Evaluate
#
# Probes are trained on the frozen features of training objects and asked about objects that were
# never seen. Beside the model stand two controls: the untrained encoder and the pixels.

# %%
results = seqjepa.evaluate("runs/digits", progress=False)


def figure_of(features: str, task: str, source: str, views: int, metric: str) -> float:
    """Return what was measured of a kind of features on the held-out objects."""
    [value] = [
        record["value"]
        for record in results["records"]
        if record["split"] == results["split"]
        and (record["features"], record["task"], record["input"]) == (features, task, source)
        and (record["views"], record["metric"]) == (views, metric)
    ]
    return value


asked = {
    "class of one view (top-1)": ("class", "view", 1, "top1"),
    "class of five views, z_AGG (top-1)": ("class", "sequence", 5, "top1"),
    "rotation between two views (R²)": ("relative rotation", "pair", 2, "r2"),
    "shift between two views (R²)": ("relative shift", "pair", 2, "r2"),
}
print(f"{'':36}{'model':>9}{'untrained':>12}")
for name, question in asked.items():
    print(f"{name:36}" + "".join(f"{figure_of(f, *question):10.2f}" for f in ("model", "random")))

# %% [markdown]
# `seqjepa report runs/digits --out report` makes a page of all figures, with curves and pictures.
#
# ## Use the features

# %%
model = seqjepa.load("runs/digits")
images = np.array(views[:100], np.uint8)[:, :3].transpose(0, 1, 4, 2, 3)  # [B, T, C, H, W]
actions = model.spec.actions.along(torch.from_numpy(poses[:100, :3]))  # [B, T-1, A]
z = model.encode(images)
z_agg = model.aggregate(images, actions)
print("z", tuple(z.shape), "   z_agg", tuple(z_agg.shape))
