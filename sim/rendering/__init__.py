"""Renderers: (world, camera poses) to RGB, depth and segmentation of all cameras in one call."""

from collections.abc import Callable

from forestpilot.sim.cameras import Camera
from forestpilot.sim.registry import Registry
from forestpilot.sim.rendering.protocol import Frames, Renderer, VehiclePose

__all__ = ["RENDERERS", "Frames", "Renderer", "VehiclePose", "make_renderer"]

RENDERERS: Registry[Callable[[Camera, int], Renderer]] = Registry("renderer", "forestpilot.sim.rendering:RENDERERS")
"""Makers of renderers, given the camera that every image has and the number of images per call."""
RENDERERS.register(
    "raycast", "forestpilot.sim.rendering.raycast.renderer:RaycastRenderer", "the fast ray-caster, on the CPU"
)
RENDERERS.register("tiny", "forestpilot.sim.rendering.pybullet.tiny:TinyRenderer", "PyBullet's TinyRenderer, slow")
RENDERERS.register("egl", "forestpilot.sim.rendering.pybullet.egl:EglRenderer", "PyBullet with EGL; needs a driver")


def make_renderer(name: str, camera: Camera, num_cameras: int) -> Renderer:
    """Make a renderer by name.

    Args:
        name: one of `RENDERERS`.
        camera: size and field of view of every image.
        num_cameras: images per call.

    Raises:
        ValueError: the name is unknown, or there is no camera.
        ForestPilotError: the renderer does not work on this machine.
    """
    if num_cameras < 1:
        raise ValueError(f"num_cameras is {num_cameras}; give at least 1")
    return RENDERERS.get(name)(camera, num_cameras)
