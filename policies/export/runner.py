"""An exported policy that acts: NumPy and onnxruntime, no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.bounded import UnboundedError, parse_json, read_bytes
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.extras import require

METADATA_KEY = "forestpilot"
"""Under which an ONNX file tells what it is, as JSON."""
FORMAT = "forestpilot-onnx-1"
LARGEST_BYTES = 2**28
"""Largest file that is read."""


class OnnxError(ForestPilotError):
    """An ONNX file that cannot be flown."""


class OnnxPolicy:
    """A policy from a file that `forestpilot export onnx` wrote, with one thread.

    Args:
        path: the file.

    Raises:
        OnnxError: it cannot be read, is damaged, or is not one of these.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        runtime = require("onnxruntime")
        data = _read(Path(path))
        self.fingerprint = hashlib.sha256(data).hexdigest()[:12]
        """First 12 hexadecimal digits of the file's SHA-256."""
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for every mistake, and they share no name
            raise OnnxError(
                f"{path} is no ONNX file that onnxruntime can run ({_first_line(error)}); export it again"
            ) from error
        self.about = _about(path, self.session.get_modelmeta().custom_metadata_map)
        """What the file tells of itself."""
        self.spec = TaskSpec.from_dict(self.about["task_spec"])
        """The task that it has learned."""
        self._outputs = [output.name for output in self.session.get_outputs()]
        self._seen = [feature["name"] for feature in self.about["observations"]]

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras that it looks through."""
        return tuple(self.about["cameras"])

    @property
    def noise(self) -> dict[str, Any] | None:
        """What is to be drawn: `shape`, and `each`, step or episode; None for most."""
        noise: dict[str, Any] | None = self.about["noise"]
        return noise

    def begin(self, batch: int) -> dict[str, np.ndarray]:
        """What is carried before the first step of `batch` episodes: zeros by name."""
        return {
            feature["name"]: np.zeros((batch, *feature["shape"]), feature["dtype"]) for feature in self.about["carried"]
        }

    def act(
        self, observations: dict[str, np.ndarray], carry: dict[str, np.ndarray], noise: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """One step of a batch of episodes.

        Args:
            observations: the environment's, batched; those that it reads.
            carry: from the step before, or from `begin`.
            noise: (B, ...) float32 standard normal, where it needs some.

        Returns:
            actions (B, 2) float32 in [-1, 1], and what the next step must be given.

        Raises:
            OnnxError: the observations have other shapes than the policy's.
        """
        feed = self.feed(observations, carry, noise)
        try:
            answers = dict(zip(self._outputs, self.session.run(self._outputs, feed)))
        except Exception as error:  # see above
            raise OnnxError(f"onnxruntime cannot take this step: {_first_line(error)}") from error
        return answers["action"], {name: answers[f"next_{name}"] for name in carry}

    def feed(
        self, observations: dict[str, np.ndarray], carry: dict[str, np.ndarray], noise: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """The graph's inputs by name, of what `act` is given."""
        feed = {name: np.ascontiguousarray(observations[name]) for name in self._seen} | carry
        if noise is not None:
            feed["noise"] = noise
        return feed

    def noise_for(self, seeds: Sequence[int]) -> DrawnNoise | None:
        """Noise for episodes of these seeds, the same as the policy draws in torch; None where it needs none."""
        if self.noise is None:
            return None
        return DrawnNoise(seeds, tuple(self.noise["shape"]), self.noise["each"] == "episode")


class DrawnNoise:
    """Standard normal numbers for episodes, drawn as `VisuomotorPolicy` draws them; needs torch.

    Args:
        seeds: of the episodes.
        shape: of one episode's noise.
        kept: whether an episode keeps what it drew first.
    """

    def __init__(self, seeds: Sequence[int], shape: tuple[int, ...], kept: bool) -> None:
        import torch

        from forestpilot.policies.networks.noise import EpisodeNoise

        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._noise = EpisodeNoise(self._generators, shape, kept)

    def next(self) -> np.ndarray:
        """(B, ...) float32 of the next step."""
        noise: np.ndarray = self._noise.next().numpy()
        return noise

    def restart(self, slot: int, seed: int) -> None:
        """Begin another episode."""
        self._generators[slot].manual_seed(seed)
        self._noise.restart(np.array([slot]))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, LARGEST_BYTES)
    except UnboundedError as error:
        raise OnnxError(f"{path} is none of ForestPilot's: {error}") from error
    except OSError as error:
        raise OnnxError(
            f"cannot read {path}: {error.strerror or error}; `forestpilot export onnx` writes one"
        ) from error


def _about(path: str | Path, metadata: dict[str, str]) -> dict[str, Any]:
    """What an ONNX file tells of itself.

    Raises:
        OnnxError: nothing, or not in this way.
    """
    try:
        about = parse_json(metadata[METADATA_KEY])
        if about["format"] != FORMAT:
            raise OnnxError(
                f"{path} is written as {about['format']!r}, and this version reads {FORMAT!r}; export again"
            )
        for key in ("observations", "carried", "noise", "cameras", "task_spec"):
            about[key]
    except (KeyError, TypeError, ValueError) as error:
        raise OnnxError(
            f"{path} does not say how a policy of ForestPilot's is run; files of `forestpilot export onnx` do"
        ) from error
    told: dict[str, Any] = about
    return told
