"""Records some flights, exports them for LeRobot, with and without loss, and notes what its loader must find."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.export.lerobot import LerobotConfig, LerobotExporter
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect


def main(folder: Path) -> None:
    """Write `video`, `lossless` and what is expected of each into a folder."""
    dataset = collect(CollectConfig(str(folder / "dataset"), episodes=6, workers=1))
    steps = [header.num_steps for header in dataset.episodes]
    rows = [0, steps[0], sum(steps) - 1]
    places = [(0, 0), (1, 0), (len(steps) - 1, steps[-1] - 1)]
    found: dict[str, list[np.ndarray]] = {}
    for number, step in places:
        episode = load_episode(dataset.episodes[number].path)
        seen = {name: values[step] for name, values in episode.observations.items()}
        lesson = episode.labels.lesson(episode.meta.control_hz)
        told = {
            "observation.state": seen["state"],
            "observation.environment_state": seen["goal"],
            "action": lesson.actions[step],
            "timestamp": np.float32(step / episode.meta.control_hz),
            **{camera: seen[camera] for camera in ("left", "center", "right")},
        }
        for name, value in told.items():
            found.setdefault(name, []).append(np.asarray(value))
    whole = [load_episode(header.path, ("state",)).observations["state"][:-1] for header in dataset.episodes]
    for pictures in ("video", "lossless"):
        LerobotExporter().export(dataset, folder / pictures, LerobotConfig(pictures=pictures))  # type: ignore[arg-type]
        np.savez(
            folder / f"{pictures}.npz",
            lossless=pictures == "lossless",
            steps=sum(steps),
            episodes=len(steps),
            fps=dataset.task_spec.control_hz,
            rows=rows,
            state_mean=np.concatenate(whole).astype(np.float64).mean(0),
            **{name: np.stack(values) for name, values in found.items()},
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
