"""The meaning of folders that hold images: splits, classes, or mere wrapping."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqjepa.errors import DataError

# The names that people give to each split, in lower case.
SPELLINGS = {
    "train": ("train", "training", "trn", "trainval"),
    "val": (
        "val", "valid", "validation", "validate", "dev", "devel", "development", "eval",
        "evaluation",
    ),
    "test": ("test", "testing", "tests", "tst"),
}  # fmt: skip
KINDS = {spelling: split for split, spellings in SPELLINGS.items() for spelling in spellings}
# Words that say no more than that something is there.
FILLERS = {
    "data", "dataset", "datasets", "files", "folder", "image", "images", "img", "imgs", "jpeg",
    "jpegs", "jpg", "photo", "photos", "pics", "picture", "pictures", "png", "pngs", "sample",
    "samples", "set", "sets", "split", "splits", "v",
}  # fmt: skip
# Companions of images that are pictures themselves, yet no class.
COMPANIONS = {
    "annotation", "annotations", "gt", "groundtruth", "label", "labels", "mask", "masks",
    "segmentation", "segmentations", "trimap", "trimaps",
}  # fmt: skip
SHOWN = 5  # folders in a message

Folders = tuple[str, ...]  # those that an image lies in, from the top


@dataclass(frozen=True)
class Layout:
    """Splits and classes of images by their folders.

    Attributes:
        names: [N] of the images, without the folders that merely wrap all of them.
        splits: [N], `train`, `val` or `test`; empty if no folder is a split.
        classes: [N], None where an image has none.
        folders: the folder of each split.
        notes: what a user might not expect, in sentences.
    """

    names: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str | None, ...]
    folders: Mapping[str, str]
    notes: tuple[str, ...] = ()


def arrange(names: Sequence[str], where: str) -> Layout:
    """Return what the folders in images' names mean.

    Folders that wrap all images are seen through. If the folders below are splits by any usual name
    (train, Training, test_set, val2017 ...), the folders in them are classes, else they are classes
    themselves. Splits may also lie in the folder of each class.

    Args:
        names: with slashes.
        where: the data set, for messages.

    Raises:
        DataError: if some folders are splits and others are not, two are the same split, or one is
            missing.
    """
    folders = [tuple(name.split("/")[:-1]) for name in names]
    while _is_wrapper(folders):
        folders = [path[1:] for path in folders]
    # Names begin with the first folder that means something.
    inside = tuple(_last(name, len(path)) for name, path in zip(names, folders, strict=True))

    notes: list[str] = []
    found = _split_folders(folders, where, notes)
    if found:
        splits = tuple(found[path[0]] for path in folders)
        classes = _classes_in(folders, splits)
    elif inner := _inner_splits(folders, where):
        found, splits = inner, tuple(inner[path[1]] for path in folders)
        classes = tuple(path[0] for path in folders)
    else:
        splits, classes = (), tuple(path[0] if path else None for path in folders)

    _refuse_companions(classes, where)
    loose = classes.count(None)
    if 0 < loose < len(classes):
        notes.append(f"{loose:,} of {len(classes):,} images lie in no folder of a class")
    by_split = {split: folder for folder, split in found.items()}
    return Layout(inside, splits, classes, by_split, tuple(notes))


def _last(name: str, folders: int) -> str:
    return "/".join(name.split("/")[-folders - 1 :])


def _tops(folders: Sequence[Folders]) -> set[str]:
    """Return the first folders; "" stands for images outside folders."""
    return {path[0] if path else "" for path in folders}


def _is_wrapper(folders: Sequence[Folders]) -> bool:
    """Return whether all images lie in one folder that is neither a class nor a split.

    Images directly in it make it a class, unless its name says nothing, such as `images`.
    """
    tops = _tops(folders)
    if len(tops) != 1 or "" in tops:
        return False
    top = tops.pop()
    return _split_of(_words(top)) is None and (_says_nothing(top) or min(map(len, folders)) > 1)


def _words(folder: str) -> list[str]:
    """Return the words of a folder's name that say something, in lower case."""
    # TrainingData, train-set, val2017 and test_64x64 all have one such word.
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)", " ", folder)
    words = re.split(r"[\W_]+", spaced.casefold())
    return [word for word in words if word and word not in FILLERS and not word[0].isdigit()]


def _says_nothing(folder: str) -> bool:
    return not _words(folder) and any(letter.isalpha() for letter in folder)


def _kind(word: str) -> str | None:
    """Return the split that a word names, `trainset` and `testimages` included."""
    for filler in FILLERS - {"v"}:
        if word not in KINDS and word.removesuffix(filler) in KINDS:
            word = word.removesuffix(filler)
    return KINDS.get(word)


def _split_of(words: Sequence[str]) -> str | None:
    """Return the split that the words of a folder's name say, if they say nothing else."""
    if list(words) == ["train", "val"]:
        return "train"
    return _kind(words[0]) if len(words) == 1 else None


def _splits_of(names: set[str]) -> dict[str, str | None]:
    """Return the split that each of some folders is by its name, None for those that are none."""
    words = {name: _words(name) for name in sorted(names)}
    # In `birds_train` and `birds_test` the word that both have says nothing.
    shared = set.intersection(*map(set, words.values())) if len(names) > 1 else set()
    shared = {word for word in shared if _kind(word) is None}
    return {
        name: _split_of([word for word in found if word not in shared])
        for name, found in words.items()
    }


def _split_folders(folders: Sequence[Folders], where: str, notes: list[str]) -> dict[str, str]:
    """Return the splits by top folder; empty if the top folders are classes.

    Raises:
        DataError: if some are splits and others are not, or one is missing or there twice.
    """
    tops = _tops(folders)
    kinds = _splits_of(tops)
    found = {top: kind for top, kind in kinds.items() if kind is not None}
    if not found:
        if _looks_split(folders):
            raise DataError(_odd(where, tops))
        return {}

    # Among classes of vehicles, `train` is one of them.
    deepest = max(map(len, folders))
    if list(found) == ["train"] and len(tops) > 2 and "" not in tops and deepest == 1:
        others = ", ".join(sorted(tops - {"train"})[:SHOWN])
        notes.append(f"the folder train, beside {others}, is taken for a class")
        return {}

    _refuse_doubles(found, where)
    if len(found) < len(tops) or "train" not in found.values() or len(found) == 1:
        raise DataError(_odd(where, tops))
    return found


def _refuse_doubles(found: Mapping[str, str], where: str) -> None:
    """Raise a DataError if two folders are the same split."""
    for split, times in Counter(found.values()).items():
        if times > 1:
            same = " and ".join(sorted(folder for folder in found if found[folder] == split))
            raise DataError(
                f"{where} has {same}, which are both the split {split} by their names: join them, "
                f"or rename one to {' or '.join(other for other in SPELLINGS if other != split)}"
            )


def _odd(where: str, tops: set[str]) -> str:
    shown = [top or "images outside folders" for top in sorted(tops)]
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return (
        f"{where} has {', '.join(shown[:SHOWN])}{more} at its top, expected train and at least one "
        "of val and test, and no images beside them, or none of these: rename or move folders, or "
        "name one of them instead"
    )


def _looks_split(folders: Sequence[Folders]) -> bool:
    """Return whether top folders that are no splits have names such as `train_a` and `test_b`."""
    named = {top: {_kind(word) for word in _words(top)} - {None} for top in _tops(folders)}
    if len(set[str | None]().union(*named.values())) < 2:
        return False
    # Classes may be called `train station` and `test tube`, but not all of them are, and they hold
    # images.
    deeper = any(len(path) > 1 and named[path[0]] for path in folders)
    return all(named.values()) or deeper


def _inner_splits(folders: Sequence[Folders], where: str) -> dict[str, str]:
    """Return the splits by folder where each class has splits inside; empty if none has.

    Raises:
        DataError: if only some have, or one is missing or there twice.
    """
    second = {path[1] for path in folders if len(path) > 1}
    kinds = _splits_of(second) if second else {}
    found = {name: kind for name, kind in kinds.items() if kind is not None}
    if "train" not in found.values() or len(set(found.values())) < 2:
        return {}

    _refuse_doubles(found, where)
    cure = "make train, val and test the folders at the top, with the classes in them"
    inside = f"{where} has {', '.join(sorted(found))} inside the folders at its top"
    if len(found) < len(second) or min(map(len, folders)) < 2:
        others = sorted(second - set(found))[:SHOWN]
        beside = f", beside {', '.join(others)}" if others else ""
        raise DataError(f"{inside}, but not everywhere{beside}: {cure}")

    # Folders in them may be classes, and those at the top folds or domains.
    if max(map(len, folders)) > 2:
        tops = sorted(_tops(folders))[:SHOWN]
        raise DataError(f"{inside}, and folders in them: name one of {', '.join(tops)}, or {cure}")
    return found


def _classes_in(folders: Sequence[Folders], splits: Sequence[str]) -> tuple[str | None, ...]:
    """Return the class of each image below the folders of splits."""
    below = [path[1:] for path in folders]

    # What wraps the images of one split, as in train/images or train/train, means nothing.
    for split in set(splits):
        own = [place for place, name in enumerate(splits) if name == split]
        while _is_empty_wrapper([below[place] for place in own]):
            for place in own:
                below[place] = below[place][1:]

    # Nor does a folder of any name that wraps all classes of every split.
    while _is_wrapper(below):
        below = [path[1:] for path in below]
    return tuple(path[0] if path else None for path in below)


def _is_empty_wrapper(paths: Sequence[Folders]) -> bool:
    """Return whether all images of a split lie in one folder that is called `images` or `train`."""
    tops = _tops(paths)
    if len(tops) != 1 or "" in tops:
        return False
    top = tops.pop()
    words = _words(top)
    if _says_nothing(top) or _split_of(words) is not None:
        return True
    return min(map(len, paths)) > 1 and any(_kind(word) for word in words)


def _refuse_companions(classes: Sequence[str | None], where: str) -> None:
    """Raise a DataError if masks or the like would become a class beside the images."""
    names = {name for name in classes if name is not None}
    parts = {name for name in names if re.sub(r"[\W_]", "", name.casefold()) in COMPANIONS}
    images = {name for name in names if _says_nothing(name)}
    if parts and images and names == parts | images:
        raise DataError(
            f"{where} has the folders {', '.join(sorted(names))}, which are no classes: move "
            f"{', '.join(sorted(parts))} elsewhere, or name a folder inside"
        )
