"""Writers of OBJ, PLY, OFF and STL files in all the ways that these formats allow.

A style is a set of words; a writer does what those say that it knows.
"""

import io
import struct

import numpy as np
from PIL import Image

from fuzz.mesh_shapes import Shape

Files = dict[str, bytes]
STYLES = {
    ".obj": "crlf cr tabs bom comments continued negative weights bytes groups lines open spaced "
    "several options unknown repeated exponents halo solo",
    ".ply": "crlf binary big typenames extra before after wide double shorts floats ints index "
    "strips info long degenerate texnumber",
    ".off": "crlf cr tabs comments joined letters fractions bare stray noedges degenerate bom",
    ".stl": "crlf cr tabs binary solid attributes several names upper spaced open degenerate",
}


def ended(text: str, style: set[str]) -> bytes:
    """Return text with the style's line ends, spaces and marks."""
    if "tabs" in style:
        text = text.replace(" ", "\t")
    if "open" in style:
        text = text.rstrip("\n")
    ends = "\r\n" if "crlf" in style else "\r" if "cr" in style else "\n"
    return (b"\xef\xbb\xbf" if "bom" in style else b"") + text.replace("\n", ends).encode()


def _words(numbers: np.ndarray, exponents: bool = False) -> str:
    return " ".join(f"{x:.17E}" if exponents else repr(float(x)) for x in np.ravel(numbers))


def png(picture: np.ndarray) -> bytes:
    """Return a picture as a file."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG")
    return data.getvalue()


def write_obj(shape: Shape, style: set[str], chance: np.random.Generator) -> Files:
    """Return an OBJ file with its materials and textures."""
    files, parts = _materials(shape, style), int(shape.part.max(initial=0)) + 1
    painted = shape.of_parts is not None or shape.pictures
    lines = ["# C:\\meshes\\"] if "comments" in style else []
    if painted:
        libraries = [name for name in files if name.endswith(".mtl")]
        lines += ["mtllib " + " ".join(libraries)] * (2 if "repeated" in style else 1)
    for number, point in enumerate(shape.points):
        words = _words(point, "exponents" in style)
        if shape.colours is not None:
            scale = 1 if "bytes" in style else 255
            words += " " + _words(shape.colours[number, :3] / scale)
        elif "weights" in style:
            words += " 1.0"
        lines.append(f"v {words}" + (" # a corner" if "comments" in style else ""))

    # Places in textures, and normals, are numbered in another order.
    order = chance.permutation(len(shape.points))
    back = np.argsort(order)
    if shape.uv is not None:
        third = " 0.5" if "weights" in style else ""
        lines += [f"vt {_words(place)}{third}" for place in shape.uv[order]]
    if shape.normals is not None:
        lines += [f"vn {_words(normal)}" for normal in shape.normals[order]]
    if "lines" in style:
        lines += ["p 1", "l 1 2", "f 1 2", "curv 0 1 1 2"]

    for part in range(parts):
        if "groups" in style:
            lines += [f"g part {part}", "o thing", "s 1", "s off"]
        for polygon in (
            one for one, of in zip(shape.polygons, shape.part, strict=True) if of == part
        ):
            if painted and ("repeated" in style or f"usemtl m {part}" not in lines):
                lines.append(f"usemtl m {part}")
            lines.append(_face(shape, polygon, back, style))
    text = "\n".join(lines) + "\n"
    return files | {"a.obj": ended(text, style)}


def _face(shape: Shape, polygon: list[int], back: np.ndarray, style: set[str]) -> str:
    total, words = len(shape.points), list[str]()
    for vertex in polygon:
        other = int(back[vertex]) if vertex < total else 0
        at, beside = (
            (vertex - total, other - total) if "negative" in style else (vertex + 1, other + 1)
        )
        word = f"{at}"
        if shape.uv is not None and shape.normals is not None:
            word += f"/{beside}/{beside}"
        elif shape.uv is not None:
            word += f"/{beside}"
        elif shape.normals is not None:
            word += f"//{beside}"
        words.append(word)
    if "continued" in style:
        words[1] += " \\\n"
    return "f " + " ".join(words)


def _materials(shape: Shape, style: set[str]) -> Files:
    """Return libraries of the materials of a shape, and textures."""
    files, texts = Files(), list[str]()
    for part in range(int(shape.part.max(initial=0)) + 1):
        lines = [f"newmtl m {part}", "Ns 10", "Ka 1 1 1"]
        if "unknown" in style:
            lines += [
                "Pr 0.5",
                "norm bumps.png",
                "map_Bump -bm 0.2 none.png",
                "Ke 1 0 0",
                "illum 2",
            ]
        if shape.of_parts is not None:
            rgba = shape.of_parts[part] / 255
            # A grey colour may be one number; three are the same.
            lines.append(f"Kd {_words(rgba[:3])}")
            opacity = f"d {'-halo ' if 'halo' in style else ''}{rgba[3]}"
            lines.append(f"Tr {1 - rgba[3]}" if "solo" in style and rgba[3] > 0 else opacity)
        if shape.pictures:
            name = f"skin {part}.png" if "spaced" in style else f"skin{part}.png"
            option = "-blendu on -s 1 1 1 -o 0 0 -mm 0 1 " if "options" in style else ""
            lines += ["Kd 0 0 0", f"map_Kd {option}{name}"]
            files[name] = png(shape.pictures[part])
        texts.append("\n".join(lines) + "\n")

    name = "my colours" if "spaced" in style else "colours"
    libraries = texts if "several" in style else ["\n".join(texts)]
    for number, text in enumerate(libraries):
        files[f"{name}{number}.mtl"] = ended(text, style)
    return files


def write_off(shape: Shape, style: set[str], chance: np.random.Generator) -> Files:
    """Return an OFF file."""
    own, normals = shape.colours, shape.normals
    header = ("ST" if "letters" in style and own is None else "") + ("C" if own is not None else "")
    header += ("N" if normals is not None else "") + "OFF"
    counts = f"{len(shape.points)} {len(shape.polygons)}" + (" 0" if "noedges" not in style else "")
    lines = ["# made by hand", ""] if "comments" in style else []
    lines += [f"{header} {counts}"] if "joined" in style else [header, counts]

    def colour(rgba: np.ndarray) -> str:
        return _words(rgba / 255) if "fractions" in style else " ".join(map(str, rgba.tolist()))

    for number, point in enumerate(shape.points):
        words = [_words(point)]
        words += [] if normals is None else [_words(normals[number])]
        words += [] if own is None else [colour(own[number])]
        words += ["0.5 0.5"] if header.startswith("ST") else []
        lines.append(" ".join(words) + (" # a corner" if "comments" in style else ""))
        lines += [""] * ("stray" in style)
    for number, polygon in enumerate(shape.polygons):
        words = [str(len(polygon)), *map(str, polygon)]
        words += [] if shape.of_faces is None else [colour(shape.of_faces[number])]
        words += ["7"] if shape.of_faces is None and "bare" in style else []  # of a palette
        lines.append(" ".join(words))
    return {"a.off": ended("\n".join(lines) + "\n", style)}


def write_stl(shape: Shape, style: set[str], chance: np.random.Generator) -> Files:
    """Return an STL file of triangles."""
    corners = shape.points[np.array(shape.fans().polygons, int).reshape(-1, 3)]
    if "binary" in style:
        title = b"solid of no text" if "solid" in style else b"made by hand"
        rows = [
            struct.pack("<12fH", 0, 0, 1, *one.ravel(), 0x7FFF if "attributes" in style else 0)
            for one in corners
        ]
        return {"a.stl": title.ljust(80) + struct.pack("<I", len(rows)) + b"".join(rows)}

    halves = np.array_split(corners, 2) if "several" in style else [corners]
    text = ""
    for number, half in enumerate(halves):
        name = f" a solid of 3 vertex {number}" if "names" in style else ""
        text += f"solid{name}\n"
        for one in half:
            text += "  facet normal 0 0 0\n    outer loop\n"
            text += "".join(f"      vertex {_words(point)}\n" for point in one)
            text += "    endloop\n  endfacet\n" + "\n" * ("spaced" in style)
        text += f"endsolid{name}\n"
    return {"a.stl": ended(text.upper() if "upper" in style else text, style)}


# Spellings of types, and numpy's words for them.
NAMES = {
    "i1": ("char", "int8"), "u1": ("uchar", "uint8"), "i2": ("short", "int16"),
    "u2": ("ushort", "uint16"), "i4": ("int", "int32"), "u4": ("uint", "uint32"),
    "f4": ("float", "float32"), "f8": ("double", "float64"),
}  # fmt: skip


def write_ply(shape: Shape, style: set[str], chance: np.random.Generator) -> Files:
    """Return a PLY file, and its textures."""
    order = "" if "binary" not in style else ">" if "big" in style else "<"
    kind = {"": "ascii", "<": "binary_little_endian", ">": "binary_big_endian"}[order]
    comments = "comment end_header is below\nobj_info 3 corners\n" if "info" in style else ""
    files = Files()
    for number, picture in enumerate(shape.pictures):
        files[f"skin {number}.png"] = png(picture)
        comments += f"comment TextureFile skin {number}.png\n"

    real = "f8" if "double" in style else "f4"
    header, body = f"ply\nformat {kind} 1.0\n{comments}", b""

    def element(name: str, rows: int, columns: list[tuple[str, str, list]]) -> None:
        """Add an element; a column is its name, its types and its values."""
        nonlocal header, body
        header += f"element {name} {rows}\n"
        for title, types, _ in columns:
            spelled = " ".join(NAMES[each]["typenames" in style] for each in types.split())
            header += f"property {'list ' if ' ' in types else ''}{spelled} {title}\n"
        for row in range(rows):
            cells = list[tuple[str, list]]()
            for _, types, values in columns:
                size, _, of = types.rpartition(" ")
                cells += [(size, [len(values[row])]), (of, values[row])] if size else []
                cells += [] if size else [(of, [values[row]])]
            if order:
                body += b"".join(np.array(one, order + of).tobytes() for of, one in cells)
            else:
                numbers = [x for of, one in cells for x in np.array(one, of).tolist()]
                body += " ".join(map(repr, numbers)).encode() + b"\n"

    def columns_of(names: str, of: str, values: np.ndarray) -> list[tuple[str, str, list]]:
        return [(n, of, values[:, k].tolist()) for k, n in enumerate(names.split())]

    scale, of = (
        (257, "u2") if "shorts" in style else (1 / 255, real) if "floats" in style else (1, "u1")
    )
    vertex = columns_of("x y z", real, shape.points)
    if "extra" in style:
        vertex.insert(1, ("tags", "u1 f4", [[1.5] * (n % 3) for n in range(len(shape.points))]))
    if shape.normals is not None:
        vertex += columns_of("nx ny nz", real, shape.normals)
    if shape.colours is not None:
        vertex += columns_of("red green blue alpha", of, shape.colours * scale)
    if shape.uv is not None and "texnumber" not in style:
        vertex += columns_of("u v", real, shape.uv)

    size, index = ("u4", "u4") if "wide" in style else ("i1", "i4")
    lists = "vertex_index" if "index" in style else "vertex_indices"
    face = [(lists, f"{size} {index}", shape.polygons)]
    if shape.of_faces is not None:
        face += columns_of("red green blue alpha", of, shape.of_faces * scale)
    if shape.pictures and "texnumber" in style:
        places = [shape.uv[[n if n < len(shape.uv) else 0 for n in p]] for p in shape.polygons]
        face.append(("texcoord", "u1 f4", [place.ravel().tolist() for place in places]))
    if shape.pictures:
        face.append(("texnumber", "i4", shape.part.tolist()))

    other = [("a", "i2", [1, 2]), ("b", "u2 f8", [[0.5], []])]
    if "before" in style:
        element("camera", 2, other)
    element("vertex", len(shape.points), vertex)
    if "strips" in style and shape.of_faces is None and not shape.pictures:
        values = [n for one in shape.fans().polygons for n in (*one, -1)]
        element("tristrips", 1, [("vertex_indices", "i4 i4", [values])])
    else:
        element("face", len(shape.polygons), face)
    if "after" in style:
        element("material", 2, other)
    header = header.replace("\n", "\r\n" if "crlf" in style else "\n")
    start = f"{header}end_header{chr(13) if 'crlf' in style else ''}\n".encode()
    return files | {"a.ply": start + body}
