"""How Numba compiles the project's kernels, where their machine code is kept, and how all are compiled beforehand.

`kernel` marks what Python calls, `helper` what only kernels call.
"""

from forestpilot.sim.kernels.decorators import helper, kernel

__all__ = ["helper", "kernel"]
