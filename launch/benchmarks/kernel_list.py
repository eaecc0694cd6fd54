"""Write the list of kernels that `forestpilot.sim.kernels` compiles beforehand: `make kernels`.

What is listed is what an episode in each of a few environments calls, so that nobody keeps the list by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import gymnasium
import numpy as np
from numba.core import event

import forestpilot.sim.envs.registration  # noqa: F401  (registers the environments)
from forestpilot.sim.kernels.decorators import KERNELS
from forestpilot.sim.kernels.listed import Listed, plain_of, write_list
from forestpilot.sim.kernels.warm_up import WITHIN
from forestpilot.sim.scratch import scratch

MODULE = "forestpilot.launch.benchmarks.kernel_list"
PLACES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Drone", {"trail": True, "density": 1 / 6, "movers": 3}),
    ("Drive", {"preset": "winding"}),
    ("Drive", {"preset": "junctions"}),
    ("Drive", {"preset": "obstacles"}),
    ("Drive", {"preset": "easy", "length": 150.0, "hazards": 3, "hazard_kinds": ("deer",)}),
    ("Drive", {"preset": "easy", "length": 150.0, "hazards": 3, "hazard_kinds": ("crossing",)}),
    ("Drive", {"preset": "easy", "hazards": 3, "hazard_kinds": ("car",)}),
)
"""Environments that between them call every kernel of the simulator."""
STRAIGHT_ON = np.array([0.0, 1.0], np.float32)
"""Action of somebody who does not look."""
LARGE = {"width": 160, "height": 120, "control_hz": 5}
"""Pictures that are drawn with smooth edges and textures; few of them."""


def use_every_kernel() -> None:
    """Call all kernels as Python calls them; what is not compiled yet is compiled."""
    from forestpilot.data_collection.windows.augmentation import augment
    from forestpilot.data_collection.windows.windows import Batch
    from forestpilot.policies.networks.views import ViewPreparer

    for name, options in PLACES:
        env = gymnasium.make(f"ForestPilot/{name}-v0", disable_env_checker=True, expert=True, **LARGE, **options)
        vehicle: Any = env.unwrapped
        seen, _ = env.reset(seed=0)
        vehicle.chase_view()
        over = False
        while not over:  # until it hits something: near trees other kernels move it
            _, _, terminated, truncated, _ = env.step(STRAIGHT_ON)
            over = terminated or truncated
        env.close()
    spec = vehicle.task_spec
    views = ViewPreparer(spec)(seen["center"][None], seen["state"][None])[None, :, None]
    state, goal, actions = (np.zeros((1, 1, size), np.float32) for size in (len(spec.state_names), 2, 2))
    batch = Batch(views, state, goal, actions, costs=None, mask=np.ones((1, 1), np.bool_))
    augment(batch, spec, np.random.default_rng(0), flip=True, jitter=True)


def kernels_in_use() -> list[Listed]:
    """All kernels with the types that `use_every_kernel` calls them with, and how long each takes to compile, in the
    order in which they are called first.

    Told by two processes after one another: the first compiles, and only one that does not has loaded nothing but what
    Python calls.
    """
    with scratch("kernels") as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), WITHIN: "1"}
        command = [sys.executable, "-m", MODULE, "--tell"]
        first, second = (
            json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)
            for _ in range(2)
        )
    compiled_s = {(name, json.dumps(arguments)): taken_s for name, taken_s, arguments in first}
    called = {(name, json.dumps(arguments)): tuple(arguments) for name, _, arguments in second}
    in_order = [key for key in compiled_s if key in called] + [key for key in called if key not in compiled_s]
    return [Listed(key[0], compiled_s.get(key, 0.0), called[key]) for key in in_order]


class _Stopwatch(event.Listener):
    """Seconds of CPU time that each kernel takes to compile, its helpers included."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, Any], float] = {}
        self._started: list[float] = []

    def on_start(self, told: Any) -> None:
        self._started.append(time.process_time())

    def on_end(self, told: Any) -> None:
        taken_s = time.process_time() - self._started.pop()
        function = told.data["dispatcher"].py_func
        if not self._started:
            self.seconds[f"{function.__module__}:{function.__qualname__}", tuple(told.data["args"])] = taken_s


def _tell() -> None:
    """Print name, seconds and types of the arguments of all kernels that this process has compiled, in that order, or
    loaded.
    """
    watch = _Stopwatch()
    event.register("numba:compile", watch)
    use_every_kernel()
    loaded = [(name, arguments) for name, dispatcher in KERNELS.items() for arguments in dispatcher.overloads]
    told = []
    for name, arguments in dict.fromkeys([*watch.seconds, *loaded]):
        if (name, arguments) in loaded:
            taken_s = round(watch.seconds.get((name, arguments), 0.0), 1)
            told.append((name, taken_s, [plain_of(kind) for kind in arguments]))
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1:] == ["--tell"]:
        _tell()
    else:
        write_list(kernels_in_use())
