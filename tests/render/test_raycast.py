"""The ray caster: intersections, camera, rotation, light and shadow against closed forms.

It makes the same bytes on any number of threads."""

import colorsys
import hashlib
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from seqjepa.errors import ConfigError
from seqjepa.render.kernels import AMBIENT, SUN, SUN_GAIN, enter_ball, enter_box, enter_tube
from seqjepa.render.raycast import BALL, BOX, TUBE, Objects, hsv_to_rgb, render

EYE = 2.5 * math.sqrt(0.5) * np.array([0, 1, 1])


def objects(*parts, taper=1.0) -> Objects:
    """One object of parts (kind, centre, half-sizes, colour)."""
    n = len(parts)
    kind, centre, half, colour = zip(*parts, strict=True) if parts else ((), (), (), ())
    kinds, tapers = np.array(kind, np.int64).reshape(1, n), np.full((1, n), taper)
    axes = np.array([np.diag(h) for h in half], float).reshape(1, n, 3, 3)
    centres, colours = (np.array(a, float).reshape(1, n, 3) for a in (centre, colour))
    return Objects(kinds, tapers, centres, axes, colours, np.array([n]))


def picture(solid, rotation=None, hue=0.0, theta=0.0, phi=0.0, light_hue=0.0, size=64):
    turn = np.eye(3) if rotation is None else rotation
    return render(solid, [0], [turn], [hue], [theta], [phi], [light_hue], size)[0].astype(int)


def pixel(point, size=64):
    """Row and column, in pixels, of a point of the world, worked out from the camera's description
    alone."""
    forward = -EYE / 2.5
    right = np.cross(forward, [0, 0, 1]) / np.linalg.norm(np.cross(forward, [0, 0, 1]))
    offset = np.asarray(point) - EYE
    depth = offset @ forward
    u, v = offset @ right / depth / 0.36, offset @ np.cross(right, forward) / depth / 0.36
    return (1 - v) * size / 2 - 0.5, (1 + u) * size / 2 - 0.5


@pytest.mark.parametrize(
    ("hit", "origin", "direction", "t"),
    [
        (enter_box, (3, 0, 0), (-1, 0, 0), 2),
        (enter_box, (3, 0.5, -0.9), (-2, 0, 0), 1),
        (enter_box, (2, 2, 0), (-1, -1, 0), 1),
        (enter_box, (2, 4.5, 0), (-1, -1, 0), math.inf),
        (enter_ball, (0, 3, 0), (0, -1, 0), 2),
        (enter_ball, (0.6, 3, 0), (0, -1, 0), 2.2),
        (enter_ball, (2, 2, 2), (-1, -1, -1), 2 - 1 / math.sqrt(3)),
        (enter_ball, (1.01, 3, 0), (0, -1, 0), math.inf),
        (lambda o, d: enter_tube(o, d, 1.0), (3, 0, 0.5), (-1, 0, 0), 2),
        (lambda o, d: enter_tube(o, d, 1.0), (0.3, 0.3, 4), (0, 0, -1), 3),
        (lambda o, d: enter_tube(o, d, 1.0), (3, 0, 1.5), (-1, 0, 0), math.inf),
        (lambda o, d: enter_tube(o, d, 0.0), (3, 0, 0), (-1, 0, 0), 2.5),
        (lambda o, d: enter_tube(o, d, 0.5), (3, 0, 0.5), (-1, 0, 0), 3 - 0.625),
        (lambda o, d: enter_tube(o, d, 0.5), (0.7, 0, 4), (0, 0, -1), 3.8),
        (lambda o, d: enter_tube(o, d, 0.5), (0.2, 0, -4), (0, 0, 1), 3),
        (lambda o, d: enter_tube(o, d, 0.0), (0.25, 0, 4), (0, 0, -1), 3.5),
    ],
)
def test_rays_enter_where_geometry_says(hit, origin, direction, t):
    assert hit(tuple(map(float, origin)), tuple(map(float, direction))) == pytest.approx(t)


def inside(points, taper, size=1.0):
    """True for points [3, n] in the box (taper None) or the tube, made larger by a factor."""
    x, y, z = points / size
    if taper is None:
        wall = np.maximum(abs(x), abs(y)) <= 1
    else:
        wall = np.hypot(x, y) <= ((1 + taper) + (taper - 1) * z) / 2
    return wall & (abs(z) <= 1)


@pytest.mark.parametrize("taper", [None, 0.0, 0.3, 1.0])
def test_tubes_and_boxes_agree_with_walking_along_the_ray(taper):
    rng, steps = np.random.default_rng(0), np.linspace(0, 6, 6001)
    for _ in range(300):
        target, start = rng.uniform(-1.2, 1.2, 3), rng.normal(size=3)
        origin = 3 * start / np.linalg.norm(start)
        direction = (target - origin) / np.linalg.norm(target - origin)
        walk = origin[:, None] + direction[:, None] * steps
        ray = tuple(origin), tuple(direction)
        found = enter_box(*ray) if taper is None else enter_tube(*ray, taper)
        if inside(walk, taper, 0.99).any():
            assert found == pytest.approx(steps[inside(walk, taper).argmax()], abs=2e-3)
        elif not inside(walk, taper, 1.01).any():
            assert found == math.inf


def test_a_floor_pixel_out_of_the_spotlight_has_the_hue_of_the_formula():
    for hue in (0.0, 0.21, 0.5, 0.83):
        corner = picture(objects(), hue=hue, theta=math.pi / 4, phi=math.pi / 2)[-1, 0]
        expected = np.array(colorsys.hsv_to_rgb(hue, 0.6, 0.6)) * (AMBIENT + SUN_GAIN * SUN[2])
        np.testing.assert_allclose(corner, 255 * expected, atol=0.51)


def test_hsv_is_that_of_the_standard_library():
    colours = np.random.default_rng(0).uniform(size=(50, 3))
    np.testing.assert_allclose(
        hsv_to_rgb(*colours.T), [colorsys.hsv_to_rgb(*c) for c in colours], atol=1e-12
    )


def test_a_face_that_the_spotlight_does_not_reach_has_the_shade_of_its_angle_to_the_sun():
    cube = objects((BOX, (0, 0, 0), (0.4, 0.4, 0.4), (0.9, 0.6, 0.3)))
    row, column = pixel((0, 0.4, 0))
    front = picture(cube)[round(row), round(column)]  # the light stands above: it grazes no front
    np.testing.assert_allclose(
        front, 255 * np.array([0.9, 0.6, 0.3]) * (AMBIENT + SUN_GAIN * SUN[1]), atol=0.51
    )


@pytest.mark.parametrize("kind", [BOX, BALL, TUBE])
def test_a_turned_mark_appears_where_its_turned_centre_projects(kind):
    """Fails for a transposed rotation, a mirrored camera or another order of axes."""
    centre = np.array([0.6, -0.2, 0.35])
    solid = objects((kind, centre, (0.06, 0.06, 0.06), (1, 1, 1)))
    quarter = Rotation.from_euler("z", 90, degrees=True)
    for rotation in [quarter, *Rotation.random(12, rng=np.random.default_rng(0))]:
        turn = rotation.as_matrix()
        # Red: neither the floor nor the light has much of it.
        mark = picture(solid, turn, hue=0.6, light_hue=0.6)[..., 0] > 110
        assert mark.any()
        rows, columns = np.nonzero(mark)
        np.testing.assert_allclose((rows.mean(), columns.mean()), pixel(turn @ centre), atol=0.9)


def test_a_quarter_turn_about_z_takes_the_x_arm_towards_the_camera():
    arm = objects((BOX, (0.5, 0, 0), (0.3, 0.08, 0.08), (1, 1, 1)))
    quarter = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    plain, turned, back = (
        np.nonzero(picture(arm, turn, hue=0.6, light_hue=0.6)[..., 0] > 110)
        for turn in (np.eye(3), quarter, quarter.T)
    )
    assert plain[1].mean() < 20  # x is to the left of a camera that looks along -y
    assert turned[0].mean() > 36 > 28 > back[0].mean()


@pytest.mark.parametrize("phi", [0.0, 1.1, math.pi / 2, math.pi, 4.0, 3 * math.pi / 2])
def test_the_shadow_falls_where_the_line_from_the_light_meets_the_floor(phi):
    theta, size = 0.35, 64  # steep, or the ball hides its shadow from the camera for some phi
    ball = objects((BALL, (0, 0, 0), (0.12, 0.12, 0.12), (0.5, 0.5, 0.5)))
    with_ball, without = (picture(solid, theta=theta, phi=phi) for solid in (ball, objects()))
    shadow = -np.array([math.tan(theta) * math.cos(phi), math.tan(theta) * math.sin(phi), 1])
    darker = (without - with_ball).sum(-1)
    row, column = np.rint(pixel(shadow, size)).astype(int)
    assert darker[row, column] > 60
    row, column = np.rint(pixel(shadow * [-1, -1, 1], size)).astype(int)
    assert darker[row, column] == 0


def test_the_nearer_of_two_parts_hides_the_other():
    near = (BOX, EYE * 0.2, (0.1, 0.1, 0.1), (1, 0, 0))
    far = (BOX, -EYE * 0.2, (0.1, 0.1, 0.1), (0, 1, 0))
    for parts in ((near, far), (far, near)):
        red, green, _ = picture(objects(*parts))[31, 31]
        assert red > 80
        assert green == 0


def moved_picture(solid, move, rotation=None, theta=0.0, size=64, eye_radius=2.5):
    turn = np.eye(3) if rotation is None else rotation
    factors = ([0.0], [theta], [0.0], [0.0], size)
    drawn = render(solid, [0], [turn], *factors, translation=[move], eye_radius=eye_radius)
    return drawn[0].astype(int)


def test_no_translation_is_the_picture_without():
    solid = objects((BOX, (0.2, 0, 0), (0.3, 0.2, 0.1), (0.8, 0.6, 0.4)))
    assert np.array_equal(moved_picture(solid, (0, 0, 0)), picture(solid))


def test_a_moved_object_is_one_that_was_made_there():
    """Its shadow falls elsewhere, too; the spotlight stands obliquely."""
    move, half, colour = np.array([0.3, -0.2, 0.25]), (0.3, 0.2, 0.1), (0.8, 0.6, 0.4)
    there = picture(objects((BOX, move, half, colour)), theta=0.6)
    origin = objects((BOX, (0, 0, 0), half, colour))
    assert abs(moved_picture(origin, move, theta=0.6) - there).max() <= 1
    assert abs(picture(origin, theta=0.6) - there).mean() > 1

    # Turned about its own centre first, wherever it stands.
    turn = Rotation.from_euler("xyz", (0.5, -0.3, 0.8)).as_matrix()
    turned = Objects(*(np.array(part) for part in vars(origin).values()))
    turned.axes[:] = turned.axes @ turn.T
    turned.centre[:] = move
    assert abs(moved_picture(origin, move, turn) - picture(turned)).max() <= 1


@pytest.mark.parametrize("move", [(0.3, 0, 0), (0, 0.3, 0), (0, 0, 0.3), (-0.3, -0.3, 0.3)])
def test_the_centre_of_the_mask_moves_by_the_projected_amount(move):
    """A small ball is seen where the pinhole's formula says: white, on a floor with little blue."""
    ball = objects((BALL, (0, 0, 0), (0.1, 0.1, 0.1), (1, 1, 1)))
    mask = moved_picture(ball, move, size=128)[..., 2] > 100
    assert mask.sum() > 50
    np.testing.assert_allclose(np.argwhere(mask).mean(0), pixel(move, size=128), atol=0.5)


def test_a_camera_farther_off_sees_everything_smaller():
    ball = objects((BALL, (0, 0, 0), (0.4, 0.4, 0.4), (1, 1, 1)))

    def width(eye_radius: float) -> int:
        drawn = moved_picture(ball, (0, 0, 0), size=128, eye_radius=eye_radius)
        return int((drawn[64, :, 2] > 100).sum())

    assert width(5.0) == pytest.approx(width(2.5) / 2, abs=3)


def some_pictures(threads=None, n=70, size=16):
    solid = objects(
        (BOX, (0.2, 0, 0), (0.3, 0.2, 0.1), (0.8, 0.6, 0.4)),
        (BALL, (-0.3, 0.1, 0.2), (0.2, 0.3, 0.4), (0.3, 0.3, 0.3)),
        (TUBE, (0, -0.4, 0.1), (0.2, 0.2, 0.5), (0.5, 0.7, 0.9)),
        taper=0.5,
    )

    # Not drawn: generators may change with the version of their library.
    ramp = (np.arange(n * 7).reshape(7, n) * 0.618034) % 1
    turns = Rotation.from_euler("xyz", (ramp[:3].T - 0.5) * math.pi).as_matrix()
    hue, theta, phi, light_hue = ramp[3:] * np.array([[1], [math.pi / 4], [2 * math.pi], [1]])
    return render(solid, np.zeros(n, int), turns, hue, theta, phi, light_hue, size, threads)


def test_the_number_of_threads_changes_no_bit():
    one = some_pictures(threads=1)
    for threads in (2, 3, 5, None):
        assert np.array_equal(one, some_pictures(threads=threads))


def test_the_pictures_stay_what_they_are():
    """Without fast-math every operation of the kernel is plain IEEE arithmetic, so that the digest
    holds on other machines too.

    If pictures are meant to change, raise the version of the shapes world, which its cache is keyed
    by, and pin the new digest."""
    assert hashlib.sha256(some_pictures(n=8).tobytes()).hexdigest()[:16] == "d586cdbc1d158f0f"


def test_no_object_and_no_picture_are_fine():
    assert picture(objects()).shape == (64, 64, 3)
    assert render(objects(), [], np.zeros((0, 3, 3)), [], [], [], [], 8).shape == (0, 8, 8, 3)


def test_arguments_that_do_not_fit_are_named():
    solid, eye = objects((BOX, (0, 0, 0), (1, 1, 1), (1, 1, 1))), [np.eye(3)]
    with pytest.raises(ConfigError, match=r"rotation has shape \(3, 3\), expected \(1, 3, 3\)"):
        render(solid, [0], np.eye(3), [0], [0], [0], [0], 8)
    with pytest.raises(ConfigError, match=r"light_phi has shape \(2,\)"):
        render(solid, [0], eye, [0], [0], [0, 1], [0], 8)
    with pytest.raises(ConfigError, match=r"translation has shape \(3,\), expected \(1, 3\)"):
        render(solid, [0], eye, [0], [0], [0], [0], 8, translation=[0, 0, 0])
    with pytest.raises(ConfigError, match="object_index reaches from 1 to 1, expected 0 to 0"):
        render(solid, [1], eye, [0], [0], [0], [0], 8)
    with pytest.raises(
        ConfigError, match=r"Objects\.taper is \(1, 2\) of float64, expected \(1, 1\)"
    ):
        Objects(solid.kind, np.ones((1, 2)), solid.centre, solid.axes, solid.colour, solid.count)
    with pytest.raises(ConfigError, match=r"Objects\.count reaches from 2 to 2"):
        Objects(solid.kind, solid.taper, solid.centre, solid.axes, solid.colour, np.array([2]))
