"""A policy on a vehicle: one ONNX file, NumPy and onnxruntime, no torch and no simulator.

    python examples/fly_onnx.py --policy policy.onnx --steps 100

`forestpilot export onnx runs/dagger --out policy.onnx` writes the file. What it wants to see and be told, it says
itself; here pictures of noise and a state of zeros stand for the vehicle's own, in `observe`.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import onnxruntime


class Policy:
    """Acts once every control step of one episode.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_free_dimension_override_by_name("batch", 1)
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.about = json.loads(self.session.get_modelmeta().custom_metadata_map["forestpilot"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.restart(0)

    def restart(self, seed: int) -> None:
        """Begin an episode: what is carried from step to step is zero before the first."""
        features = self.about["carried"]
        self.carried = {one["name"]: np.zeros((1, *one["shape"]), one["dtype"]) for one in features}
        self.rng = np.random.default_rng(seed)
        self.noise: dict[str, np.ndarray] = {}

    def act(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """The action (2,) for one step's observation: turn, left positive, and go, each from -1 to 1."""
        seen = {one["name"]: observation[one["name"]][None] for one in self.about["observations"]}
        self.draw()
        answers = dict(zip(self.outputs, self.session.run(self.outputs, {**seen, **self.carried, **self.noise})))
        self.carried = {name: answers[f"next_{name}"] for name in self.carried}
        return answers["action"][0]

    def draw(self) -> None:
        """Draw what few policies need: noise, at each step or once for an episode."""
        noise = self.about["noise"]
        if noise and (noise["each"] == "step" or not self.noise):
            self.noise = {"noise": self.rng.standard_normal((1, *noise["shape"]), dtype=np.float32)}


def observe(policy: Policy, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What the vehicle sees and knows, by name; put cameras, IMU and goal here.

    Cameras give (H, W, 3) uint8, red first, the state and the goal float32; which elements the state has, and their
    units, stands in `about["task_spec"]["state_names"]`.
    """
    observation = {}
    for one in policy.about["observations"]:
        is_picture = one["dtype"] == "uint8"
        values = rng.integers(0, 256, one["shape"]) if is_picture else np.zeros(one["shape"])
        observation[one["name"]] = values.astype(one["dtype"])
    return observation


def main() -> None:
    """Act on some steps and say how fast that was."""
    parser = argparse.ArgumentParser(description="Fly an exported policy on made-up pictures.")
    parser.add_argument("--policy", required=True, help="file that `forestpilot export onnx` wrote")
    parser.add_argument("--steps", type=int, default=100, help="control steps; by default 100")
    args = parser.parse_args()
    policy = Policy(args.policy)
    rng = np.random.default_rng(0)
    print("the state is", ", ".join(policy.about["task_spec"]["state_names"]))
    took_s = 0.0
    for step in range(args.steps):
        observation = observe(policy, rng)
        start = time.perf_counter()
        turn, go = policy.act(observation)
        took_s += time.perf_counter() - start
        if step % 20 == 0:
            print(f"step {step:3}  turn {turn:+.3f}  go {go:+.3f}")
    period_ms = 1000 / policy.about["control_hz"]
    print(f"{args.steps} steps, {1000 * took_s / args.steps:.2f} ms each; one is due every {period_ms:.0f} ms")


if __name__ == "__main__":
    main()
