"""A policy of ours flies in `lerobot-eval` as it does here: `python -m tests.interop.lerobot_flies BIN FOLDER`.

BIN is the folder of commands of LeRobot's environment, with `integrations/lerobot` installed. The forests are dense and
the drone is fast, so that some flights fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.evaluation.outcome_rows import read_outcomes
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions

EPISODES = 40
SPEED_MPS = 12.0
DENSITY = 0.1


def main(commands: Path, folder: Path) -> None:
    """Fly twice and compare, world by world; raises AssertionError where an end differs."""
    run = TASKS.get("drone").pretrained
    options = DroneOptions((DENSITY,))
    config = EvaluateConfig((f"ours={run}",), str(folder / "here"), episodes=EPISODES, speed=SPEED_MPS, options=options)
    evaluate(config)
    here = {row.seed: row.succeeded for row in read_outcomes(folder / "here" / "outcomes.csv")}
    policy = folder / "policy"
    subprocess.run([commands / "python", "-m", "lerobot_policy_forestpilot.convert", str(run), str(policy)], check=True)
    seeds = seeds_of("test", EPISODES)
    command = [commands / "lerobot-eval", f"--policy.path={policy}", "--env.type=forestpilot", "--env.task=Drone-v0"]
    command += [f"--env.speed={SPEED_MPS}", f"--env.options={json.dumps({'density': DENSITY})}"]
    command += [f"--eval.n_episodes={EPISODES}", "--eval.batch_size=10", f"--seed={seeds[0]}"]
    subprocess.run([*command, f"--output_dir={folder / 'there'}"], check=True)
    told = json.loads((folder / "there" / "eval_info.json").read_text())
    there = dict(zip(seeds, told["per_task"][0]["metrics"]["successes"]))
    assert here == there, f"ends differ in the worlds {sorted(seed for seed in here if here[seed] != there[seed])}"
    print(f"{EPISODES} worlds end alike, {sum(here.values())} with success")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
