"""Arrays of views, poses and labels, in every form that numpy and JSON allow."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from fuzz.names import NAMES
from fuzz.trial import Contents, record
from seqjepa.worlds import arrays
from seqjepa.worlds.base import World
from seqjepa.worlds.table import TableWorld

# Kinds of groups, each with its number of columns and how its numbers are drawn.
GROUPS = {
    "difference": (2, lambda chance, shape: chance.normal(size=shape)),
    "circular": (1, lambda chance, shape: chance.uniform(0, 2 * np.pi, shape)),
    "euler": (3, lambda chance, shape: chance.uniform(-1.5, 1.5, shape)),
    "quaternion": (4, lambda chance, shape: chance.normal(size=shape)),
}


def _with(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.copy()
    changed.flat[changed.size // 2] = value
    return changed


# What makes arrays unfit: each a function of views, poses, labels and the manifest, which may
# change that in place, to new arrays.
FAULTS = {
    "a pose is NaN": lambda v, p, n, m: (v, _with(p, np.nan), n),
    "a pose is infinite": lambda v, p, n, m: (v, _with(p, -np.inf), n),
    "poses are of fewer views": lambda v, p, n, m: (v, p[:, 1:], n),
    "poses lack a column": lambda v, p, n, m: (v, p[..., 1:], n),
    "poses are strings": lambda v, p, n, m: (v, p.astype("U"), n),
    "views are floats": lambda v, p, n, m: (v / np.float32(255), p, n),
    "views are gray without a channel": lambda v, p, n, m: (v[..., 0], p, n),
    "one view an object": lambda v, p, n, m: (v[:, :1], p[:, :1], n),
    "no objects": lambda v, p, n, m: (v[:0], p[:0], n[:0]),
    "a label is negative": lambda v, p, n, m: (v, p, _with(n.astype("i8"), -1)),
    "a label is beyond all": lambda v, p, n, m: (v, p, _with(n.astype("i8"), 99)),
    "labels are one-hot": lambda v, p, n, m: (v, p, np.eye(3)[n]),
    "labels are too few": lambda v, p, n, m: (v, p, n[1:]),
    "a group of unknown kind": lambda v, p, n, m: m["groups"][0].update(kind="wheel") or (v, p, n),
    "a group of no columns": lambda v, p, n, m: m["groups"][0].update(dims=[]) or (v, p, n),
    "a group of strangers": lambda v, p, n, m: m["groups"][0].update(dims=["x"]) or (v, p, n),
    "two groups of a name": lambda v, p, n, m: m["groups"].append(m["groups"][0]) or (v, p, n),
    "an unknown key": lambda v, p, n, m: m.update(colour="red") or (v, p, n),
    "a split without objects": lambda v, p, n, m: (
        m.update(splits={"train": [0, 1, 2], "val": [], "test": [3]}) or (v, p, n)
    ),
    "an object in two splits": lambda v, p, n, m: (
        m.update(splits={"train": [0, 1, 2], "val": [2], "test": [3]}) or (v, p, n)
    ),
    "an object that is not there": lambda v, p, n, m: (
        m.update(splits={"train": [0, 1, 2], "val": [4], "test": [99]}) or (v, p, n)
    ),
}


@dataclass(frozen=True)
class Arrays:
    """A folder of arrays.

    Attributes:
        folder: its name.
        objects, views, side, wide, channels: sizes; pictures are `side` x `wide`.
        groups: kinds of the groups of pose columns.
        poses: dtype of the poses, with its byte order.
        labels: dtype of the labels; None for no file.
        classes: their names; empty for none.
        splits: whether world.json lists them.
        fortran: whether arrays are stored column by column.
        version: of the .npy format.
        indent: how world.json is written.
        stray: files beside that mean nothing.
        seed: of the numbers.
        fault: one of FAULTS, or empty.
    """

    folder: str
    objects: int
    views: int
    side: int
    wide: int
    channels: int
    groups: tuple[str, ...]
    poses: str
    labels: str | None
    classes: tuple[str, ...]
    splits: bool
    fortran: bool
    version: tuple[int, int]
    indent: int | None
    stray: tuple[str, ...]
    seed: int
    fault: str = ""

    def write(self, folder: Path) -> Path:
        path = folder / self.folder
        path.mkdir(parents=True)
        views, poses, labels = self._arrays()
        manifest = self._manifest()
        if self.fault:
            views, poses, labels = FAULTS[self.fault](views, poses, labels, manifest)
        self._save(path / "views.npy", views)
        self._save(path / "poses.npy", poses)
        if labels is not None:
            self._save(path / "labels.npy", labels)

        (path / "world.json").write_text(json.dumps(manifest, indent=self.indent), "utf-8")
        for name in self.stray:
            (path / name).write_bytes(b"of another program")
        return path

    def world(self, path: Path) -> arrays.Config:
        return arrays.Config(path=str(path))

    def expected(self) -> Contents:
        views, poses, labels = self._arrays()
        names = self.classes or tuple(map(str, range(3)))
        objects = [
            record("" if labels is None else names[labels[n]], views[n], poses[n].astype("f4"))
            for n in range(self.objects)
        ]
        if not self.splits:
            return {"all": Counter(objects)}
        return {
            split: Counter(objects[n] for n in numbers)
            for split, numbers in self._split_objects().items()
        }

    def found(self, world: World) -> Contents:
        assert isinstance(world, TableWorld)
        names = (*world.spec.classes, "")  # a label of -1 is no class
        found = {
            split: Counter(
                record(names[label], views, poses)
                for label, views, poses in zip(
                    table.labels,
                    table.images(np.arange(len(table.labels)), np.arange(self.views)[None]),
                    table.poses,
                    strict=True,
                )
            )
            for split, table in world.tables.items()
        }
        return found if self.splits else {"all": sum(found.values(), Counter())}

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        chance = np.random.default_rng(self.seed)
        shape = (self.objects, self.views)
        views = chance.integers(0, 256, (*shape, self.side, self.wide, self.channels), np.uint8)
        columns = [GROUPS[kind][1](chance, (*shape, GROUPS[kind][0])) for kind in self.groups]
        poses = np.concatenate(columns, -1).astype(self.poses)
        if self.labels is None:
            return views, poses, None
        return views, poses, (np.arange(self.objects) % 3).astype(self.labels)

    def _manifest(self) -> dict[str, object]:
        pose, groups = [], []
        for number, kind in enumerate(self.groups):
            dims = [f"{kind} {number}.{column}" for column in range(GROUPS[kind][0])]
            pose += dims
            groups.append({"name": f"group {number}", "dims": dims, "kind": kind})
        manifest: dict[str, object] = {"pose": pose, "groups": groups}
        if self.classes:
            manifest["classes"] = list(self.classes)
        if self.splits:
            manifest["splits"] = self._split_objects()
        return manifest

    def _split_objects(self) -> dict[str, list[int]]:
        order = np.random.default_rng(self.seed).permutation(self.objects).tolist()
        # One object is in no split, which is allowed.
        return {"train": order[4:-1], "val": order[:2], "test": order[2:3], "odd": order[3:4]}

    def _save(self, path: Path, array: np.ndarray) -> None:
        ordered = np.asfortranarray(array) if self.fortran else array
        with path.open("wb") as file:
            np.lib.format.write_array(file, ordered, self.version)


@st.composite
def _plans(draw: st.DrawFn, fault: str = "") -> Arrays:
    # Faults of labels need some.
    kinds = ["u1", "i1", "<i8", ">i4", "<u8", ">u2"]
    labels = draw(st.sampled_from(kinds if fault else [None, *kinds]))
    names = st.lists(NAMES, min_size=3, max_size=5, unique=True).map(tuple)
    stray = st.sampled_from(["README", ".DS_Store", "views.npy~"])
    return Arrays(
        folder=draw(NAMES),
        objects=draw(st.integers(10, 16)),
        views=draw(st.integers(2, 5)),
        side=draw(st.integers(8, 20)),
        wide=draw(st.integers(8, 20)),
        channels=draw(st.integers(1, 4)),
        groups=tuple(draw(st.lists(st.sampled_from(list(GROUPS)), min_size=1, max_size=3))),
        poses=draw(st.sampled_from(["<f8", ">f8", "<f4", ">f4", "<f2"])),
        labels=labels,
        classes=() if labels is None else draw(st.just(()) | names),
        splits=draw(st.booleans()),
        fortran=draw(st.booleans()),
        version=draw(st.sampled_from([(1, 0), (2, 0), (3, 0)])),
        indent=draw(st.sampled_from([None, 2])),
        stray=tuple(draw(st.lists(stray, unique=True))),
        seed=draw(st.integers(0, 2**16)),
        fault=fault,
    )


PLANS = _plans()
FAULTY = st.sampled_from(list(FAULTS)).flatmap(_plans)
