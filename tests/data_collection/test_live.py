"""Live sessions: real time, keys that count, and nothing lost however they end. The clock is a fake one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.episodes.episode import load_episode
from forestpilot.data_collection.episodes.files import DiskFullError
from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.people.console import Key
from forestpilot.data_collection.people.drivers import HumanDriver, TakeoverDriver
from forestpilot.data_collection.people.live import HOLD_S, LiveSession, LiveSummary
from forestpilot.data_collection.people.pacing import Pacer
from forestpilot.data_collection.people.scene import Mode
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.pilots import Decision, ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.sim.tasks import TASKS
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DroneOptions
from tests.data_collection.live_doubles import FakeClock, NotingPainter, ScriptedScreen

FOREST = ScenarioMix(
    width=32, height=24, options=DroneOptions(density=(0.04,)), speeds=(5.0, 5.0), domain_randomisation=False
)
CRASH = ScenarioMix(
    width=32, height=24, options=DroneOptions(density=(0.12,)), speeds=(12.0, 12.0), domain_randomisation=False
)
"""Straight on at full speed ends within seconds."""
Script = Iterable[tuple[float, str]]


class Scene:
    """One session with everything that belongs to it."""

    def __init__(
        self,
        folder: Path,
        script: Script,
        mix: ScenarioMix = FOREST,
        episodes: int = 3,
        task: str = "drone",
        work_s: Callable[[int], float] = lambda count: 0.0,
    ) -> None:
        Dataset.create(folder, task_spec_of(TASKS.get(task), mix), TASKS.get(task).bare_env_id)
        self.folder, self.clock = folder, FakeClock()
        self.screen, self.painter = ScriptedScreen(self.clock, script), NotingPainter(self.clock, work_s)
        self.job = Job(
            task,
            tuple(mix.scenario(seed, TASKS.get(task)) for seed in range(episodes)),
            ExpertPilot,
            dataset=str(folder),
        )
        self.session = LiveSession(self.screen, self.painter, self.clock)

    def run(self, driver=None) -> LiveSummary:
        return self.session.run(self.job, driver or HumanDriver())

    @property
    def dataset(self) -> Dataset:
        return Dataset.open(self.folder)

    def episode(self, index: int = 0):
        return load_episode(self.dataset.episodes[index].path)


def steps_at(scene: Scene) -> np.ndarray:
    """When each step was shown, in seconds."""
    return np.array([seen.time_s for seen in scene.painter.of(Mode.RUNNING)])


def test_the_world_stands_still_until_a_steering_key_then_time_is_real(tmp_path):
    scene = Scene(tmp_path / "data", [(2.0, "+ArrowUp"), (5.0, "KeyQ")])
    summary = scene.run()
    waiting = scene.painter.of(Mode.WAITING)
    assert len(waiting) >= 4 and {seen.step for seen in waiting} == {0} and waiting[-1].time_s < 2.1
    assert summary.steps == pytest.approx(30, abs=1)
    episode = scene.episode()
    assert episode.meta.outcome == "running" and episode.meta.policy_id == "human"
    assert (episode.actor == ACTOR_HUMAN).all() and episode.labelled_steps.all() and episode.expert_actions is None


@pytest.mark.parametrize("start", ["Space", "KeyA", "ArrowDown"])
def test_space_or_any_steering_key_starts(tmp_path, start):
    scene = Scene(tmp_path / "data", [(1.0, start), (2.5, "KeyQ")])
    assert scene.run().steps == pytest.approx(15, abs=1)


@pytest.mark.parametrize("other", ["KeyL", "KeyP", "KeyR", "Backspace", "Tab"])
def test_other_keys_do_not_start(tmp_path, other):
    scene = Scene(tmp_path / "data", [(1.0, other), (2.5, "KeyQ")])
    assert scene.run().steps == 0 and scene.painter.begun == [0]


def test_a_key_held_at_the_start_neither_starts_nor_steers_until_it_is_let_go(tmp_path):
    script = [(0.0, "+ArrowLeft"), (1.0, "+ArrowUp"), (2.0, "-ArrowLeft"), (2.5, "+ArrowLeft"), (3.0, "KeyQ")]
    scene = Scene(tmp_path / "data", script)
    scene.run()
    assert {seen.time_s < 1.1 for seen in scene.painter.of(Mode.WAITING)} == {True}
    keys = scene.episode().keys
    assert (keys[:14] == Key.FORWARD).all() and (keys[-4:] == Key.FORWARD | Key.LEFT).all()


def test_what_was_pressed_before_the_session_is_not_meant_for_it(tmp_path):
    scene = Scene(tmp_path / "data", [(0.0, "KeyQ"), (1.0, "KeyA"), (2.5, "KeyQ")])
    assert scene.run().steps == pytest.approx(15, abs=1)


def test_a_key_held_through_the_end_of_an_episode_does_not_start_the_next(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (20.0, "KeyQ")], mix=CRASH)
    summary = scene.run()
    assert summary.episodes == 1 and scene.painter.begun == [0, 1]
    assert scene.painter.seen[-1].mode == Mode.WAITING and scene.painter.seen[-1].seed == 1


def test_two_keys_at_once_are_recorded_raw_and_smooth(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "+KeyW"), (1.0, "+ArrowLeft"), (1.5, "-ArrowLeft"), (2.5, "KeyQ")])
    scene.run()
    episode = scene.episode()
    both = episode.keys == Key.FORWARD | Key.LEFT
    assert both.sum() == 5 and (episode.keys[~both] == Key.FORWARD).all()
    turn, own = episode.actions[:, 0].astype(float), TASKS.get("drone").keys
    assert turn.max() == 1.0 and np.abs(np.diff(turn)).max() <= 0.1 * own.turn_back_per_s + 1e-6
    assert len(set(turn.round(3))) > 4 and turn[-1] == 0.0


def test_a_tap_between_two_steps_is_not_lost(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (1.53, "+ArrowRight"), (1.55, "-ArrowRight"), (2.5, "KeyQ")])
    scene.run()
    assert (scene.episode().keys == Key.FORWARD | Key.RIGHT).sum() == 1


def test_steps_keep_their_times_without_drift(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (6.0, "KeyQ")], work_s=lambda n: 0.03 + 0.05 * (n % 2))
    assert scene.run().late_steps == 0
    times = steps_at(scene)
    np.testing.assert_allclose(times - times[0], 0.1 * np.arange(len(times)), atol=1e-9)


def test_a_late_step_is_counted_and_shown_and_the_rest_follows_without_a_burst(tmp_path):
    scene = Scene(
        tmp_path / "data", [(0.5, "+ArrowUp"), (4.0, "KeyQ")], work_s=lambda n: 0.47 if n in (10, 20) else 0.02
    )
    assert scene.run().late_steps == 2
    gaps = np.diff(steps_at(scene))
    assert gaps.min() > 0.1 - 1e-9
    np.testing.assert_allclose(np.delete(gaps, [10, 20]), 0.1, atol=1e-9)
    assert [seen.late for seen in scene.painter.of(Mode.RUNNING)][9:23:11] == [0, 1] and scene.painter.seen[
        -1
    ].late == 2


def test_a_machine_too_slow_for_the_rate_runs_slower_than_life_and_says_so(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (3.5, "KeyQ")], work_s=lambda n: 0.2)
    summary = scene.run()
    assert summary.steps == summary.late_steps == 15


def test_slow_motion_takes_twice_as_long_and_records_the_same_rate(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (1.5, "KeyL"), (3.5, "KeyL"), (4.5, "KeyQ")])
    summary = scene.run()
    assert summary.steps == pytest.approx(30, abs=2) and summary.late_steps == 0
    assert scene.episode().meta.control_hz == 10
    assert {seen.slow for seen in scene.painter.seen if 1.7 < seen.time_s < 3.4} == {True}


@pytest.mark.parametrize("go_on", ["KeyP", "ArrowUp", "Space"])
def test_a_pause_stops_time_until_p_or_a_steering_key(tmp_path, go_on):
    scene = Scene(tmp_path / "data", [(0.5, "ArrowUp"), (2.0, "KeyP"), (7.0, go_on), (8.0, "KeyQ")])
    assert scene.run().steps == pytest.approx(25, abs=1)
    paused = scene.painter.of(Mode.PAUSED)
    assert len({seen.step for seen in paused}) == 1 and paused[0].time_s < 2.2 and paused[-1].time_s > 6.5


def test_a_key_held_into_a_pause_counts_only_when_pressed_again(tmp_path):
    script = [(0.5, "+ArrowUp"), (2.0, "KeyP"), (4.0, "KeyP"), (5.0, "-ArrowUp"), (5.2, "+ArrowUp"), (6.0, "KeyQ")]
    scene = Scene(tmp_path / "data", script)
    scene.run()
    keys = scene.episode().keys
    assert keys[:15].all() and not keys[16:26].any() and keys[-7:].all()


def test_nobody_there_pauses_by_itself_and_a_key_goes_on(tmp_path):
    script = [(0.5, "+ArrowUp"), (2.0, "leave"), (8.0, "return"), (9.0, "+ArrowUp"), (10.0, "KeyQ")]
    scene = Scene(tmp_path / "data", script)
    assert scene.run().steps == pytest.approx(25, abs=1)
    away = scene.painter.of(Mode.AWAY)
    assert away[0].time_s < 2.2 and away[-1].time_s > 8.5 and len({seen.step for seen in away}) == 1


def test_restart_is_the_same_world_and_keeps_nothing_of_the_first_try(tmp_path):
    script = [(0.5, "+ArrowUp"), (2.5, "KeyR"), (3.0, "-ArrowUp"), (3.5, "+ArrowUp"), (5.0, "KeyQ")]
    scene = Scene(tmp_path / "data", script)
    summary = scene.run()
    assert scene.painter.begun == [0, 0] and (summary.episodes, summary.discarded) == (1, 0)
    assert len(scene.dataset) == 1 and scene.dataset.episodes[0].num_steps == pytest.approx(15, abs=1)


def test_quitting_saves_the_episode_as_far_as_it_went(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (2.0, "Escape")])
    summary = scene.run()
    assert summary.quit and not summary.interrupted and summary.episodes == 1
    header = scene.dataset.episodes[0]
    assert header.meta.outcome == "running" and header.num_steps == pytest.approx(15, abs=1)
    assert summary.results[0].outcome == "running" and summary.seconds == pytest.approx(2.0, abs=0.1)


def test_an_episode_of_less_than_a_second_is_not_worth_keeping(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (1.3, "KeyQ")])
    assert scene.run().episodes == 0 and len(scene.dataset) == 0


@pytest.mark.parametrize("when", [0.3, 2.0])
def test_a_closed_window_is_the_same_as_quitting(tmp_path, when):
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (when, "close")])
    summary = scene.run()
    assert summary.quit and summary.episodes == len(scene.dataset) == int(when > 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_the_same_as_quitting(tmp_path, number):
    before = signal.getsignal(number)

    def work_s(count: int) -> float:
        if count == 14:
            os.kill(os.getpid(), number)
        return 0.0

    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp")], work_s=work_s)
    summary = scene.run()
    assert summary.quit and summary.interrupted
    assert scene.dataset.episodes[0].num_steps == 15 and scene.dataset.episodes[0].meta.outcome == "running"
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_session_in_the_background_ends_on_a_signal_too(tmp_path, number):
    """A shell starts such a job with Ctrl-C ignored."""
    before = signal.signal(number, signal.SIG_IGN)

    def work_s(count: int) -> float:
        if count == 14:
            signal.raise_signal(number)
        return 0.0

    try:
        scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (30.0, "KeyQ")], work_s=work_s)
        assert scene.run().interrupted
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_hang_up_that_is_ignored_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def work_s(count: int) -> float:
        if count == 5:
            signal.raise_signal(signal.SIGHUP)
        return 0.0

    try:
        scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (3.0, "KeyQ")], work_s=work_s)
        assert not scene.run().interrupted
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    def work_s(count: int) -> float:
        if count == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        Scene(tmp_path / "data", [(0.5, "+ArrowUp")], work_s=work_s).run()


def test_the_outcome_stands_for_a_moment_or_until_a_key_and_then_the_next_world_waits(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (30.0, "KeyQ")], mix=CRASH)
    summary = scene.run()
    ended = scene.painter.of(Mode.ENDED)
    assert summary.results[0].outcome == "collision" and scene.episode().terminated[-1]
    assert ended[-1].time_s - ended[0].time_s == pytest.approx(HOLD_S, abs=0.3)
    assert (ended[0].number, ended[0].saved, ended[0].message) == (1, 1, "world 0 saved")
    over_s = ended[0].time_s
    quick = Scene(tmp_path / "quick", [(0.5, "+ArrowUp"), (over_s + 0.5, "KeyD"), (over_s + 5, "KeyQ")], mix=CRASH)
    quick.run()
    assert quick.painter.of(Mode.ENDED)[-1].time_s < over_s + 0.6
    assert quick.painter.seen[-1].mode == Mode.WAITING  # the key that goes on does not start the next episode as well
    assert (quick.painter.seen[-1].seed, quick.painter.seen[-1].number) == (1, 2)


def test_discarding_takes_the_last_episode_out_and_offers_its_world_again(tmp_path):
    start = [(0.5, "+ArrowUp"), (9.0, "-ArrowUp"), (10.0, "Backspace"), (11.0, "KeyQ")]
    scene = Scene(tmp_path / "data", start, mix=CRASH)
    summary = scene.run()
    assert (summary.episodes, summary.discarded, summary.steps) == (0, 1, 0)
    assert len(scene.dataset) == 0 and len(list((scene.folder / "discarded").iterdir())) == 1
    assert scene.painter.seen[-1].message == "world 0 discarded; it comes again"
    again = Scene(scene.folder, [(0.5, "+ArrowUp"), (9.0, "KeyQ")], mix=CRASH)
    again.run()
    assert again.painter.begun[0] == 0 and len(again.dataset) == 1


def test_discarding_during_an_episode_leaves_that_episode_alone(tmp_path):
    script = [(0.5, "+ArrowUp"), (9.0, "-ArrowUp"), (10.0, "+ArrowDown"), (10.5, "Backspace"), (12.0, "KeyQ")]
    scene = Scene(tmp_path / "data", script, mix=CRASH)
    summary = scene.run()
    assert scene.painter.begun == [0, 1] and (summary.episodes, summary.discarded) == (1, 1)
    assert [header.meta.seed for header in scene.dataset.episodes] == [1]


def test_right_after_an_episode_it_can_be_discarded_and_tried_again_at_once(tmp_path):
    first = Scene(tmp_path / "first", [(0.5, "+ArrowUp"), (9.0, "KeyQ")], mix=CRASH)
    first.run()
    over_s = first.painter.of(Mode.ENDED)[0].time_s
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (over_s + 0.3, "KeyR"), (over_s + 3, "KeyQ")], mix=CRASH)
    assert scene.run().discarded == 1
    assert scene.painter.begun == [0, 0] and len(scene.dataset) == 0


def test_there_may_be_nothing_to_discard(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "Backspace"), (1.0, "KeyQ")])
    assert scene.run().discarded == 0
    assert scene.painter.seen[-1].message.startswith("nothing to discard")


def test_episodes_that_are_recorded_are_left_out_and_counted(tmp_path):
    script = [(0.5, "+ArrowUp"), (2.5, "KeyQ")]
    Scene(tmp_path / "data", script).run()
    scene = Scene(tmp_path / "data", script)
    scene.run()
    assert scene.painter.begun == [1] and (scene.painter.seen[0].number, scene.painter.seen[0].saved) == (2, 1)
    assert [header.meta.seed for header in scene.dataset.episodes] == [0, 1]


def test_all_recorded_shows_nothing(tmp_path):
    script = [(0.5, "+ArrowUp"), (2.5, "KeyQ")]
    Scene(tmp_path / "data", script, episodes=1).run()
    scene = Scene(tmp_path / "data", script, episodes=1)
    summary = scene.run()
    assert not summary.quit and summary.episodes == 0 and scene.screen.pictures == 0


def test_an_error_while_drawing_saves_the_episode_and_is_told(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp")], work_s=lambda n: 0.0 if n < 15 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        scene.run()
    assert scene.dataset.episodes[0].num_steps == 16 and scene.dataset.episodes[0].meta.outcome == "running"


def test_a_full_disk_is_told_and_costs_only_the_episode_in_hand(tmp_path, monkeypatch):
    scene = Scene(
        tmp_path / "data", [(0.5, "+ArrowUp"), (9.0, "-ArrowUp"), (9.5, "+ArrowUp"), (12.0, "KeyQ")], mix=CRASH
    )
    add, written = Dataset.add, []

    def full(self, episode):
        if written:
            raise DiskFullError("no space left")
        written.append(add(self, episode))
        return written[0]

    monkeypatch.setattr(Dataset, "add", full)
    with pytest.raises(DiskFullError, match="no space left"):
        scene.run()
    assert [header.meta.seed for header in scene.dataset.episodes] == [0]


def test_a_stick_steers_and_one_that_is_held_at_the_start_does_not(tmp_path):
    script = [(0.0, "stick"), (1.0, "rest"), (2.0, "stick"), (3.0, "rest"), (3.5, "KeyQ")]
    scene = Scene(tmp_path / "data", script)
    scene.run()
    episode = scene.episode()
    assert episode.actions[0, 0] == 1.0 and episode.num_steps == pytest.approx(15, abs=1)
    assert not episode.keys.any() and episode.actions[-1, 0] == 0.0


def test_a_car_is_driven_too(tmp_path):
    mix = ScenarioMix(width=32, height=24, options=DriveOptions(length=150.0), domain_randomisation=False)
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (3.0, "KeyQ")], mix=mix, task="drive", episodes=1)
    summary = scene.run()
    assert summary.results[0].mean_speed_mps > 2.0 and scene.episode().actions[-1, 1] == 1.0


class WavingPilot:
    """A policy that turns to and fro and counts how often it is asked."""

    name = "waving"
    needs_expert = False

    def __init__(self) -> None:
        self.asked, self.restarts = 0, []

    def begin(self, slots: int) -> None:
        assert slots == 1

    def restart(self, slot: int, seed: int) -> None:
        self.restarts.append((slot, seed))

    def act(self, observations, infos, slots) -> Decision:
        assert observations["center"].shape == (1, 24, 32, 3) and infos[0]["depth"].shape == (3, 24, 32)
        self.asked += 1
        action = np.float32([[0.4 * np.cos(0.9 * self.asked), -0.5]])
        return Decision(action, np.array([ACTOR_POLICY], np.uint8))


def test_the_policy_drives_until_somebody_takes_over_and_again_once_it_is_handed_back(tmp_path):
    script = [(0.5, "Space"), (2.5, "Space"), (4.0, "Enter"), (6.0, "Space"), (7.0, "KeyQ")]
    scene, pilot = Scene(tmp_path / "data", script), WavingPilot()
    summary = scene.run(TakeoverDriver(pilot))
    episode = scene.episode()
    assert episode.meta.policy_id == "waving"
    switches = np.flatnonzero(np.diff(episode.actor.astype(int))) + 1
    np.testing.assert_allclose(switches, [20, 35, 55], atol=1)
    assert episode.actor[0] == ACTOR_POLICY and episode.actor[-1] == ACTOR_HUMAN
    np.testing.assert_array_equal(episode.labelled_steps, episode.actor == ACTOR_HUMAN)
    assert pilot.asked == episode.num_steps and pilot.restarts == [(0, 0)]
    assert (summary.takeovers, summary.context_switches) == (2, 3)
    assert summary.human_steps == episode.labelled_steps.sum() == pytest.approx(25, abs=1)
    assert summary.mean_takeover_s == pytest.approx(1.25, abs=0.1)


def test_a_steering_key_alone_does_not_take_over(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowLeft"), (3.0, "KeyQ")])
    assert scene.run(TakeoverDriver(WavingPilot())).human_steps == 0
    episode = scene.episode()
    assert (episode.keys == Key.LEFT).all() and not episode.labelled_steps.any()


def test_control_passes_without_a_jerk(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "Space"), (2.53, "Space"), (4.0, "KeyQ")])
    scene.run(TakeoverDriver(WavingPilot()))
    episode = scene.episode()
    taken = int(np.argmax(episode.actor == ACTOR_HUMAN))
    assert np.abs(episode.actions[taken - 1]).min() > 0.1
    most = 0.1 * np.array([TASKS.get("drone").keys.turn_back_per_s, TASKS.get("drone").keys.go_back_per_s])
    assert (np.abs(episode.actions[taken] - episode.actions[taken - 1]) <= most + 1e-6).all()


def test_taking_over_out_of_a_pause_goes_on_with_the_human(tmp_path):
    scene = Scene(tmp_path / "data", [(0.5, "Space"), (2.0, "KeyP"), (5.0, "Space"), (6.5, "KeyQ")])
    scene.run(TakeoverDriver(WavingPilot()))
    actor = scene.episode().actor
    assert (actor[:14] == ACTOR_POLICY).all() and (actor[-14:] == ACTOR_HUMAN).all()


def test_a_driver_may_end_the_episode(tmp_path):
    class Short(HumanDriver):
        def decide(self, episode, given, shaped):
            return None if episode.num_steps == 12 else super().decide(episode, given, shaped)

    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (5.0, "KeyQ")])
    scene.run(Short())
    assert scene.dataset.episodes[0].num_steps == 12


def test_an_episode_without_a_step_is_not_recorded(tmp_path):
    class Nothing(HumanDriver):
        def decide(self, episode, given, shaped):
            return None

    scene = Scene(tmp_path / "data", [(0.5, "ArrowUp"), (5.0, "KeyQ")])
    assert scene.run(Nothing()).episodes == 0 and len(scene.dataset) == 0


def test_a_driver_that_fails_costs_nothing_that_was_driven(tmp_path):
    class Failing(HumanDriver):
        def decide(self, episode, given, shaped):
            if episode.num_steps == 20:
                raise RuntimeError("out of order")
            return super().decide(episode, given, shaped)

    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp")])
    with pytest.raises(RuntimeError, match="out of order"):
        scene.run(Failing())
    assert scene.dataset.episodes[0].num_steps == 20


def test_collecting_by_keyboard_needs_somebody_at_the_keys(tmp_path):
    config = CollectConfig(str(tmp_path / "data"), pilot="keyboard", episodes=2, mix=FOREST)
    with pytest.raises(ValueError, match="somebody at a keyboard is needed"):
        collect(config)
    jobs: list[Job] = []
    assert len(collect(config, roll_in=jobs.append)) == 0
    assert [scenario.seed for scenario in jobs[0].scenarios] == [0, 1] and jobs[0].dataset == str(tmp_path / "data")


def test_a_job_that_records_nothing_is_refused(tmp_path):
    scene = Scene(tmp_path / "data", [])
    scene.job = Job("drone", scene.job.scenarios, ExpertPilot)
    with pytest.raises(ValueError, match="names no dataset"):
        scene.run()


def test_a_pacer_starts_anew_after_a_stretch_of_standing_still():
    clock = FakeClock()
    pacer = Pacer(clock)
    clock.sleep(5.0)
    pacer.start()
    pacer.wait(0.1)
    assert pacer.late == 0 and clock.now() == pytest.approx(5.1)


def test_a_pacer_tells_a_standstill_from_a_late_step():
    clock = FakeClock()
    pacer = Pacer(clock)
    clock.sleep(0.5)
    assert pacer.wait(0.1) == 0.0 and pacer.late == 1
    clock.sleep(60.0)
    assert pacer.wait(0.1) == pytest.approx(59.9) and pacer.late == 1 and pacer.stalled_s == pytest.approx(59.9)
    assert pacer.wait(0.1) == 0.0 and pacer.late == 1


def test_a_session_that_was_stopped_or_asleep_pauses_until_a_key(tmp_path):
    # The tenth picture of a running episode takes a minute: the lid was closed.
    scene = Scene(tmp_path / "data", [(0.5, "+ArrowUp"), (65.0, "-ArrowUp"), (66.0, "KeyA"), (67.5, "KeyQ")])
    scene.painter._work_s = lambda count: 60.0 if count == 10 else 0.0
    summary = scene.run()
    paused = scene.painter.of(Mode.PAUSED)
    assert paused and paused[-1].time_s < 66.1 and "stood still for 60 s" in paused[0].message
    assert len({seen.step for seen in paused}) == 1
    assert summary.steps == pytest.approx(25, abs=2) and summary.late_steps == 0 and summary.seconds < 10.0
