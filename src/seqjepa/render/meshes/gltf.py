"""glTF files: the triangles of their scene as its nodes, skins and morph targets pose them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from seqjepa.errors import DataError
from seqjepa.render.kernels import Floats, Ints
from seqjepa.render.meshes.colours import with_alpha
from seqjepa.render.meshes.gltf_file import GltfFile, Json, Table, fractions_of
from seqjepa.render.meshes.gltf_materials import GLOSSY, paint
from seqjepa.render.meshes.mesh import Part, require_few
from seqjepa.render.meshes.polygons import strip
from seqjepa.render.meshes.resolver import Resolver

# What a file may require.
READ = {"EXT_texture_webp", GLOSSY, "KHR_mesh_quantization", "KHR_texture_transform"}
DRACO = "KHR_draco_mesh_compression"
TRIANGLES, STRIP, FAN = 4, 5, 6


def read_gltf(data: bytes, resolver: Resolver) -> list[Part]:
    """Return the parts of a glTF file's scene.

    Raises:
        DataError: if it requires what is not read.
        ValueError, LookupError, TypeError, AttributeError, OSError: see `GltfFile`.
    """
    file = GltfFile(data, resolver)
    version = str(file.json.get("asset", {}).get("version", "2.0"))
    if not version.startswith("2."):
        raise DataError(f"it is glTF {version}, and only glTF 2 is read")
    unread = sorted(set(file.json.get("extensionsRequired", [])) - READ)
    if unread:
        raise DataError(f"it requires {', '.join(unread)}, which is not read")

    nodes = file.json.get("nodes", [])
    places, parts = _places(nodes), list[Part]()
    drawn = [number for number in _drawn(file.json, nodes) if "mesh" in nodes[number]]
    meshes = [file.json["meshes"][nodes[number]["mesh"]] for number in drawn]
    # Nodes can show a mesh many times over: a small file can have triangles without end.
    sizes = [_most_faces(file, primitive) for mesh in meshes for primitive in _primitives(mesh)]
    require_few(sum(sizes))

    for number, mesh in zip(drawn, meshes, strict=True):
        node = nodes[number]
        joints = _joints(file, node["skin"], places) if "skin" in node else None
        weights = node.get("weights", mesh.get("weights", []))
        for primitive in _primitives(mesh):
            parts.append(_part(file, primitive, weights, places[number], joints))
    return parts


def _primitives(mesh: Json) -> list[Json]:
    """Return the primitives of a mesh that have triangles."""
    return [
        primitive
        for primitive in mesh["primitives"]
        if primitive.get("mode", TRIANGLES) in (TRIANGLES, STRIP, FAN)
        and "POSITION" in primitive["attributes"]
    ]


def _drawn(header: Json, nodes: Sequence[Json]) -> Iterator[int]:
    """Yield the nodes of the file's scene; without scenes, all nodes."""
    if "scenes" in header:
        ahead = list(header["scenes"][header.get("scene", 0)].get("nodes", []))
    else:
        ahead = _roots(nodes)
    seen = set[int]()
    while ahead:
        number = ahead.pop()
        if number not in seen:  # each has one parent, unless the file is broken
            seen.add(number)
            ahead.extend(nodes[number].get("children", []))
            yield number


def _roots(nodes: Sequence[Json]) -> list[int]:
    children = {child for node in nodes for child in node.get("children", [])}
    return [number for number in range(len(nodes)) if number not in children]


def _places(nodes: Sequence[Json]) -> list[Floats]:
    """Return the matrices [4, 4] from each node's frame to the scene's."""
    places: list[Floats] = [np.eye(4) for _ in nodes]
    ahead, seen = [(number, np.eye(4)) for number in _roots(nodes)], set[int]()
    while ahead:
        number, above = ahead.pop()
        if number not in seen:
            seen.add(number)
            places[number] = above @ _own_place(nodes[number])
            ahead += [(child, places[number]) for child in nodes[number].get("children", [])]
    # Nodes that no root leads to have no place.
    if any("mesh" in node for number, node in enumerate(nodes) if number not in seen):
        raise ValueError("nodes are below themselves")
    return places


def _own_place(node: Json) -> Floats:
    """Return the matrix [4, 4] from a node's frame to its parent's."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    place = np.eye(4)
    place[:3, 3] = node.get("translation", [0, 0, 0])
    turn = Rotation.from_quat(node.get("rotation", [0, 0, 0, 1])).as_matrix()
    place[:3, :3] = turn * node.get("scale", [1, 1, 1])
    return place


def _joints(file: GltfFile, skin: int, places: list[Floats]) -> Floats:
    """Return the matrices [J, 4, 4] from a skinned mesh's frame to the scene's, joint by joint."""
    about = file.json["skins"][skin]
    joints = np.stack([places[joint] for joint in about["joints"]])
    if "inverseBindMatrices" not in about:
        return joints
    inverse = file.table(about["inverseBindMatrices"]).astype(np.float64)
    return joints @ inverse[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)


def _part(
    file: GltfFile, primitive: Json, weights: Sequence[float], place: Floats, joints: Floats | None
) -> Part:
    """Return the triangles of a primitive, posed and painted.

    Args:
        file: the file.
        primitive: the primitive.
        weights: of its morph targets.
        place: [4, 4], from its node's frame to the scene's.
        joints: [J, 4, 4], see `_joints`; None for no skin.
    """
    attributes = primitive["attributes"]
    where = file.json["accessors"][attributes["POSITION"]]
    if DRACO in primitive.get("extensions", {}) and "bufferView" not in where:
        raise DataError(f"it needs {DRACO}, which is not read")

    def table(name: str) -> Table | None:
        return file.table(attributes[name]) if name in attributes else None

    points, normals = _morphed(file, primitive, weights)
    faces = _faces(file, primitive, len(points))
    # A skin says where a mesh is: its node's own place does not count.
    if joints is not None and "JOINTS_0" in attributes:
        points, normals = _skinned(table, joints, points, normals)
        corners, place = points[faces], np.eye(4)
    else:
        corners = points[faces] @ place[:3, :3].T + place[:3, 3]
    turned = None
    if normals is not None and abs(np.linalg.det(place[:3, :3])) > 0:
        turned = normals[faces] @ np.linalg.inv(place[:3, :3])

    colours = table("COLOR_0")
    own = None if colours is None else with_alpha(fractions_of(colours).astype(np.float64))[faces]

    def uv(number: int) -> Table | None:
        found = table(f"TEXCOORD_{number}")
        return None if found is None else found[faces]

    looks = paint(file, primitive.get("material"), own, uv)
    return Part(corners, turned, looks.uv, looks.colour, looks.picture)


def _morphed(
    file: GltfFile, primitive: Json, weights: Sequence[float]
) -> tuple[Floats, Floats | None]:
    """Return corners and normals [V, 3] of a primitive, its morph targets added by weight."""
    moved = dict[str, Floats | None]()
    for name in ("POSITION", "NORMAL"):
        attributes: Any = primitive["attributes"]
        moved[name] = (
            file.table(attributes[name]).astype(np.float64) if name in attributes else None
        )
        for weight, target in zip(weights, primitive.get("targets", []), strict=False):
            base = moved[name]
            if weight and base is not None and name in target:
                moved[name] = base + weight * file.table(target[name])
    points = moved["POSITION"]
    assert points is not None
    return points, moved["NORMAL"]


def _skinned(
    table: Any, joints: Floats, points: Floats, normals: Floats | None
) -> tuple[Floats, Floats | None]:
    """Return corners and normals [V, 3] in the scene's frame, as their joints place them."""
    moves, total, number = np.zeros((len(points), 4, 4)), np.zeros(len(points)), 0
    while (joint := table(f"JOINTS_{number}")) is not None:
        weights = fractions_of(table(f"WEIGHTS_{number}")).astype(np.float64)
        for column in range(joint.shape[1]):
            moves += weights[:, column, None, None] * joints[joint[:, column]]
        total, number = total + weights.sum(1), number + 1

    # Weights sum to one but for rounding; what no joint holds stays where it is.
    moves = np.where(total[:, None, None] > 0, moves, np.eye(4))
    moves = moves / np.where(total > 0, total, 1)[:, None, None]
    turned = None if normals is None else np.einsum("vij,vj->vi", moves[:, :3, :3], normals)
    return np.einsum("vij,vj->vi", moves[:, :3, :3], points) + moves[:, :3, 3], turned


def _most_faces(file: GltfFile, primitive: Json) -> int:
    """Return how many triangles a primitive has at most, from the sizes of its tables."""
    table = primitive.get("indices", primitive["attributes"]["POSITION"])
    count = int(file.json["accessors"][table]["count"])
    return count // 3 if primitive.get("mode", TRIANGLES) == TRIANGLES else count


def _faces(file: GltfFile, primitive: Json, points: int) -> Ints:
    """Return the corners [F, 3] of a primitive's triangles."""
    indices = np.arange(points)
    if "indices" in primitive:
        indices = file.table(primitive["indices"])[:, 0].astype(np.int64)
    mode = primitive.get("mode", TRIANGLES)
    if mode == STRIP:
        return strip(indices)
    if mode == FAN:
        first = np.broadcast_to(indices[:1], (len(indices) - 2,))
        return np.stack([first, indices[1:-1], indices[2:]], 1)
    return indices.reshape(-1, 3)
