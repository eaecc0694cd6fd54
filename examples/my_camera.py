"""Another rig: wide-angle cameras that look further to the sides, from their pictures to a policy that flies with them.

    python examples/my_camera.py --episodes 40 --steps 1500

Where the cameras stand and how wide they see are arguments of the environment, `rig`. Datasets and policies know what
they were made with, so that nothing is mixed up by mistake.

It takes about two minutes of one idle core, and crossed 4 of 20 test forests (one seed): cloning alone teaches little
of what mistakes of its own lead to. `examples/dagger_in_100_lines.py` goes on from there.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np
import tyro
from matplotlib.image import imsave

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix
from forestpilot.policies.algorithms.behavioural_cloning import clone
from forestpilot.policies.evaluation.pilots import PolicyFactory
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.tasks import TASKS

RIG = {"horizontal_fov_deg": 110.0, "side_yaw_rad": 0.8, "up_m": 0.1}
"""Wide, turned by 46 degrees, 10 cm above the body; what is not named stays as the drone has it."""
DRONE = TASKS.get("drone")


@dataclass(frozen=True)
class Args:
    """Look, demonstrate, clone and fly with another rig."""

    out: str = "runs/my-camera"
    """Folder of everything."""
    episodes: int = 40
    """Flights of the expert to learn from."""
    steps: int = 1500
    """Gradient steps."""
    test_flights: int = 20
    """Test forests that the policy flies through."""
    workers: int = 2
    """Number of processes."""


def look(path: Path) -> None:
    """Save what the usual rig sees (above) and what this one does (below)."""
    rows = []
    for rig in (None, RIG):
        env = gymnasium.make(DRONE.env_id, rig=rig, width=256, height=192)
        observation, _ = env.reset(seed=0)
        rows.append(np.concatenate([observation[name] for name in ("left", "center", "right")], axis=1))
        env.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, np.concatenate(rows))


def scenario(seed: int) -> Scenario:
    """The flight through the forest of a seed, with this rig."""
    usual = ScenarioMix().scenario(seed, DRONE)
    return dataclasses.replace(usual, env_kwargs={**usual.env_kwargs, "rig": RIG})


def demonstrate(folder: Path, episodes: int, pool: RolloutPool) -> None:
    """Let the expert fly, and record what the cameras see and what it would do from where each of them looks."""
    env = gymnasium.make(DRONE.env_id, **scenario(0).env_kwargs)
    dataset = Dataset.create(folder, env.unwrapped.task_spec, DRONE.bare_env_id)
    env.close()
    scenarios = [scenario(seed) for seed in seeds_of("train", episodes) if not dataset.has(0, seed)]
    pool.run(Job(DRONE.name, tuple(scenarios), ExpertPilot, dataset=str(folder)))


def main(args: Args) -> None:
    """Look, demonstrate, clone, fly."""
    out = Path(args.out)
    look(out / "views.png")
    with RolloutPool(args.workers) as pool:
        demonstrate(out / "dataset", args.episodes, pool)
        clone(TrainConfig(data=(str(out / "dataset"),), out=str(out / "policy"), steps=args.steps))
        tests = tuple(scenario(seed) for seed in seeds_of("test", args.test_flights))
        flights = pool.run(Job(DRONE.name, tests, PolicyFactory(str(out / "policy"), "my-camera")))
    crossed = sum(flight.succeeded for flight in flights)
    print(f"{crossed} of {args.test_flights} test forests crossed; the pictures are {out / 'views.png'}")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
