"""Rollouts: every episode once, recorded whole, the same on one process or two; killed collections resume."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_POLICY
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.data_collection.episodes.run import RunError, read_run
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.pilots import Decision, ExpertPilot, MixturePilot
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool, roll_out
from forestpilot.data_collection.rollouts.results import load_result, result_path
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix, make_env, task_spec_of
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drone import DroneOptions

SMALL = ScenarioMix(
    width=32,
    height=24,
    speeds=(8.0, 12.0),
    options=DroneOptions(density=(0.02, 0.04)),
    presets=("default", "loquercio"),
)
DRONE = TASKS.get("drone")


def scenarios(count: int, first: int = 0) -> tuple[Scenario, ...]:
    return tuple(SMALL.scenario(seed, DRONE) for seed in range(first, first + count))


class StraightPilot:
    """Flies straight on; remembers what it was told."""

    name = "straight"
    needs_expert = False

    def __init__(self) -> None:
        self.restarts: list[tuple[int, int]] = []

    def begin(self, slots: int) -> None:
        self.slots = slots

    def restart(self, slot: int, seed: int) -> None:
        self.restarts.append((slot, seed))

    def act(self, observations, infos, slots) -> Decision:
        return Decision(np.tile(np.float32([0, 1]), (len(slots), 1)), np.full(len(slots), ACTOR_POLICY, np.uint8))


def test_a_mix_draws_each_episode_from_its_seed():
    assert SMALL.scenario(5, DRONE) == SMALL.scenario(5, DRONE)
    drawn = [SMALL.scenario(seed, DRONE).env_kwargs for seed in range(40)]
    assert {k["density"] for k in drawn} == {0.02, 0.04} and {k["preset"] for k in drawn} == {"default", "loquercio"}
    assert all(8.0 <= k["speed"] <= 12.0 for k in drawn) and len({k["speed"] for k in drawn}) > 30


def test_a_mix_without_presets_and_speeds_takes_the_tasks_ordinary_ones():
    flight = ScenarioMix().scenario(3, DRONE).env_kwargs
    drive = ScenarioMix().scenario(3, TASKS.get("drive")).env_kwargs
    assert (flight["preset"], flight["speed"], flight["density"]) == ("default", 5.0, 0.04)
    assert (drive["preset"], drive["speed"], drive["interventions"]) == ("winding", 10.0, "none")
    assert "density" not in drive and "interventions" not in flight


@pytest.mark.parametrize(
    ("task", "mix", "message"),
    [
        ("drive", ScenarioMix(presets=("loquercio",)), "the drive task has winding"),
        ("drone", ScenarioMix(presets=("winding",)), "the drone task has default"),
        ("drone", ScenarioMix(speeds=(5.0, 15.0)), "goes up to 12"),
        ("drive", ScenarioMix(options=DroneOptions()), "options are DroneOptions; the drive task takes DriveOptions"),
    ],
)
def test_a_mix_that_a_task_cannot_run_is_refused(task, mix, message):
    with pytest.raises(ValueError, match=message):
        mix.scenario(1, TASKS.get(task))


def test_every_episode_is_flown_once_and_slots_restart():
    pilots = []

    def factory():
        pilots.append(StraightPilot())
        return pilots[-1]

    finished = list(roll_out(Job("drone", scenarios(15), factory)))
    assert sorted(f.scenario.seed for f in finished) == list(range(15))
    assert sorted(seed for _, seed in pilots[0].restarts) == list(range(15))
    assert {f.outcome for f in finished} <= {"success", "collision", "out_of_bounds", "timeout"}


def test_episodes_side_by_side_are_those_flown_alone():
    together = {f.scenario.seed: f for f in roll_out(Job("drone", scenarios(5), ExpertPilot))}
    for episode in scenarios(5):
        alone = next(iter(roll_out(Job("drone", (episode,), ExpertPilot))))
        assert np.array_equal(alone.state_hashes, together[episode.seed].state_hashes)
        assert np.array_equal(alone.actions, together[episode.seed].actions)


def test_two_processes_return_what_one_does_in_order(tmp_path):
    job = Job("drone", scenarios(6), ExpertPilot)
    with RolloutPool(1) as pool:
        one = pool.run(job)
    with RolloutPool(2) as pool:
        two = pool.run(job)
    assert [f.scenario.seed for f in one] == [f.scenario.seed for f in two] == list(range(6))
    assert all(np.array_equal(a.state_hashes, b.state_hashes) for a, b in zip(one, two, strict=True))


def test_episodes_hold_what_happened(tmp_path):
    config = CollectConfig(out=str(tmp_path / "data"), episodes=2, workers=1, mix=SMALL)
    dataset = collect(config)
    assert len(dataset) == 2
    stored = read_run(config.out, "collect")
    assert stored is not None and from_plain(CollectConfig, stored.config) == config, "whatever ran says how"
    episode = load_episode(dataset.episodes[0].path)
    steps = episode.num_steps
    assert episode.observations["center"].shape == (steps + 1, 24, 32, 3)
    assert np.array_equal(episode.actions, episode.expert_actions[:, 1])
    assert (episode.actor == ACTOR_EXPERT).all() and episode.terminated[-1] and not episode.truncated[-1]
    env = make_env(DRONE, **episode.meta.env_kwargs, expert=True)
    observation, info = env.reset(seed=episode.meta.seed)
    for t in range(steps):
        assert all(np.array_equal(observation[k], episode.observations[k][t]) for k in observation)
        assert np.array_equal(info["expert_costs"], episode.expert_costs[t])
        observation, reward, *_, info = env.step(episode.actions[t])
        assert np.float32(reward) == episode.rewards[t]
    assert info["outcome"] == episode.meta.outcome == "success"
    env.close()


def test_collecting_again_adds_only_what_is_missing(tmp_path):
    config = CollectConfig(out=str(tmp_path / "data"), episodes=3, workers=1, mix=SMALL)
    first = collect(dataclasses.replace(config, episodes=2))
    times = [h.path.stat().st_mtime_ns for h in first.episodes]
    second = collect(config)
    assert len(second) == 3
    assert [h.path.stat().st_mtime_ns for h in second.episodes[:2]] == times


def test_a_killed_collection_loses_only_episodes_in_hand_and_resumes(tmp_path):
    out = tmp_path / "data"
    killed = CollectConfig(out=str(out), episodes=40, workers=2, mix=SMALL)
    script = (
        "from forestpilot.data_collection.episodes.plain import from_plain\n"
        "from forestpilot.data_collection.rollouts.collect import CollectConfig, collect\n"
        f"config = {to_plain(killed)!r}\n"
        "if __name__ == '__main__':\n"
        "    collect(from_plain(CollectConfig, config))\n"
    )
    path = tmp_path / "collect_it.py"
    path.write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, str(path)], start_new_session=True, env=environment)
    try:
        deadline = time.monotonic() + 120
        while len(list(out.glob("episodes/*.hdf5"))) < 3:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    with contextlib.suppress(ProcessLookupError):  # what a worker writes is its own until it is gone
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.02)
    survived = len(list(out.glob("episodes/*.hdf5")))
    dataset = Dataset.open(out)
    assert len(dataset) == survived and not (out / "quarantine").exists()
    done = collect(CollectConfig(out=str(out), episodes=survived + 2, workers=1, mix=SMALL))
    assert len(done) >= survived + 2 and not list(out.glob("episodes/.*tmp"))


def test_stored_episodes_come_back_whole(tmp_path):
    job = Job("drone", scenarios(1), ExpertPilot, results_folder=str(tmp_path), policy="expert", fingerprint="abc")
    finished = next(iter(roll_out(job)))
    stored = load_result(result_path(tmp_path, "expert", 0))
    assert stored.scenario == finished.scenario and stored.fingerprint == "abc" and stored.outcome == finished.outcome
    assert np.array_equal(stored.actions, finished.actions) and np.array_equal(
        stored.state_hashes, finished.state_hashes
    )


def test_a_truncated_episode_says_what_to_do(tmp_path):
    next(iter(roll_out(Job("drone", scenarios(1), ExpertPilot, results_folder=str(tmp_path)))))
    path = result_path(tmp_path, "expert", 0)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ForestPilotError, match="evaluate again"):
        load_result(path)


def test_beta_is_the_share_of_steps_in_which_the_expert_acts(tmp_path):
    spec = task_spec_of(DRONE, SMALL)
    Dataset.create(tmp_path / "data", spec, "ForestPilot/Drone-v0")
    job = Job(
        "drone",
        scenarios(8),
        lambda: MixturePilot(StraightPilot(), 0.7),
        dataset=str(tmp_path / "data"),
        dagger_round=1,
    )
    list(roll_out(job))
    episodes = [load_episode(h.path) for h in Dataset.open(tmp_path / "data").episodes]
    actor = np.concatenate([e.actor for e in episodes])
    share, standard_error = (actor == ACTOR_EXPERT).mean(), np.sqrt(0.21 / len(actor))
    assert abs(share - 0.7) < 4 * standard_error
    for episode in episodes:
        expert = episode.actor == ACTOR_EXPERT
        assert np.array_equal(episode.actions[expert], episode.expert_actions[expert, 1])
        assert (episode.actions[~expert] == [0, 1]).all() and episode.meta.dagger_round == 1


@pytest.mark.parametrize("seed", [999_999, 1_000_000, 2_000_000])
def test_demonstrations_outside_the_training_worlds_are_refused(tmp_path, seed):
    with pytest.raises(ValueError, match="training worlds"):
        CollectConfig(out=str(tmp_path), seed=seed, episodes=2)


@pytest.mark.parametrize("change", [{"pilot": "ghost"}, {"episodes": 0}])
def test_senseless_collections_are_refused(tmp_path, change):
    with pytest.raises(ValueError, match="allowed"):
        CollectConfig(out=str(tmp_path), **change)


def test_an_unknown_task_is_refused_with_the_closest_one(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'drone'"):
        CollectConfig(out=str(tmp_path), task="dron")


def test_a_dataset_of_another_mix_is_refused_and_its_config_stays_true(tmp_path):
    config = CollectConfig(out=str(tmp_path), episodes=1, workers=1, mix=SMALL)
    collect(config)
    before = (tmp_path / "config.json").read_bytes()
    faster = dataclasses.replace(config, episodes=2, mix=dataclasses.replace(SMALL, speeds=(9.0, 12.0)))
    with pytest.raises(RunError, match=r"mix.speeds: \[8.0, 12.0\] there, \[9.0, 12.0\] asked.*give another --out"):
        collect(faster)
    with pytest.raises(RunError, match="pilot: expert there, keyboard asked"):
        collect(dataclasses.replace(config, pilot="keyboard"), roll_in=lambda job: pytest.fail("not run"))
    with pytest.raises(RunError, match=r"holds the worlds 0 to 0; go on where they end \(--seed 1\)"):
        collect(dataclasses.replace(config, seed=5))
    assert (tmp_path / "config.json").read_bytes() == before
    (tmp_path / "config.json").unlink()  # as version 0.2 leaves it when it is killed
    with pytest.raises(RunError, match=r"s00000000.hdf5 was recorded with another mix \(speed"):
        collect(faster)
    assert not (tmp_path / "config.json").exists() and len(Dataset.open(tmp_path)) == 1


def test_the_config_of_a_dataset_tells_of_all_worlds_in_it(tmp_path):
    config = CollectConfig(out=str(tmp_path), seed=1, episodes=1, workers=1, mix=SMALL)
    collect(config)
    collect(dataclasses.replace(config, seed=0))
    collect(config)
    stored = read_run(tmp_path).config
    assert (stored["seed"], stored["episodes"]) == (0, 2)


def test_an_episode_that_a_dying_process_has_just_recorded_is_recorded_over(tmp_path):
    job = Job("drone", scenarios(1), ExpertPilot, dataset=str(tmp_path))
    Dataset.create(tmp_path, task_spec_of(DRONE, SMALL), DRONE.bare_env_id)
    for _ in range(2):
        assert len(list(roll_out(job))) == 1
    assert len(Dataset.open(tmp_path)) == 1
