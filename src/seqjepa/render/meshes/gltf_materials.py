"""Base colours, textures and alpha of a glTF file's materials."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from seqjepa.errors import DataError
from seqjepa.render.kernels import Floats
from seqjepa.render.meshes.colours import GREY, rounded
from seqjepa.render.meshes.gltf_file import GltfFile, Json, Table
from seqjepa.render.meshes.texture import Mode, wrapped

GLOSSY = "KHR_materials_pbrSpecularGlossiness"
PICTURES = ("image/png", "image/jpeg", "image/webp")
KTX2 = b"\xabKTX 20\xbb"
MODES: dict[int, Mode] = {33071: "edge", 33648: "symmetric"}  # a sampler's; others repeat

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Paint:
    """A part's colour, its texture and the places in that, as `mesh.Part` has them."""

    colour: Floats
    picture: Pixels | None = None
    uv: Floats | None = None


def paint(
    file: GltfFile,
    number: int | None,
    corners: Floats | None,
    places: Callable[[int], Table | None],
) -> Paint:
    """Return how a material's triangles look.

    Args:
        file: the file.
        number: of the material; None for none.
        corners: [F, 3, 4], colours of the corners; None for none.
        places: returns the places [F, 3, 2] of a set of texture coordinates, v downwards, or None.

    Raises:
        DataError: if a texture is in a format that is not read, or damaged.
    """
    if number is None:
        # Without a material, all is opaque.
        colour = np.array(GREY) if corners is None else rounded(corners)
        return _in_mode({}, Paint(colour))

    material = file.json["materials"][number]
    # Many parts share a material, whose pictures are decoded once.
    if number not in file.bases:
        file.bases[number] = _base(file, material)
    factor, picture, info = file.bases[number]
    # Factors are linear, pictures are not: sRGB's curve.
    linear = factor[:3]
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    colour = np.append(rgb, factor[3]) * (1 if corners is None else corners)

    uv = None
    if picture is not None:
        uv = _places(info, places)
        sampler = file.json["textures"][info["index"]].get("sampler")
        about = {} if sampler is None else file.json["samplers"][sampler]
        modes = MODES.get(about.get("wrapS", 0), "wrap"), MODES.get(about.get("wrapT", 0), "wrap")
        picture, uv = (None, None) if uv is None else wrapped(picture, uv, modes)
    return _in_mode(material, Paint(colour, picture, uv))


def _in_mode(material: Json, looks: Paint) -> Paint:
    """Return the same with the alpha that the material's mode gives it."""
    mode, colour, picture = material.get("alphaMode", "OPAQUE"), looks.colour.copy(), looks.picture
    if mode == "BLEND":
        return looks
    if picture is not None:
        picture = picture.copy()

    if mode == "OPAQUE":
        colour[..., 3] = 1
        if picture is not None:
            picture[..., 3] = 255
        return Paint(colour, picture, looks.uv)

    # Below the cut-off nothing is seen, above it all. A texture is cut before it is shrunk.
    cut = material.get("alphaCutoff", 0.5)
    if picture is None:
        colour[..., 3] = colour[..., 3] >= cut
        return Paint(colour)
    picture[..., 3] = np.where(picture[..., 3] * colour[..., 3].mean() >= 255 * cut, 255, 0)
    colour[..., 3] = 1
    return Paint(colour, picture, looks.uv)


def _base(file: GltfFile, material: Json) -> tuple[Floats, Pixels | None, Json]:
    """Return a material's base colour [4], linear, and its texture with what is said of that."""
    glossy = material.get("extensions", {}).get(GLOSSY)
    if glossy is not None:
        return _glossy(file, glossy)
    about = material.get("pbrMetallicRoughness", {})
    factor = np.array(about.get("baseColorFactor", [1, 1, 1, 1]), np.float64)
    info = about.get("baseColorTexture")
    if info is None:
        return factor, None, {}
    image = _image(file, info)
    return factor, None if image is None else file.resolver.decoded(image), info


def _glossy(file: GltfFile, about: Json) -> tuple[Floats, Pixels | None, Json]:
    """Return what `_base` does of a material with specular and diffuse colours."""
    from trimesh.visual.gloss import specular_to_pbr

    infos = {key: value for key, value in about.items() if key.endswith("Texture")}
    pictures = dict[str, Any]()
    for key, info in infos.items():
        image = _image(file, info)
        if image is not None:
            pictures[key] = Image.fromarray(file.resolver.decoded(image))
    base = specular_to_pbr(**{**about, **pictures})
    if "baseColorTexture" not in base:
        return np.append(base["baseColorFactor"], 1.0)[:4], None, {}
    picture = np.asarray(base["baseColorTexture"].convert("RGBA"))
    return np.ones(4), picture, infos.get("diffuseTexture") or next(iter(infos.values()))


def _image(file: GltfFile, info: Json) -> Image.Image | None:
    """Return the picture of a texture; None, and a note, if it is not there."""
    texture = file.json["textures"][info["index"]]
    extensions = texture.get("extensions", {})
    source = extensions.get("EXT_texture_webp", texture).get("source")
    if source is None:
        raise DataError(
            f"a texture needs {', '.join(extensions) or 'a picture'}, which is not read"
        )

    image = file.json["images"][source]
    kind = image.get("mimeType", PICTURES[0])
    view = image.get("bufferView")
    data = file.bytes_of(image["uri"]) if view is None else file.view(view)
    if kind not in PICTURES or data.startswith(KTX2):
        raise DataError(f"a texture is {'KTX2' if data.startswith(KTX2) else kind}, not read")
    label = f"image {source}" if view is not None else image["uri"][:80]
    return file.resolver.opened(data, label)


def _places(info: Json, places: Callable[[int], Table | None]) -> Floats | None:
    """Return the places [F, 3, 2] of a texture, v upwards; None if there are none."""
    moved = info.get("extensions", {}).get("KHR_texture_transform", {})
    uv = places(moved.get("texCoord", info.get("texCoord", 0)))
    if uv is None:
        return None
    if moved:
        # Scaled, then turned, then shifted, with v downwards.
        angle = moved.get("rotation", 0)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        uv = (uv * moved.get("scale", [1, 1])) @ turn.T + moved.get("offset", [0, 0])
    return np.stack([uv[..., 0], 1 - uv[..., 1]], -1).astype(np.float64)
