"""PyBullet's renderer through EGL, without a display; needs a driver."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

from forestpilot.sim.bullet_import import pybullet, silent_descriptors
from forestpilot.sim.cameras import Camera
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.rendering.pybullet.meshes import scaled_mesh_file
from forestpilot.sim.rendering.pybullet.renderer import BulletRenderer

PROBE_TIMEOUT_S = 60


class EglRenderer(BulletRenderer):
    """Draws a world through EGL; some 0.3 MB per world stay with PyBullet's plugin."""

    name = "egl"
    flag = pybullet.ER_BULLET_HARDWARE_OPENGL
    # Files are read once and deleted; a cache of them would only grow.
    caches_files = False

    def __init__(self, camera: Camera, num_cameras: int) -> None:
        """Connect a PyBullet client of its own and load the plugin into it.

        Raises:
            ForestPilotError: EGL does not work on this machine.
        """
        super().__init__(camera, num_cameras)
        self._plugin: int | None = None
        try:
            self._plugin = _load_egl(self._open_client())
        except ForestPilotError:
            self.close()
            raise

    def _mesh(self, shape: str, scale: tuple[float, ...]) -> dict[str, Any]:
        # EGL keeps one set of triangles per file name, with the scale it first saw: each body has a file of its own.
        return {"fileName": scaled_mesh_file(shape, scale)}

    def _mesh_was_read(self, mesh: dict[str, Any]) -> None:
        Path(mesh["fileName"]).unlink()

    def _before_disconnecting(self, client: int) -> None:
        if self._plugin is not None:
            pybullet.unloadPlugin(self._plugin, physicsClientId=client)


def _egl_plugin() -> str | None:
    """Path of PyBullet's EGL plugin, or None if this build has none."""
    spec = importlib.util.find_spec("eglRenderer")
    return spec.origin if spec else None


@functools.cache
def egl_problem() -> str | None:
    """Why EGL cannot be used on this machine, or None if it works.

    Asked in another process, because the plugin ends the process where it finds no driver.
    """
    plugin = _egl_plugin()
    if plugin is None:
        return "this build of PyBullet has no eglRenderer plugin"
    script = (
        "import sys, pybullet as p; c = p.connect(p.DIRECT);"
        f"ok = p.loadPlugin({plugin!r}, '_eglRendererPlugin', physicsClientId=c) >= 0;"
        "ok = ok and p.getCameraImage(32, 24, renderer=p.ER_BULLET_HARDWARE_OPENGL)[2] is not None;"
        "print('drew' if ok else '', flush=True)"
    )
    try:
        probe = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"the EGL driver did not draw within {PROBE_TIMEOUT_S} s"
    if "drew" in probe.stdout:
        return None
    return f"the EGL plugin could not start (exit status {probe.returncode}): there is no working EGL driver"


def _load_egl(client: int) -> int:
    """Load the EGL plugin into a client and return its id.

    Raises:
        ForestPilotError: EGL does not work here.
    """
    problem = egl_problem()
    if problem is None:
        with silent_descriptors():
            plugin = pybullet.loadPlugin(_egl_plugin(), "_eglRendererPlugin", physicsClientId=client)
        if plugin >= 0:
            return plugin
        problem = "PyBullet could not load its EGL plugin"
    raise ForestPilotError(
        f"renderer 'egl' does not work here: {problem}. Install an EGL driver (Debian and Ubuntu: libegl1 and "
        "libgl1-mesa-dri, or the graphics card's own driver), or choose renderer 'raycast' or 'tiny'."
    )
