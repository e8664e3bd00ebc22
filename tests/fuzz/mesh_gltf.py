"""A writer of glTF files in the ways that the format allows."""

from collections.abc import Callable
from itertools import chain

import numpy as np
from scipy.spatial.transform import Rotation

from fixtures.gltf_files import KINDS, Gltf
from fuzz.mesh_shapes import Shape
from fuzz.mesh_writers import Files, png

STYLES = (
    "glb beside quantised offset strided sparse bytes shorts plain strip fan nodes matrix tree "
    "scenes extras unknown rgb colourbytes lines empty percent degenerate apart"
)
Spoil = Callable[[Gltf], object]


def write_gltf(
    shape: Shape, style: set[str], chance: np.random.Generator, spoil: Spoil | None = None
) -> Files:
    """Return a glTF file and what lies beside it; `spoil` changes it before it is written."""
    made, fans = Gltf(), shape.fans()
    made.json["scenes"], made.json["nodes"], made.json["meshes"] = [{"nodes": [0]}], [], []
    local, normals = _placed(made, shape, style, chance)
    if shape.of_parts is not None or shape.pictures:
        _materials(made, shape)

    # Either each part is a mesh below the node, or all are primitives of one.
    parts, primitives = int(shape.part.max(initial=0)) + 1, list[dict]()
    shared = _attributes(made, shape, local, normals, style)
    for part in range(parts):
        corners = [one for one, of in zip(fans.polygons, fans.part, strict=True) if of == part]
        whole = [one for one, of in zip(shape.polygons, shape.part, strict=True) if of == part]
        drawn = _drawn(made, shape, shared, corners, whole, style)
        if shape.of_parts is not None or shape.pictures:
            for primitive in drawn:
                primitive["material"] = part
        primitives.append(drawn)
    groups = primitives if "apart" in style else [list(chain.from_iterable(primitives))]
    end = len(made.json["nodes"]) - 1
    for drawn in filter(None, groups):
        made.json["meshes"].append({"primitives": drawn})
        made.json["nodes"].append({"mesh": len(made.json["meshes"]) - 1})
        below = made.json["nodes"][end].setdefault("children", [])
        below.append(len(made.json["nodes"]) - 1)

    if "scenes" in style:
        made.json["scenes"].insert(0, {"nodes": []})
        made.json["scene"] = 1
    if "extras" in style:
        made.json["nodes"][0] |= {"extras": {"nodes": [9]}, "name": "träin\n", "camera": 0}
        made.json |= {"cameras": [{"type": "perspective"}], "extras": [1]}
    if "unknown" in style:
        made.json["extensionsUsed"] = ["VENDOR_new"]
        made.json["extensions"] = {"VENDOR_new": {}}
    if spoil is not None:
        spoil(made)
    if "glb" in style:
        return {"a.glb": made.glb()}
    if "beside" in style:
        return {"a.gltf": made.gltf("my%20data.bin"), "my data.bin": made.data}
    text = made.gltf()
    return {"a.gltf": text.replace(b"=", b"%3D") if "percent" in style else text}


def _placed(
    made: Gltf, shape: Shape, style: set[str], chance: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Add the nodes; return points and normals in the frame of the last."""
    points, normals = shape.points, shape.normals
    if not style & {"nodes", "matrix", "tree", "quantised"}:
        made.json["nodes"] = [{}]
        return points, normals

    with np.errstate(invalid="ignore"):
        low, high = np.nanmin(points, 0), np.nanmax(points, 0)
    middle, size = (low + high) / 2, float((high - low).max()) or 1.0
    turn = Rotation.random(random_state=int(chance.integers(2**16)))
    local = turn.inv().apply(points - middle) / size
    turned = None if normals is None else turn.inv().apply(normals)
    place = {"translation": middle.tolist(), "rotation": turn.as_quat().tolist()}
    whole = {**place, "scale": [size] * 3}
    if "matrix" in style:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turn.as_matrix() * size, middle
        whole = {"matrix": matrix.T.ravel().tolist()}
    made.json["nodes"] = [whole]
    if "tree" in style:
        # The list does not say who is above: the root is the last one.
        made.json["nodes"] = [{**place, "children": [1]}, {"scale": [size] * 3}]
    return local, turned


def _attributes(
    made: Gltf, shape: Shape, local: np.ndarray, normals: np.ndarray | None, style: set[str]
) -> dict[str, int]:
    """Add the tables that all primitives share."""
    found = {}
    if "quantised" in style:
        with np.errstate(invalid="ignore"):
            whole = np.rint(local * 32767).astype("i2")
        found["POSITION"] = made.table(whole, "i2", normalized=True)
        made.json["extensionsUsed"] = made.json["extensionsRequired"] = ["KHR_mesh_quantization"]
    elif "strided" in style:
        found["POSITION"] = _strided(made, local)
    elif "sparse" in style:
        found["POSITION"] = _sparse(made, local)
    elif "offset" in style:
        number = made.table(np.concatenate([local[:1], local]))
        made.json["accessors"][number] |= {"count": len(local), "byteOffset": 12}
        found["POSITION"] = number
    else:
        found["POSITION"] = made.table(local)

    if normals is not None:
        found["NORMAL"] = made.table(normals)
    if shape.uv is not None:
        found["TEXCOORD_0"] = made.table(shape.uv * [1, -1] + [0, 1])
    if shape.colours is not None:
        own = shape.colours[:, :3] if "rgb" in style else shape.colours
        found["COLOR_0"] = (
            made.table(own, "u1", normalized=True)
            if "colourbytes" in style and own.shape[1] == 4
            else made.table(own / 255)
        )
    return found


def _strided(made: Gltf, values: np.ndarray) -> int:
    """Add a table whose rows of 12 bytes are 20 apart."""
    rows = np.zeros((len(values), 5), "<f4")
    rows[:, :3] = values
    view = made.view(rows.tobytes(), byteStride=20)
    about = {"count": len(values), "componentType": KINDS["f4"], "type": "VEC3"}
    made.json["accessors"].append({"bufferView": view, **about})
    return len(made.json["accessors"]) - 1


def _sparse(made: Gltf, values: np.ndarray) -> int:
    """Add a table of which every other row is given apart."""
    base, few = values.copy(), np.arange(0, len(values), 2)
    base[few] = 9
    number = made.table(base)
    made.json["accessors"][number]["sparse"] = {
        "count": len(few),
        "indices": {"bufferView": made.view(few.astype("<u2").tobytes()), "componentType": 5123},
        "values": {"bufferView": made.view(values[few].astype("<f4").tobytes())},
    }
    return number


def _drawn(
    made: Gltf,
    shape: Shape,
    shared: dict[str, int],
    corners: list[list[int]],
    whole: list[list[int]],
    style: set[str],
) -> list[dict]:
    """Return primitives of the triangles of a part."""
    if not corners:
        return []
    kind = "u1" if "bytes" in style else "u2" if "shorts" in style else "u4"
    drawn = list[dict]()

    def add(indices: list[int], **more: int) -> None:
        column = np.reshape(indices, (-1, 1))
        number = made.table(np.minimum(column, 255) if kind == "u1" else column, kind)
        drawn.append({"attributes": shared, "indices": number, **more})

    if "strip" in style:
        strip = list[int]()
        for a, b, c in corners:  # those between have no area, and an even number of them
            strip += [*([strip[-1]] * 2 + [a] if strip else []), a, b, c]
        add(strip, mode=5)
    elif "fan" in style:
        for polygon in whole:
            if len(polygon) > 2:
                add(polygon, mode=6)
    elif "plain" in style:
        flat = np.concatenate(corners)
        if flat.max() < len(shape.points) and "sparse" not in style:
            drawn.append({"attributes": _unshared(made, shared, flat)})
        else:
            add(flat.tolist())
    else:
        add(np.concatenate(corners).tolist(), mode=4)
    if "lines" in style:
        add([0, 1], mode=1)
        add([0], mode=0)
    if "empty" in style:
        drawn.append({"attributes": {}, "mode": 4})
    return drawn


def _unshared(made: Gltf, shared: dict[str, int], flat: np.ndarray) -> dict[str, int]:
    """Add tables of the corners of triangles one after the other, and return their numbers."""
    found = {}
    for name, number in shared.items():
        about = made.json["accessors"][number]
        view = made.json["bufferViews"][about["bufferView"]]
        dtype = np.dtype({5120: "i1", 5121: "u1", 5122: "<i2", 5126: "<f4"}[about["componentType"]])
        width = int(about["type"][-1])
        step = view.get("byteStride", width * dtype.itemsize)
        start = view["byteOffset"] + about.get("byteOffset", 0)
        table = np.ndarray((about["count"], width), dtype, made.data, start, (step, dtype.itemsize))
        normal = {"normalized": True} if about.get("normalized") else {}
        found[name] = made.table(table[flat], dtype.str[1:], **normal)
    return found


def _materials(made: Gltf, shape: Shape) -> None:
    """Add a material for each part."""
    made.json["materials"] = []
    for part in range(int(shape.part.max(initial=0)) + 1):
        about = {}
        if shape.of_parts is not None:
            rgb, alpha = shape.of_parts[part, :3] / 255, shape.of_parts[part, 3] / 255
            linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
            about["baseColorFactor"] = [*linear.tolist(), alpha]
        if shape.pictures:
            for kind in ("images", "textures"):
                made.json.setdefault(kind, [])
            view = made.view(png(shape.pictures[part]))
            made.json["images"].append({"bufferView": view, "mimeType": "image/png"})
            made.json["textures"].append({"source": part})
            about["baseColorTexture"] = {"index": part}
        made.json["materials"].append({"pbrMetallicRoughness": about, "alphaMode": "BLEND"})
