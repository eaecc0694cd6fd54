"""PyBullet's TinyRenderer, on the CPU: the reference that the ray-caster is measured against."""

from __future__ import annotations

from forestpilot.sim.bullet_import import pybullet
from forestpilot.sim.rendering.pybullet.renderer import BulletRenderer


class TinyRenderer(BulletRenderer):
    """Draws a world with TinyRenderer; its memory does not grow from world to world."""

    name = "tiny"
    flag = pybullet.ER_TINY_RENDERER
    asks_at_corners = True
