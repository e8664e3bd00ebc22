"""Scenes on which a pose is set by hand: the globe around an object, and a photo. Needs viser."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import roma
import torch
import viser
from torch import Tensor
from typing_extensions import override

from seqjepa.explore.exploration import Answer, Seen
from seqjepa.explore.pictures import colours, draw_photo
from seqjepa.explore.poses import CAMERA, PoseSpace, looking_from
from seqjepa.explore.surroundings import Surroundings

Ask = Callable[[Tensor], None]  # takes a rotation [4] or a pose [P]
EDGES = 24  # of a tile on the globe and of the camera's ring
TILE = 0.117  # radius of a tile, where the globe's is 1
AWAY = 3.3  # from the globe to the eye of the reader
# A photo stands upright and faces the y axis, as the camera of `poses` does: right, down, away.
UPRIGHT = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]]).T


class Scene(ABC):
    """The middle of the page, on which a pose is set.

    Attributes:
        caption: what it shows, and how to use it.
    """

    caption: str

    @abstractmethod
    def place(self, pose: Tensor) -> None:
        """Take a pose [P] that was set elsewhere."""

    @abstractmethod
    def show(self, seen: Seen, surroundings: Surroundings, answer: Answer) -> None:
        """Show an answer."""


class Globe(Scene):
    """A globe that turns as the object does, coloured by direction."""

    caption = (
        "<b>Drag the globe or its arcs</b> to turn the object; the camera sees what is in the "
        "white ring. The brighter a tile, the more like what is imagined is the real view of the "
        "object from there; grey tiles are directions that training never showed."
    )

    def __init__(self, server: viser.ViserServer, space: PoseSpace, turn: Ask) -> None:
        self.server, self.space, self.turn = server, space, turn
        self.tiles: viser.BatchedMeshHandle | None = None
        self.grabbed: tuple[Tensor, Tensor] | None = None

        scene = server.scene
        self.gizmo = scene.add_transform_controls(
            "/object", scale=2.0, line_width=3, disable_axes=True, disable_sliders=True
        )
        self.gizmo.on_update(lambda _: self.turn(_xyzw(self.gizmo.wxyz)))
        self.core = scene.add_icosphere("/object/core", radius=0.97, color=(46, 54, 64))
        self.core.on_drag("left")(self._drag)
        _ring(server)
        server.initial_camera.position = tuple((AWAY * CAMERA).tolist())
        server.initial_camera.look_at = (0.0, 0.0, 0.0)

    @override
    def place(self, pose: Tensor) -> None:
        self.gizmo.wxyz = _wxyz(self.space.quaternion(pose))

    @override
    def show(self, seen: Seen, surroundings: Surroundings, answer: Answer) -> None:
        assert answer.surroundings is not None, "an answer about these surroundings"
        tints = colours(answer.surroundings)
        if self.tiles is None:
            self.tiles = self._tile(surroundings.places, tints)
            self.tiles.on_drag("left")(self._drag)
        self.tiles.batched_colors = tints

    def _drag(self, event: Any) -> None:
        """Turn the globe so that the point that was grabbed follows the pointer."""
        if event.phase == "start" or self.grabbed is None:
            start = torch.tensor(event.start_position)
            self.grabbed = start, _xyzw(self.gizmo.wxyz)
        start, before = self.grabbed
        moved = torch.tensor(event.end_position) - start
        axis = torch.linalg.cross(start, moved) / start.square().sum()
        turned = roma.quat_product(roma.rotvec_to_unitquat(axis), before)
        if event.phase == "end":
            self.grabbed = None
        self.gizmo.wxyz = _wxyz(turned)
        self.turn(turned)

    def _tile(self, directions: Tensor, tints: Any) -> viser.BatchedMeshHandle:
        """Lay a disc at each direction."""
        # Discs face z; the rotation that brings z to a direction undoes one to the camera.
        to_camera = looking_from(torch.cat([torch.tensor([[0.0, 0.0, 1.0]]), directions]), 1)[:, 0]
        turns = roma.quat_product(
            roma.quat_conjugation(to_camera[1:]), to_camera[:1].expand(len(directions), -1)
        )

        rim = _circle(TILE)
        vertices = np.concatenate([np.zeros((1, 3)), rim])
        place = np.arange(EDGES)
        faces = np.stack([np.zeros_like(place), 1 + place, 1 + (place + 1) % EDGES], -1)
        return self.server.scene.add_batched_meshes_simple(
            "/object/tiles",
            vertices,
            faces,
            batched_wxyzs=_wxyz(turns),
            batched_positions=directions.numpy(),
            batched_colors=tints,
            lod="off",
            side="double",
            cast_shadow=False,
            receive_shadow=False,
        )


class Photo(Scene):
    """A photo that is clicked on, under a heat map."""

    caption = (
        "<b>Click on the photo</b> for the next fixation (?), whose view is imagined from those at "
        "the numbers. The brighter a place, the more like what is imagined is the real patch there."
    )

    def __init__(self, server: viser.ViserServer, patch: int, ask: Ask) -> None:
        self.server, self.patch, self.ask = server, patch, ask
        self.image: viser.ImageHandle | None = None
        server.initial_camera.position = (0.0, 1.2, 0.0)
        server.initial_camera.look_at = (0.0, 0.0, 0.0)

    @override
    def place(self, pose: Tensor) -> None:
        """Do nothing: the photo shows the pose of the answer."""

    @override
    def show(self, seen: Seen, surroundings: Surroundings, answer: Answer) -> None:
        assert answer.surroundings is not None, "an answer about these surroundings"
        assert seen.subject.photo is not None, "only photos are fixated"
        drawn = draw_photo(
            seen.subject.photo, answer.surroundings, seen.poses, answer.pose, self.patch
        )
        if self.image is not None:
            self.image.image = drawn
            return
        wxyz = _wxyz(roma.rotmat_to_unitquat(UPRIGHT))
        self.image = self.server.scene.add_image(
            "/photo", drawn, 1.0, 1.0, format="jpeg", jpeg_quality=90, wxyz=wxyz
        )
        self.image.on_click(self._click)

    def _click(self, event: Any) -> None:
        """Ask for the place where the click's ray meets the photo's plane, y = 0."""
        origin, direction = torch.tensor(event.ray_origin), torch.tensor(event.ray_direction)
        met = origin - direction * (origin[1] / direction[1])
        self.ask(torch.stack([0.5 - met[2], 0.5 - met[0]]).clamp(0, 1).float())


def _xyzw(wxyz: Any) -> Tensor:
    """Return a quaternion of viser's as the project has them."""
    quaternion: Tensor = roma.quat_wxyz_to_xyzw(torch.tensor(wxyz, dtype=torch.float32))
    return quaternion


def _wxyz(quaternions: Tensor) -> Any:
    """Return quaternions [..., 4] as viser has them."""
    return roma.quat_xyzw_to_wxyz(quaternions).double().numpy()


def _circle(radius: float) -> Any:
    """Return points [EDGES, 3] of a circle about z."""
    angle = np.arange(EDGES) * (2 * math.pi / EDGES)
    return radius * np.stack([np.cos(angle), np.sin(angle), np.zeros(EDGES)], -1)


def _ring(server: viser.ViserServer) -> None:
    """Draw a ring where the line from the object to the camera leaves the globe."""
    # The rotation that brings z to the camera.
    turn = looking_from(torch.tensor([[0.0, 0.0, 1.0]]), 1)[0, 0]
    rim = roma.quat_action(turn.expand(EDGES, 4), torch.from_numpy(_circle(0.2)).float())
    points = (rim + 1.03 * CAMERA).numpy()
    lines = np.stack([points, np.roll(points, -1, 0)], 1)
    server.scene.add_line_segments("/camera", lines, colors=(255, 255, 255), thickness=0.02)
