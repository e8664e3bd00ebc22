"""The meshes of a folder or an archive, with their names and classes."""

import csv
import io
import posixpath
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqjepa.errors import DataError
from seqjepa.reading.archives import Files, hidden
from seqjepa.render.meshes.catalogue import CATALOGUE, CatalogueEntry, read_catalogue
from seqjepa.render.meshes.load import FORMATS

ARCHIVES = (".zip", ".sh3f", ".sh3x")
SHAPENET = ("models", "model_normalized")  # <synset>/<object>/models/model_normalized.obj
MOST_CATALOGUE = 64 << 20


@dataclass(frozen=True)
class MeshFile:
    """A mesh to draw.

    Attributes:
        file: its path below the collection, an archive counting as a folder; how labels and
            messages name it.
        source: the folder or archive that holds it.
        name: its path in there.
        category: its class.
        object: its name within the class.
        turn: a rotation, three rows of three, that its catalogue prescribes; None for none.
    """

    file: str
    source: Path
    name: str
    category: str
    object: str
    turn: tuple[tuple[float, ...], ...] | None = None

    @property
    def place(self) -> str:
        """`<class>/<object>`, its folder in the layout of 3DIEBench."""
        return f"{self.category}/{self.object}"


@dataclass(frozen=True)
class Collection:
    """What was found.

    Attributes:
        models: in the order of their places.
        absent: files that the labels name and that are not there.
        unlabelled: how many meshes the labels do not name, which are left out.
    """

    models: tuple[MeshFile, ...]
    absent: tuple[str, ...] = ()
    unlabelled: int = 0


def find_models(path: Path, labels: Path | None = None) -> Collection:
    """All meshes below a folder, in its archives too, or in one archive.

    A mesh's class is what the labels say; or else its catalogue's category (Sweet Home 3D's .sh3f
    archives); or else the first folder of its path, a WordNet synset in ShapeNet.

    Args:
        path: a folder, or a zip archive.
        labels: a CSV file with columns `file` and `class`; meshes that it does not name are left
            out.

    Raises:
        DataError: if there is no mesh, a mesh has no class or shares its place with another, or a
            file is damaged.
    """
    if not path.exists():
        raise DataError(
            f"there is no {path}: name a folder with {', '.join(FORMATS)} files or zip archives of such, or one archive"
        )
    classes = None if labels is None else read_labels(labels)
    found, unlabelled = list[MeshFile](), 0
    for file, source, name, entry in _files(path):
        if classes is not None and file not in classes:
            unlabelled += 1
            continue
        found.append(_model(file, source, name, entry, None if classes is None else classes[file]))
    if not found:
        what = f"mesh ({', '.join(FORMATS)})" + (
            ""
            if labels is None
            else f" that {labels} names; its column `file` is the path below {path}"
        )
        raise DataError(f"{path} has no {what}")
    places = dict[str, MeshFile]()
    for model in sorted(found, key=lambda model: (model.place, model.file)):
        if other := places.get(model.place):
            raise DataError(
                f"{other.file} and {model.file} would both be {model.place}: rename one, or choose with --labels"
            )
        places[model.place] = model
    here = {model.file for model in found}
    return Collection(tuple(places.values()), tuple(sorted(set(classes or ()) - here)), unlabelled)


def read_labels(path: Path) -> dict[str, str]:
    """The class of each file, from a CSV file with columns `file` and `class`.

    Raises:
        DataError: if it is no such file, a class is empty, or a file is named twice.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True))
    except FileNotFoundError as error:
        raise DataError(f"there is no {path}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file in UTF-8 ({error})") from error
    labels = dict[str, str]()
    for number, row in enumerate(rows, 2):
        file, category = row.get("file"), row.get("class")
        if not file or not category:
            raise DataError(
                f"{path}, line {number}: expected a file and a class, in columns named `file` and `class` on the first line"
            )
        if file in labels:
            raise DataError(f"{path}, line {number}: {file} is named twice")
        labels[file] = category
    return labels


def _files(path: Path) -> Iterator[tuple[str, Path, str, CatalogueEntry | None]]:
    """Meshes: path below the collection, folder or archive, path in there, and what the archive's
    catalogue says.
    """
    files = Files(path)
    catalogue = (
        read_catalogue(files.read(CATALOGUE, MOST_CATALOGUE))
        if path.is_file() and CATALOGUE in files.names()
        else {}
    )
    for name in files.names():
        if hidden(name):
            continue
        if name.lower().endswith(FORMATS):
            yield name, path, name, catalogue.get(name)
        elif path.is_dir() and name.lower().endswith(ARCHIVES):
            if not zipfile.is_zipfile(path / name):
                raise DataError(
                    f"{path / name} is a damaged zip file, or none at all: get it again"
                )
            yield from (
                (f"{name}/{inner}", source, member, entry)
                for inner, source, member, entry in _files(path / name)
            )


def _model(
    file: str, source: Path, name: str, entry: CatalogueEntry | None, category: str | None
) -> MeshFile:
    parts = posixpath.splitext(name)[0].split("/")
    if tuple(parts[-2:]) == SHAPENET and len(parts) > 3:
        parts = parts[:-2]
    if category is None and entry is not None:
        category = entry.category
    elif category is None:
        if len(parts) == 1:
            raise DataError(
                f"{file} has no class: put it in a folder named like its class, or name its class in a file for --labels"
            )
        category, *parts = parts
    elif len(parts) > 1 and parts[0] == category:
        del parts[0]
    if len(parts) > 1 and parts[-1] == parts[-2]:  # chair/chair.obj
        del parts[-1]
    return MeshFile(
        file, source, name, _plain(category), _plain("-".join(parts)), entry.turn if entry else None
    )


def _plain(name: str) -> str:
    """A name that is a name of a folder everywhere."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "_"


def class_counts(models: tuple[MeshFile, ...]) -> Mapping[str, int]:
    """How many models each class has, classes sorted."""
    names = [model.category for model in models]
    return {name: names.count(name) for name in sorted(set(names))}
