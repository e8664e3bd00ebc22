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
        name: its path in the source.
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
        """Folder in the layout of 3DIEBench, `<class>/<object>`."""
        return f"{self.category}/{self.object}"


@dataclass(frozen=True)
class Collection:
    """The meshes that were found.

    Attributes:
        models: in the order of their places.
        absent: files that the labels name and that are not there.
        unlabelled: number of meshes that the labels do not name; they are left out.
    """

    models: tuple[MeshFile, ...]
    absent: tuple[str, ...] = ()
    unlabelled: int = 0


def find_models(path: Path, labels: Path | None = None) -> Collection:
    """Find all meshes below a folder, in its archives too, or in one archive.

    A mesh's class is what the labels say; without labels, its catalogue's category (Sweet Home 3D's
    .sh3f archives); without either, the first folder of its path, a WordNet synset in ShapeNet.

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
            f"there is no {path}: name a folder with {', '.join(FORMATS)} files "
            "or zip archives of them, or one archive"
        )

    classes = None if labels is None else read_labels(labels)
    found, unlabelled = list[MeshFile](), 0
    for file, source, name, entry in _files(path):
        if classes is None:
            found.append(_model(file, source, name, entry, None))
        elif file in classes:
            found.append(_model(file, source, name, entry, classes[file]))
        else:
            unlabelled += 1
    if not found:
        formats = ", ".join(FORMATS)
        named = f" that {labels} names; its column `file` is the path below {path}"
        raise DataError(f"{path} has no mesh ({formats}){'' if labels is None else named}")

    # The order of places is that of the pictures' classes and objects.
    places = dict[str, MeshFile]()
    for model in sorted(found, key=lambda model: (model.place, model.file)):
        if other := places.get(model.place):
            raise DataError(
                f"{other.file} and {model.file} would both be {model.place}: "
                "rename one, or choose with --labels"
            )
        places[model.place] = model

    absent = set(classes or ()) - {model.file for model in found}
    return Collection(tuple(places.values()), tuple(sorted(absent)), unlabelled)


def read_labels(path: Path) -> dict[str, str]:
    """Read the class of each file from a CSV file with columns `file` and `class`.

    Raises:
        DataError: if it cannot be read, a class is empty, or a file is named twice.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True))
    except FileNotFoundError as error:
        raise DataError(f"there is no {path}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file in UTF-8 ({error})") from error

    labels = dict[str, str]()
    for number, row in enumerate(rows, 2):  # line 1 names the columns
        file, category = row.get("file"), row.get("class")
        if not file or not category:
            raise DataError(
                f"{path}, line {number}: expected a file and a class, "
                "in columns named `file` and `class` on the first line"
            )
        if file in labels:
            raise DataError(f"{path}, line {number}: {file} is named twice")
        labels[file] = category
    return labels


def _files(path: Path) -> Iterator[tuple[str, Path, str, CatalogueEntry | None]]:
    """Yield the meshes of a folder or archive, and of the archives in a folder.

    Each is its path below the collection, the folder or archive that holds it, its path there, and
    its entry in the archive's catalogue.
    """
    files, catalogue = Files(path), dict[str, CatalogueEntry]()
    if path.is_file() and CATALOGUE in files.names():
        catalogue = read_catalogue(files.read(CATALOGUE, MOST_CATALOGUE))

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
            for inner, source, member, entry in _files(path / name):
                yield f"{name}/{inner}", source, member, entry


def _model(
    file: str, source: Path, name: str, entry: CatalogueEntry | None, category: str | None
) -> MeshFile:
    """Return a mesh with its class and name; `category` is the label's, None if there is none."""
    parts = posixpath.splitext(name)[0].split("/")
    if tuple(parts[-2:]) == SHAPENET and len(parts) > 3:
        parts = parts[:-2]

    # A folder that only repeats the class is no part of the object's name.
    if category is None and entry is not None:
        category = entry.category
    elif category is None:
        if len(parts) == 1:
            raise DataError(
                f"{file} has no class: put it in a folder named like its class, "
                "or name its class in a file for --labels"
            )
        category, *parts = parts
    elif len(parts) > 1 and parts[0] == category:
        del parts[0]
    if len(parts) > 1 and parts[-1] == parts[-2]:  # chair/chair.obj
        del parts[-1]

    turn = entry.turn if entry else None
    return MeshFile(file, source, name, _plain(category), _plain("-".join(parts)), turn)


def _plain(name: str) -> str:
    """Return a name as one that every file system takes for a folder."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "_"


def class_counts(models: tuple[MeshFile, ...]) -> Mapping[str, int]:
    """Return the number of models of each class, classes sorted."""
    names = [model.category for model in models]
    return {name: names.count(name) for name in sorted(set(names))}
