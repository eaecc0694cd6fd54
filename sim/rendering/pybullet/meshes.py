"""Low-poly unit meshes for PyBullet, written once per process as OBJ files.

PyBullet caches OBJ files by name across connections, and shapes made from vertices leak; so there is one file per unit
shape, in a fresh folder whose name no other process shares, and each tree scales it.
"""

import functools
import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forestpilot.sim.scratch import scratch_folder

SIDES = 8
"""Sides of a trunk and of a cone."""


class Mesh(NamedTuple):
    """Triangles with one normal per vertex."""

    vertices: NDArray[np.floating]
    """(n, 3)."""
    normals: NDArray[np.floating]
    """(n, 3) unit vectors."""
    triangles: NDArray[np.int64]
    """(m, 3) indices of vertices, counter-clockwise from outside."""


def _ring() -> NDArray[np.float64]:
    """Corners (SIDES, 2) of a polygon that is as wide, on the mean of all directions, as the unit circle."""
    angle = 2 * np.pi * np.arange(SIDES) / SIDES
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) / np.sinc(1 / SIDES)


def unit_cylinder() -> Mesh:
    """Side of an upright cylinder of radius 1 from z = 0 to 1; its ends are never seen."""
    ring = _ring()
    vertices = np.concatenate([np.c_[ring, np.zeros(SIDES)], np.c_[ring, np.ones(SIDES)]])
    normals = np.tile(np.c_[ring, np.zeros(SIDES)] / np.linalg.norm(ring, axis=1, keepdims=True), (2, 1))
    here = np.arange(SIDES)
    there = (np.arange(SIDES) + 1) % SIDES
    lower = np.stack([here, there, there + SIDES], axis=1)
    upper = np.stack([here, there + SIDES, here + SIDES], axis=1)
    return Mesh(vertices, normals, np.concatenate([lower, upper]))


def unit_cone() -> Mesh:
    """Upright cone with base radius 1 at z = 0 and apex at z = 1, with its base disc."""
    ring = _ring()
    outward = np.c_[ring, np.full(SIDES, 0.5)]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    rim = np.c_[ring, np.zeros(SIDES)]
    apex = np.tile([0.0, 0.0, 1.0], (SIDES, 1))
    here = np.arange(SIDES)
    there = (np.arange(SIDES) + 1) % SIDES
    side = np.stack([here, there, here + SIDES], axis=1)
    base = np.stack([np.full(SIDES, 3 * SIDES), there + 2 * SIDES, here + 2 * SIDES], axis=1)
    down = np.tile([0.0, 0.0, -1.0], (SIDES + 1, 1))
    return Mesh(
        np.concatenate([rim, apex, rim, np.zeros((1, 3))]),
        np.concatenate([outward, outward, down]),
        np.concatenate([side, base]),
    )


def unit_sphere() -> Mesh:
    """Sphere of radius 1 with 80 faces: an icosahedron whose edges are split once."""
    golden = (1 + 5**0.5) / 2
    corners = [(0, s, t * golden) for s in (1, -1) for t in (1, -1)]
    vertices = np.array([np.roll(corner, shift) for shift in range(3) for corner in corners], float)
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    distance = np.linalg.norm(vertices[:, None] - vertices[None], axis=2)
    linked = np.isclose(distance, distance[distance > 0].min())
    faces = [
        (i, j, k)
        for i in range(12)
        for j in range(i + 1, 12)
        for k in range(j + 1, 12)
        if linked[i, j] and linked[j, k] and linked[i, k]
    ]
    split: list[NDArray[np.float64]] = []
    for a, b, c in vertices[np.array(faces)]:
        ab, bc, ca = (edge / np.linalg.norm(edge) for edge in (a + b, b + c, c + a))
        for triangle in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)):
            outward = np.dot(np.cross(triangle[1] - triangle[0], triangle[2] - triangle[0]), triangle[0]) > 0
            split += triangle if outward else triangle[::-1]
    points, index = np.unique(np.round(np.array(split, np.float64), 9), axis=0, return_inverse=True)
    # The flat faces of a mesh inscribed in the sphere look smaller; this widens its outline to the sphere's.
    return Mesh(points * 1.03, points, index.reshape(-1, 3))


def unit_drum() -> Mesh:
    """Cylinder of radius 1 around the y axis from y = -1 to 1, with its ends: a wheel or a lying log."""
    ring = _ring()
    rims = [np.c_[ring[:, 0], np.full(SIDES, y), ring[:, 1]] for y in (-1.0, 1.0)]
    outward = np.c_[ring[:, 0], np.zeros(SIDES), ring[:, 1]] / np.linalg.norm(ring, axis=1, keepdims=True)
    ends = [np.tile([0.0, y, 0.0], (SIDES, 1)) for y in (-1.0, 1.0)]
    here = np.arange(SIDES)
    there = (np.arange(SIDES) + 1) % SIDES
    fan = np.stack([np.zeros(SIDES - 2, int), here[1:-1], here[2:]], axis=1)
    sides = [np.stack([here, here + SIDES, there + SIDES], axis=1), np.stack([here, there + SIDES, there], axis=1)]
    return Mesh(
        np.concatenate(rims + rims),
        np.concatenate([outward, outward, *ends]),
        np.concatenate([*sides, fan + 2 * SIDES, fan[:, ::-1] + 3 * SIDES]),
    )


def unit_cube() -> Mesh:
    """Box from -1 to 1 in x, y and z."""
    vertices: list[NDArray[np.float64]] = []
    normals: list[NDArray[np.float64]] = []
    triangles: list[tuple[int, int, int]] = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            normal = np.roll([side, 0.0, 0.0], axis)
            u = np.roll([0.0, 1.0, 0.0], axis)
            v = np.roll([0.0, 0.0, side], axis)
            first = len(vertices)
            vertices += [normal + a * u + b * v for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            normals += [normal] * 4
            triangles += [(first, first + 1, first + 2), (first, first + 2, first + 3)]
    return Mesh(np.array(vertices), np.array(normals), np.array(triangles))


def unit_square() -> Mesh:
    """Ground from -1 to 1 in x and y."""
    corners = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    return Mesh(corners, np.tile([0.0, 0.0, 1.0], (4, 1)), np.array([[0, 1, 2], [0, 2, 3]]))


UNIT_SHAPES = {
    "cylinder": unit_cylinder,
    "cone": unit_cone,
    "sphere": unit_sphere,
    "square": unit_square,
    "cube": unit_cube,
    "drum": unit_drum,
}


@functools.cache
def _folder() -> Path:
    """This process's folder of OBJ files, removed when the process exits."""
    return scratch_folder("meshes")


@functools.cache
def unit_mesh(shape: str) -> Mesh:
    """Triangles of a unit shape: "cylinder", "cone", "sphere", "square", "cube" or "drum"."""
    return UNIT_SHAPES[shape]()


def _write(mesh: Mesh, name: str) -> str:
    """Write an OBJ file into this process's folder and return its path."""
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"vn {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.normals.tolist()]
    lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in (mesh.triangles + 1).tolist()]
    path = _folder() / f"{_folder().name}-{name}.obj"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@functools.cache
def unit_mesh_file(shape: str) -> str:
    """Path of the OBJ file of a unit shape, to be scaled by PyBullet."""
    return _write(unit_mesh(shape), shape)


_numbers = itertools.count()


def scaled_mesh_file(shape: str, scale: tuple[float, ...]) -> str:
    """Path of a new OBJ file, under a name never used before, of a unit shape scaled along x, y and z."""
    mesh = unit_mesh(shape)
    normals = mesh.normals / np.asarray(scale)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return _write(Mesh(mesh.vertices * np.asarray(scale), normals, mesh.triangles), f"{shape}-{next(_numbers)}")
