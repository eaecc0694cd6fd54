"""Renderers: (world, camera poses) to RGB, depth and segmentation of all cameras in one call."""

from forestpilot.sim.cameras import Camera
from forestpilot.sim.rendering.protocol import Frames, Renderer, VehiclePose

__all__ = ["RENDERER_NAMES", "Frames", "Renderer", "VehiclePose", "make_renderer"]

RENDERER_NAMES = ("raycast", "tiny", "egl")
"""The fast ray-caster (default), PyBullet's TinyRenderer (the reference), PyBullet with EGL (needs a driver)."""


def make_renderer(name: str, camera: Camera, num_cameras: int) -> Renderer:
    """Make a renderer by name.

    Args:
        name: one of `RENDERER_NAMES`.
        camera: size and field of view of every image.
        num_cameras: images per call.

    Raises:
        ValueError: the name is unknown, or there is no camera.
        ForestPilotError: the renderer does not work on this machine.
    """
    if num_cameras < 1:
        raise ValueError(f"num_cameras is {num_cameras}; give at least 1")
    if name == "raycast":
        from forestpilot.sim.rendering.raycast.renderer import RaycastRenderer

        return RaycastRenderer(camera, num_cameras)
    if name in RENDERER_NAMES:
        from forestpilot.sim.rendering.pybullet.renderer import BulletRenderer

        return BulletRenderer(name, camera, num_cameras)
    raise ValueError(f"renderer is {name!r}; choose one of {', '.join(RENDERER_NAMES)}")
