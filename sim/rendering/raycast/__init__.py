"""The ray-caster: Numba kernels that draw every camera of a rig in one call."""
