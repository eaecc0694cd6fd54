"""PyBullet's own renderers, TinyRenderer and EGL, as the reference for the ray-caster."""
