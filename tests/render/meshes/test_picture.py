"""Drawing meshes: against the shapes world's own solids, closed forms and hand-made textures."""

import math

import numpy as np
import pytest

from seqjepa.render.kernels import AMBIENT, SUN, SUN_GAIN
from seqjepa.render.meshes.mesh import FLAT, RADIUS, Mesh, face_normals, framed, smooth_normals
from seqjepa.render.meshes.picture import render_mesh
from seqjepa.render.meshes.texture import pack
from seqjepa.render.raycast import BALL, BOX, Objects, render
from seqjepa.render.scene import euler_to_matrix, render_latents

trimesh = pytest.importorskip("trimesh")
DARK = np.array([0, 0, 0, 0.3, 0, 0, 0], np.float32)
WHITE = np.full((1, 1, 4), 255, np.uint8)


def mesh_of(points, colour=(1, 1, 1, 1), uv=None, texture=WHITE, normals=None) -> Mesh:
    """A mesh of triangles [F, 3, 3] in one colour."""
    points = np.asarray(points, float)
    n = len(points)
    if normals is None:
        normals = np.broadcast_to(face_normals(points)[:, None], points.shape)
    uv = np.zeros((n, 3, 2)) if uv is None else np.asarray(uv, float)
    colours = np.broadcast_to(np.array(colour, float), (n, 3, 4))
    return Mesh(points, normals, uv, colours, np.zeros(n, np.int64), (texture,))


def box(half=(0.5, 0.3, 0.2), **options) -> Mesh:
    return mesh_of(trimesh.creation.box(extents=2 * np.array(half)).triangles, **options)


def quad(texture, size=0.5, **options) -> Mesh:
    """A square in the plane that faces the camera, its picture upright."""
    up = np.array([0, -math.sqrt(0.5), math.sqrt(0.5)])
    right = np.array([-1.0, 0, 0])  # as the camera has it, which stands at +y and looks back
    corners = size * np.array([-right - up, right - up, right + up, -right + up])
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    sides = [[0, 1, 2], [0, 2, 3]]
    return mesh_of(corners[sides], uv=uv[sides], texture=texture, **options)


def solid(kind, half, colour) -> Objects:
    axes = np.diag(np.asarray(half, float)).reshape(1, 1, 3, 3)
    return Objects(
        np.array([[kind]]),
        np.ones((1, 1)),
        np.zeros((1, 1, 3)),
        axes,
        np.array(colour, float).reshape(1, 1, 3),
        np.array([1]),
    )


def latents(n, seed=0):
    rng = np.random.default_rng(seed)
    low, high = [-math.pi / 2] * 3 + [0] * 4, [math.pi / 2] * 3 + [1, math.pi / 4, 2 * math.pi, 1]
    return rng.uniform(low, high, (n, 7)).astype(np.float32)


def test_a_box_looks_like_the_shapes_worlds_box_in_every_pose_and_light():
    half, colour, poses = (0.5, 0.3, 0.2), (0.8, 0.5, 0.3), latents(12)
    mesh, index = box(half, colour=(*colour, 1)), np.zeros(12, np.int64)
    drawn = render_mesh(mesh, poses, 64).astype(int)
    expected = render_latents(solid(BOX, half, colour), index, poses, 64).astype(int)
    error = abs(drawn - expected)
    assert error.mean() < 0.25  # the solids' picture samples even pixels once
    assert (error.max(-1) > 8).mean() < 0.01

    # Another rotation is seen.
    other = poses * np.array([-1, 1, 1, 1, 1, 1, 1], np.float32)
    assert abs(render_mesh(mesh, other, 64).astype(int) - expected).mean() > 2


def test_a_sphere_covers_what_geometry_says_and_is_shaded_smoothly():
    ball = trimesh.creation.icosphere(5, radius=0.6)
    points = np.asarray(ball.triangles)
    smooth = mesh_of(points, normals=smooth_normals(points), colour=(0.9, 0.9, 0.9, 1))
    poses = latents(4, 1)
    drawn = render_mesh(smooth, poses, 64).astype(int)
    solids, index = solid(BALL, (0.6,) * 3, (0.9,) * 3), np.zeros(4, np.int64)
    error = abs(drawn - render_latents(solids, index, poses, 64).astype(int))
    assert error.mean() < 0.3 and (error.max(-1) > 8).mean() < 0.01

    # The silhouette is a circle of slope r / sqrt(d^2 - r^2); the picture's edge is at 0.36.
    black = render_mesh(mesh_of(points, colour=(0, 0, 0, 1)), poses[:1], 128)
    radius = 64 * 0.6 / math.sqrt(2.5**2 - 0.6**2) / 0.36
    assert (black[0].max(-1) == 0).sum() == pytest.approx(math.pi * radius**2, rel=0.03)

    # The normals of a unit sphere are its points.
    coarse = np.asarray(trimesh.creation.icosphere(2, radius=1).triangles)
    assert np.abs(smooth_normals(coarse) - coarse).max() < 0.03
    assert np.abs(mesh_of(coarse).normals - coarse).max() > 0.03


def test_edges_of_a_box_stay_sharp():
    points = box().points
    assert np.allclose(smooth_normals(points), face_normals(points)[:, None])


def test_a_textured_square_shows_its_four_colours_where_they_belong():
    texture = np.zeros((64, 64, 4), np.uint8)
    texture[..., 3] = 255
    red, green, blue, grey = (200, 20, 20), (20, 200, 20), (20, 20, 200), (90, 90, 90)
    texture[:32, :32, :3], texture[:32, 32:, :3] = red, green
    texture[32:, :32, :3], texture[32:, 32:, :3] = blue, grey

    # With the light behind the square, only the sun shines on its face to the camera.
    pose = np.array([0, 0, 0, 0, math.pi / 4, math.pi * 1.5, 0], np.float32)
    picture = render_mesh(quad(texture), pose[None], 64)[0]
    sun = AMBIENT + SUN_GAIN * max(0.0, np.dot([0, math.sqrt(0.5), math.sqrt(0.5)], SUN))
    seen = {(24, 24): red, (24, 39): green, (39, 24): blue, (39, 39): grey}
    for (row, column), colour in seen.items():
        assert np.allclose(picture[row, column], np.array(colour) * sun, atol=1.5), (row, column)


def test_both_sides_of_a_surface_are_lit_alike():
    one, two = box(), box()
    inside_out = mesh_of(two.points[:, ::-1])
    assert np.array_equal(render_mesh(one, latents(3), 32), render_mesh(inside_out, latents(3), 32))


def test_what_is_transparent_shows_what_is_behind_and_casts_less_shadow():
    poses = latents(4, 3)
    empty = render_mesh(box(colour=(1, 1, 1, 0)), poses, 48).astype(int)
    speck, index = solid(BOX, (1e-3,) * 3, (0, 0, 0)), np.zeros(4, np.int64)
    nothing = render_latents(speck, index, poses, 48).astype(int)
    assert (abs(empty - nothing).max(-1) > 8).mean() < 0.003

    # A closed black box at alpha 1/2 is two surfaces: a quarter of the light behind comes through.
    full = render_mesh(box(colour=(0, 0, 0, 1)), poses, 48).astype(int)
    half = render_mesh(box(colour=(0, 0, 0, 0.5)), poses, 48).astype(int)
    behind = full.max(-1) == 0
    assert abs(half[behind].mean() / empty[behind].mean() - 0.25) < 0.05


def test_holes_in_a_texture_are_holes():
    texture = np.full((64, 64, 4), 255, np.uint8)
    texture[16:48, 16:48, 3] = 0
    pose = DARK[None]
    picture = render_mesh(quad(texture), pose, 64)[0].astype(int)
    whole = render_mesh(quad(WHITE), pose, 64)[0].astype(int)
    floor = render_mesh(quad(WHITE, 1e-3), pose, 64)[0].astype(int)
    assert abs(picture[32, 32] - floor[32, 32]).max() <= 2
    assert abs(picture[18, 32] - whole[18, 32]).max() <= 2
    assert abs(floor[32, 32] - whole[32, 32]).max() > 50


def test_fine_textures_are_averaged_not_sampled():
    checks = np.full((512, 512, 4), 255, np.uint8)
    checks[..., :3] = 255 * (np.add.outer(np.arange(512), np.arange(512)) % 2)[..., None]
    pose = np.array([[0, 0, 0, 0, math.pi / 4, math.pi * 1.5, 0]], np.float32)
    picture = render_mesh(quad(checks), pose, 32)[0].astype(int)
    inner = picture[12:20, 12:20]
    sun = AMBIENT + SUN_GAIN * max(0.0, np.dot([0, math.sqrt(0.5), math.sqrt(0.5)], SUN))
    assert np.ptp(inner) <= 2 and abs(inner.mean() - 127.5 * sun) < 3
    texels = pack(quad(checks), 32)
    assert texels.width[0] < 64


def test_framing_centres_scales_and_refuses():
    moved = framed(mesh_of(box().points * 7 + np.array([5, -3, 100])))
    assert np.allclose(moved.points.min((0, 1)), -moved.points.max((0, 1)))
    assert np.linalg.norm(moved.points, axis=-1).max() == pytest.approx(RADIUS)
    with pytest.raises(Exception, match="NaN"):
        framed(mesh_of(np.full((1, 3, 3), np.nan)))
    with pytest.raises(Exception, match="no triangle has an area"):
        framed(mesh_of(np.ones((4, 3, 3))))
    with pytest.raises(Exception, match="no volume"):
        framed(mesh_of(box((1, 1, FLAT / 4)).points))


def test_no_object_leaves_the_frame():
    corner = framed(box((1, 0.01, 0.01), colour=(0, 0, 0, 1)))
    for picture in render_mesh(corner, latents(30, 5), 32):
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edge.max(-1) > 0).all()


def test_pictures_are_a_pure_function():
    poses = latents(3)
    alone = [render_mesh(box(), poses[i : i + 1], 32)[0] for i in range(3)]
    assert np.array_equal(render_mesh(box(), poses, 32), alone)


def test_the_rotation_convention_is_the_shapes_worlds():
    angles = np.array([[0.3, -0.7, 1.1]])
    turned = mesh_of(box().points @ euler_to_matrix(angles)[0].T)
    pose = np.array([[*angles[0], 0.5, 0.2, 1, 0.3]], np.float32)
    still = pose * np.array([0, 0, 0, 1, 1, 1, 1], np.float32)
    drawn = render_mesh(box(), pose, 48).astype(int)
    assert abs(drawn - render_mesh(turned, still, 48)).mean() < 0.1

    factors = ([value] for value in pose[0, 3:].astype(float))
    box_solid = solid(BOX, (0.5, 0.3, 0.2), (1, 1, 1))
    reference = render(box_solid, [0], euler_to_matrix(angles), *factors, 48)
    assert abs(drawn - reference).mean() < 0.3
