import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestpilot.sim.cameras import Camera, Rig, chase_pose, look_at, project, rotation_matrix

ANGLES = st.floats(-math.pi, math.pi)
COORDINATES = st.floats(-50, 50)


def test_focal_length_follows_from_the_field_of_view():
    camera = Camera(64, 48, horizontal_fov_deg=90)
    assert camera.focal_px == pytest.approx(32)
    assert camera.vertical_fov_deg == pytest.approx(2 * math.degrees(math.atan(24 / 32)))
    np.testing.assert_allclose(camera.intrinsics, [[32, 0, 32], [0, 32, 24], [0, 0, 1]])


@pytest.mark.parametrize("size", [(31, 48), (64, 23), (1281, 720), (1280, 721), (64.5, 48), (True, 48)])
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(ValueError, match="whole number of pixels"):
        Camera(*size)


def test_field_of_view_out_of_range_is_refused():
    with pytest.raises(ValueError, match="degrees from 10 to 150"):
        Camera(horizontal_fov_deg=180)


@given(ANGLES, ANGLES, ANGLES)
def test_rotation_matrix_is_a_rotation(roll, pitch, yaw):
    rotation = rotation_matrix(roll, pitch, yaw)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_rotation_matrix_has_the_signs_that_the_project_uses():
    ahead, left, up = np.eye(3)
    assert (rotation_matrix(0, 0, 0.3) @ ahead)[1] > 0, "positive yaw turns left"
    assert (rotation_matrix(0, 0.3, 0) @ ahead)[2] < 0, "positive pitch dips the nose"
    assert (rotation_matrix(0.3, 0, 0) @ left)[2] > 0, "positive roll raises the left side"
    np.testing.assert_allclose(rotation_matrix(0, 0, 1.0) @ up, up)


def test_rig_is_ordered_left_center_right_and_yawed_apart():
    eyes, axes = Rig().poses((0, 0, 2), np.eye(3))
    assert eyes[0, 1] > eyes[1, 1] > eyes[2, 1]
    np.testing.assert_allclose(eyes[1], [0.10, 0, 2.02], atol=1e-6)
    headings = np.arctan2(axes[:, 2, 1], axes[:, 2, 0])
    np.testing.assert_allclose(headings, np.radians([20, 0, -20]), atol=1e-6)
    np.testing.assert_allclose(axes[:, 1], np.tile([0, 0, 1], (3, 1)), atol=1e-6)
    assert axes[1, 0, 1] == pytest.approx(-1), "right is -y"


@settings(max_examples=50)
@given(ANGLES, ANGLES, ANGLES, st.tuples(COORDINATES, COORDINATES, COORDINATES))
def test_rig_moves_as_one_rigid_body(roll, pitch, yaw, position):
    rotation = rotation_matrix(roll, pitch, yaw)
    level_eyes, level_axes = Rig().poses((0, 0, 0), np.eye(3))
    eyes, axes = Rig().poses(position, rotation)
    np.testing.assert_allclose(eyes, level_eyes @ rotation.T + position, atol=1e-4)
    np.testing.assert_allclose(axes, level_axes @ rotation.T, atol=1e-5)
    np.testing.assert_allclose(np.cross(axes[:, 0], axes[:, 1]), -axes[:, 2], atol=1e-5)


@settings(max_examples=50)
@given(ANGLES, ANGLES, ANGLES, st.floats(0, 63.9), st.floats(0, 47.9), st.floats(0.1, 60))
def test_projection_undoes_the_pixel_ray(roll, pitch, yaw, column, row, depth):
    camera = Camera()
    eyes, axes = Rig(camera).poses((1, 2, 3), rotation_matrix(roll, pitch, yaw))
    right, up, forward = axes[1].astype(float)
    f = camera.focal_px
    point = eyes[1] + depth * (forward + (column - 32) / f * right + (24 - row) / f * up)
    np.testing.assert_allclose(project(camera, eyes[1], axes[1], point[None])[0], [column, row, depth], atol=2e-2)


def test_chase_camera_is_unrolled_behind_and_sees_the_vehicle_low_in_the_picture():
    camera = Camera(640, 360)
    for yaw in (-2.0, 0.0, 1.0):
        eye, axes = chase_pose((5, -3, 2), yaw)
        assert axes[0, 2] == pytest.approx(0, abs=1e-6)
        column, row, depth = project(camera, eye, axes, [[5, -3, 2]])[0]
        assert column == pytest.approx(320, abs=0.1)
        assert 180 < row < 330
        assert 3 < depth < 4


def test_look_at_refuses_to_look_straight_down():
    with pytest.raises(ValueError, match="sideways"):
        look_at((0, 0, 5), (0, 0, 0))
