"""The meshes of a folder or an archive, with their names and classes."""

import csv
import io
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seqjepa.errors import DataError
from seqjepa.files import sha256
from seqjepa.reading.archives import Files, hidden
from seqjepa.render.meshes.catalogue import CATALOGUE, CatalogueEntry, read_catalogue
from seqjepa.render.meshes.load import FORMATS

# What lies beside meshes and is none: materials, buffers, pictures and texts.
COMPANIONS = """
    .mtl .bin .png .jpg .jpeg .bmp .tga .gif .webp .tif .tiff .dds .ktx .ktx2 .hdr .exr .psd
    .txt .md .rst .csv .tsv .json .xml .html .htm .pdf .properties .yaml .yml .log .url
"""
SPARE = (".gltf", ".off", ".stl")  # formats that give way to others of the same object
MOST_NAME = 250  # bytes; most disks take 255, and a folder that is written has 5 more
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
        unread: number of files of other kinds by their suffix, without those that go with meshes.
        doubles: meshes that are left out because their object is there in another format.
    """

    models: tuple[MeshFile, ...]
    absent: tuple[str, ...] = ()
    unlabelled: int = 0
    unread: Mapping[str, int] = field(default_factory=dict)
    doubles: tuple[str, ...] = ()


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
    found, unlabelled, unread, others = list[MeshFile](), 0, Counter[str](), set[str]()
    for file, source, name, entry in _files(path):
        suffix = _suffix(name)
        if suffix not in FORMATS:
            others.add(file)
            if suffix and suffix not in COMPANIONS.split():
                unread[suffix] += 1
        elif classes is None:
            found.append(_model(file, source, name, entry, None))
        elif file in classes:
            found.append(_model(file, source, name, entry, classes[file]))
        else:
            unlabelled += 1
    if not found:
        formats = ", ".join(FORMATS)
        named = f" that {labels} names; its column `file` is the path below {path}"
        kinds = f"; not read: {', '.join(counted(unread))}" if unread else ""
        raise DataError(f"{path} has no mesh ({formats}){'' if labels is None else named}{kinds}")

    # The order of places is that of the pictures' classes and objects.
    places, doubles = dict[str, MeshFile](), list[str]()
    for model in sorted(found, key=lambda model: (model.place, _rank(model), model.file)):
        other = places.setdefault(model.place, model)
        if other is not model and _suffix(model.name) in SPARE and _rank(other) < _rank(model):
            doubles.append(model.file)
        elif other is not model:
            raise DataError(
                f"{other.file} and {model.file} would both be {model.place}: "
                "rename one, or choose with --labels"
            )

    absent = set(classes or ()) - {model.file for model in found} - others
    return Collection(
        tuple(places.values()),
        tuple(sorted(absent)),
        unlabelled,
        dict(sorted(unread.items())),
        tuple(doubles),
    )


def counted(kinds: Mapping[str, int]) -> list[str]:
    """Return kinds of files with their numbers, such as `3 .fbx`, the most first."""
    order = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
    return [f"{number:,} {suffix}" for suffix, number in order]


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def _rank(model: MeshFile) -> int:
    """Return the place of a mesh's format among those that are read; the first is the best."""
    return FORMATS.index(_suffix(model.name)) if _suffix(model.name) in SPARE else 0


def read_labels(path: Path) -> dict[str, str]:
    """Read the class of each file from a CSV file with columns `file` and `class`.

    Raises:
        DataError: if it cannot be read, a class is empty, or a file is named twice.
    """
    try:
        text = io.StringIO(path.read_text(encoding="utf-8-sig"))
        rows = list(csv.DictReader(text, strict=True, skipinitialspace=True))
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
                "in columns named `file` and `class` on the first line, with commas between them"
            )
        if file in labels:
            raise DataError(f"{path}, line {number}: {file} is named twice")
        labels[file] = category
    return labels


def _files(path: Path) -> Iterator[tuple[str, Path, str, CatalogueEntry | None]]:
    """Yield the files of a folder or archive, and of the archives in a folder.

    Each is its path below the collection, the folder or archive that holds it, its path there, and
    its entry in the archive's catalogue.
    """
    files, catalogue = Files(path), dict[str, CatalogueEntry]()
    if path.is_file() and CATALOGUE in files.names():
        catalogue = read_catalogue(files.read(CATALOGUE, MOST_CATALOGUE))

    for name in files.names():
        if hidden(name):
            continue
        if not path.is_dir() or not name.lower().endswith(ARCHIVES):
            yield name, path, name, catalogue.get(name)
        else:
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
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._") or "_"
    if len(plain.encode()) <= MOST_NAME:
        return plain
    # What is cut off may be all that tells two names apart.
    digest = sha256(name.encode(errors="surrogateescape"))[:16]
    return f"{plain.encode()[: MOST_NAME - 50].decode(errors='ignore')}-{digest}"


def class_counts(models: tuple[MeshFile, ...]) -> Mapping[str, int]:
    """Return the number of models of each class, classes sorted."""
    names = [model.category for model in models]
    return {name: names.count(name) for name in sorted(set(names))}
