"""The catalogue of a Sweet Home 3D furniture library (.sh3f).

It is a Java properties file with keys like `name#12`.
"""

import re
from dataclasses import dataclass

import numpy as np

CATALOGUE = "PluginFurnitureCatalog.properties"

# Sweet Home's models face +z; ShapeNet's, and so 3DIEBench's, face -z.
FACING = np.diag([-1.0, 1.0, -1.0])


@dataclass(frozen=True)
class CatalogueEntry:
    """A model in the catalogue.

    Attributes:
        name: in English.
        category: in English.
        turn: rotation, three rows of three, that makes it stand upright and face -z, y being up.
    """

    name: str
    category: str
    turn: tuple[tuple[float, ...], ...]


def read_catalogue(data: bytes) -> dict[str, CatalogueEntry]:
    """Return a catalogue's entries by the path of their model in the archive.

    Entries without a model are left out.
    """
    # Properties are Latin-1, with \uXXXX for everything else.
    lines = re.findall(r"^\s*(\w+)#(\d+)\s*=\s*(.*?)\s*$", data.decode("latin-1"), re.MULTILINE)
    values = dict[str, dict[str, str]]()
    for key, number, value in lines:
        text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), value)
        values.setdefault(number, {})[key] = text

    entries = dict[str, CatalogueEntry]()
    for entry in values.values():
        if "model" in entry:
            name, category = entry.get("name", ""), entry.get("category", "other")
            turn = _turn(entry.get("modelRotation", ""))
            entries[entry["model"].lstrip("/")] = CatalogueEntry(name, category, turn)
    return entries


def _turn(text: str) -> tuple[tuple[float, ...], ...]:
    """Return FACING after the catalogue's own rotation, nine numbers row by row.

    A matrix that is no rotation is left out.
    """
    try:
        own = np.array([float(number) for number in text.split()]).reshape(3, 3)
    except ValueError:
        own = np.eye(3)
    if not np.allclose(own @ own.T, np.eye(3), atol=1e-3):
        own = np.eye(3)
    return tuple(tuple(row) for row in (FACING @ own).tolist())
