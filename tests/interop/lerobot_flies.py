"""What flies in `lerobot-eval` flies alike here, world by world: `python -m tests.interop.lerobot_flies BIN FOLDER`.

BIN is the folder of commands of LeRobot's environment, with `integrations/lerobot` installed. The forests are dense and
the drone is fast, so that some flights fail. A policy of ours goes there; that and an ACT of LeRobot's, which has
learned nothing, come back as `lerobot:FOLDER`.
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
ACT = """
import sys
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.act.processor_act import make_act_pre_post_processors
sizes = {"images.center": ("VISUAL", (3, 48, 64)), "state": ("STATE", (10,)), "environment_state": ("ENV", (2,))}
inputs = {f"observation.{name}": PolicyFeature(FeatureType[kind], size) for name, (kind, size) in sizes.items()}
config = ACTConfig(
    input_features=inputs, output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))}, device="cpu",
    pretrained_backbone_weights=None, dim_model=64, n_heads=4, dim_feedforward=64, chunk_size=5, n_action_steps=3,
)
ACTPolicy(config).save_pretrained(sys.argv[1])
for processor in make_act_pre_post_processors(config):
    processor.save_pretrained(sys.argv[1])
"""
"""Writes an ACT with random weights, which acts three times on a prediction."""

Ends = dict[int, tuple[bool, float]]
"""Success, and sum of rewards, by world."""


def main(commands: Path, folder: Path) -> None:
    """Fly everything twice and compare; raises AssertionError where an end differs."""
    run = TASKS.get("drone").pretrained
    ours = folder / "policy"
    subprocess.run([commands / "python", "-m", "lerobot_policy_forestpilot.convert", str(run), str(ours)], check=True)
    act = folder / "act"
    subprocess.run([commands / "python", "-W", "ignore", "-c", ACT, act], check=True)
    options = DroneOptions((DENSITY,))
    config = EvaluateConfig((f"ours={run}",), str(folder / "here"), episodes=EPISODES, speed=SPEED_MPS, options=options)
    evaluate(config)
    flights = {"ours there": there(commands, ours, 10), "ours back": back(commands, ours)}
    same(_ends(folder / "here"), flights["ours there"])
    same(_ends(folder / "here"), flights["ours back"])
    same(there(commands, act, 1), back(commands, act))


def there(commands: Path, policy: Path, batch: int) -> Ends:
    """Flown by `lerobot-eval`."""
    seeds = seeds_of("test", EPISODES)
    out = policy.with_name(f"{policy.name}-there")
    command = [commands / "lerobot-eval", f"--policy.path={policy}", "--env.type=forestpilot", "--env.task=Drone-v0"]
    command += [f"--env.speed={SPEED_MPS}", f"--env.options={json.dumps({'density': DENSITY})}"]
    command += [f"--eval.n_episodes={EPISODES}", f"--eval.batch_size={batch}", f"--seed={seeds[0]}"]
    subprocess.run([*command, f"--output_dir={out}"], check=True)
    told = json.loads((out / "eval_info.json").read_text())["per_task"][0]["metrics"]
    return dict(zip(seeds, zip(told["successes"], told["sum_rewards"])))


def back(commands: Path, policy: Path) -> Ends:
    """Flown by `forestpilot evaluate --policy lerobot:FOLDER`, in LeRobot's environment."""
    out = policy.with_name(f"{policy.name}-back")
    command = [commands / "forestpilot", "evaluate", "--policy", f"lerobot:{policy}", "--episodes", str(EPISODES)]
    command += ["--speed", str(SPEED_MPS), "--options.density", str(DENSITY), "--out", out]
    subprocess.run(command, check=True)
    return _ends(out)


def same(one: Ends, other: Ends) -> None:
    """Raise AssertionError unless all worlds end alike, with as much reward."""
    differ = [seed for seed in one if one[seed][0] != other[seed][0] or abs(one[seed][1] - other[seed][1]) > 0.01]
    assert not differ, f"ends differ in the worlds {differ}"
    print(f"{len(one)} worlds end alike, {sum(success for success, _ in one.values())} with success")


def _ends(evaluation: Path) -> Ends:
    rows = read_outcomes(evaluation / "outcomes.csv")
    return {row.seed: (row.succeeded, row.episode_return) for row in rows}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
