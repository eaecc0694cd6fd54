"""Replay: stored episodes are repeated state by state, films come out, and what diverges fails loudly."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from forestpilot.data_collection.rollouts.pool import Job, RolloutPool
from forestpilot.data_collection.rollouts.replay import (
    ReplayDivergedError,
    StoredEpisode,
    load_stored_episode,
    make_replay_env,
    replay_episode,
)
from forestpilot.data_collection.rollouts.results import EpisodeFileError, result_path
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.launch import cli
from forestpilot.launch.films.episode_video import write_episode_video
from forestpilot.launch.films.pace import FilmConfig
from forestpilot.launch.films.replay_config import ReplayConfig
from forestpilot.launch.films.replays import Replayed
from forestpilot.launch.films.scene import blend_rotations
from forestpilot.launch.reading.outcomes import (
    Choice,
    ReplayError,
    choose_episodes,
    choose_near_misses,
    choose_worlds,
    read_outcomes,
)
from forestpilot.launch.verbs.replay import replay_evaluation
from forestpilot.policies.evaluation.baselines import BlindPilot
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow
from forestpilot.sim.cameras import rotation_matrix
from forestpilot.sim.tasks.drive import DRIVE, DriveOptions
from forestpilot.sim.viewpoints.viewpoint import free_distance_m

SEEDS = (2_000_000, 2_000_001)


def outcome(
    policy: str, seed: int, end: str, clearance_m: float, progress_m: float, interventions: int = 0
) -> OutcomeRow:
    return OutcomeRow(policy, seed, end, progress_m, 8.0, clearance_m, 4.5, interventions=interventions)


def roll_out(seed: int, steps: int = 100) -> tuple[StoredEpisode, float]:
    """Fly straight ahead until the episode ends; returns it and its least clearance."""
    kwargs = {"density": 1 / 15, "speed": 8.0, "time_limit_s": steps / 10}
    blank = StoredEpisode(
        np.zeros((0, 2), np.float32), np.zeros(1, np.uint64), "ForestPilot/Drone-v0", kwargs, seed, "blind", "", ""
    )
    env = make_replay_env(blank)
    vehicle: Any = env.unwrapped
    _, info = env.reset(seed=seed)
    action, hashes, clearances, over = np.array([0.05, 1.0], np.float32), [vehicle.state_hash()], [9.0], False
    while not over:
        _, _, terminated, truncated, info = env.step(action)
        hashes.append(vehicle.state_hash())
        clearances.append(info["clearance_m"])
        over = terminated or truncated
    env.close()
    finished = replace(
        blank,
        actions=np.tile(action, (len(hashes) - 1, 1)),
        state_hashes=np.array(hashes, np.uint64),
        outcome=info["outcome"],
    )
    return finished, min(clearances)


def store(folder: Path, episode: StoredEpisode) -> Path:
    path = result_path(folder / "episodes", episode.policy, episode.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ("env_id", "env_kwargs", "seed", "policy", "policy_path", "outcome")
    meta = json.dumps({name: getattr(episode, name) for name in names})
    np.savez(path, actions=episode.actions, state_hashes=episode.state_hashes, meta=np.array(meta))
    return path


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    with (folder / "outcomes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["policy", "seed", "outcome", "success", "progress_m", "time_s", "min_clearance_m", "mean_speed_mps"]
        )
        for seed in SEEDS:
            episode, clearance = roll_out(seed, steps=12)
            store(folder, episode)
            writer.writerow(["blind", seed, episode.outcome, 0, 3.0, 1.2, clearance, 2.5])
    return folder


def test_a_stored_episode_is_repeated_state_by_state(evaluation: Path) -> None:
    episode = load_stored_episode(result_path(evaluation / "episodes", "blind", SEEDS[0]))
    steps = list(replay_episode(episode))
    assert [step.index for step in steps] == list(range(len(episode.actions) + 1))
    assert steps[-1].action is None
    assert steps[-1].info["outcome"] == episode.outcome
    assert steps[-1].position_m[0] > 1.0


def test_another_action_diverges_at_its_step(evaluation: Path) -> None:
    episode = load_stored_episode(result_path(evaluation / "episodes", "blind", SEEDS[0]))
    actions = episode.actions.copy()
    actions[4, 0] = -0.9
    with pytest.raises(ReplayDivergedError, match="diverged at step 5 of"):
        list(replay_episode(replace(episode, actions=actions)))


def test_another_world_or_end_diverges(evaluation: Path) -> None:
    episode = load_stored_episode(result_path(evaluation / "episodes", "blind", SEEDS[0]))
    with pytest.raises(ReplayDivergedError, match="not as success"):
        list(replay_episode(replace(episode, outcome="success")))
    longer = replace(
        episode,
        actions=np.concatenate([episode.actions, episode.actions[-1:]]),
        state_hashes=np.concatenate([episode.state_hashes, episode.state_hashes[-1:]]),
    )
    with pytest.raises(ReplayDivergedError, match=episode.outcome):
        list(replay_episode(longer))


def test_a_diverging_replay_exits_with_1_and_leaves_no_video(
    evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "changed"
    episode = load_stored_episode(result_path(evaluation / "episodes", "blind", SEEDS[0]))
    hashes = episode.state_hashes.copy()
    hashes[3] += np.uint64(1)
    store(folder, replace(episode, state_hashes=hashes))
    rows = (evaluation / "outcomes.csv").read_text().splitlines()[:2]
    (folder / "outcomes.csv").write_text("\n".join(rows) + "\n")
    assert cli.main(["replay", str(folder), "--video", str(tmp_path / "videos"), "--size", "320x180"]) == 1
    assert "diverged at step 3" in capsys.readouterr().err
    assert list((tmp_path / "videos").iterdir()) == []


def test_the_video_runs_at_the_pace_of_the_episode(evaluation: Path, tmp_path: Path) -> None:
    episode = load_stored_episode(result_path(evaluation / "episodes", "blind", SEEDS[1]))
    path = tmp_path / "a.mp4"
    write_episode_video(path, episode, FilmConfig((320, 180), 25))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        rate = float(stream.average_rate)
    assert rate == 25
    assert len(frames) == math.ceil(2.5 * len(episode.actions)) + 1 + round(1.5 * 25)
    assert np.abs(frames[4].astype(int) - frames[0]).mean() > 1.0


def test_the_costs_that_the_policy_predicts_can_be_drawn(evaluation: Path, tmp_path: Path) -> None:
    from forestpilot.policies.networks.checkpoint import save_policy
    from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy

    episode = load_stored_episode(result_path(evaluation / "episodes", "blind", SEEDS[1]))
    env = make_replay_env(episode)
    spec = env.unwrapped.task_spec  # type: ignore[attr-defined]
    env.close()
    save_policy(tmp_path / "policy", VisuomotorPolicy.seeded(PolicyConfig(), spec, 0), {})
    films = {}
    for costs, path in (("policy", str(tmp_path / "policy")), ("policy", "blind"), ("none", "blind")):
        video = tmp_path / f"{len(films)}.mp4"
        write_episode_video(video, replace(episode, policy_path=path), FilmConfig((320, 180), 10), costs=costs)
        with av.open(str(video)) as container:
            films[costs, path] = next(container.decode(video=0)).to_ndarray(format="gray").astype(int)
    first, second, third = films.values()
    assert np.abs(first - third).max() > 40
    assert np.abs(second - third).max() > 40
    assert np.abs(first - second).max() > 20
    with pytest.raises(ReplayError, match="--costs expert"):
        write_episode_video(
            tmp_path / "x.mp4", replace(episode, policy_path="gone"), FilmConfig((320, 180), 10), "policy"
        )


def test_the_verb_prints_one_line_per_episode(evaluation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", str(evaluation)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("reproduced step by step" in line for line in lines)


def test_seeds_choose_episodes(evaluation: Path) -> None:
    chosen = list(replay_evaluation(ReplayConfig(evaluation, seed=(SEEDS[1],))))
    assert [(replayed.files, [row.seed for row in replayed.outcomes]) for replayed in chosen] == [((), [SEEDS[1]])]


OUTCOMES = [
    outcome("a", 1, "success", 0.5, 40),
    outcome("a", 2, "collision", -0.1, 9),
    outcome("a", 3, "success", 0.1, 40),
    outcome("b", 1, "timeout", 0.2, 9),
]


def test_the_worst_are_failures_then_narrow_escapes() -> None:
    assert choose_episodes(OUTCOMES, Choice(worst=3)) == [OUTCOMES[1], OUTCOMES[3], OUTCOMES[2]]
    assert choose_episodes(OUTCOMES, Choice(best=1)) == [OUTCOMES[0]]
    assert choose_episodes(OUTCOMES, Choice(policies=("a",), worst=1, best=9)) == [
        OUTCOMES[1],
        OUTCOMES[0],
        OUTCOMES[2],
    ]
    assert choose_episodes(OUTCOMES, Choice(seeds=(1,))) == [OUTCOMES[0], OUTCOMES[3]]
    assert choose_episodes(OUTCOMES, Choice()) == OUTCOMES


def test_episodes_shown_together_are_told_in_a_line() -> None:
    rows = (OUTCOMES[0], OUTCOMES[3], outcome("c", 1, "timeout", 0.2, 9))
    assert str(Replayed(rows, (Path("a.gif"),), "2.0 MB")) == (
        "a, b, c  world 1  success, out of time, out of time  reproduced step by step  a.gif  2.0 MB"
    )
    assert str(Replayed((OUTCOMES[0], OUTCOMES[2]))) == "a  world 1, 3  success  reproduced step by step"


def test_worlds_that_all_policies_ran_are_shown_side_by_side() -> None:
    assert choose_worlds(OUTCOMES, Choice()) == [[OUTCOMES[0], OUTCOMES[3]]]
    assert choose_worlds(OUTCOMES, Choice(policies=("b", "a"))) == [[OUTCOMES[3], OUTCOMES[0]]]
    more = [*OUTCOMES, outcome("b", 2, "success", 0.4, 40)]
    assert [rows[0].seed for rows in choose_worlds(more, Choice(worst=1))] == [2], "the first policy's worst"
    assert [rows[0].seed for rows in choose_worlds(more, Choice(worst=1, policies=("b", "a")))] == [1]


def test_policies_that_share_no_world_are_named() -> None:
    with pytest.raises(ReplayError, match="at least two policies, and there are episodes of a;"):
        choose_worlds(OUTCOMES, Choice(policies=("a",)))
    with pytest.raises(ReplayError, match=r"world 3 was not run by all of a, b: .*b ran worlds 1 to 1"):
        choose_worlds(OUTCOMES, Choice(seeds=(3,)))
    with pytest.raises(ReplayError, match="no world was run by all of a, b"):
        choose_worlds(OUTCOMES[1:], Choice())


def test_near_misses_are_successes_with_the_smallest_clearance_first() -> None:
    helped = outcome("a", 9, "success", 0.01, 40, 2)
    assert choose_near_misses([*OUTCOMES, helped], 5, Choice()) == ([OUTCOMES[2], OUTCOMES[0]], 2)
    assert choose_near_misses(OUTCOMES, 1, Choice()) == ([OUTCOMES[2]], 2)
    with pytest.raises(ReplayError, match="no episode succeeded"):
        choose_near_misses(OUTCOMES, 5, Choice(policies=("b",)))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="episodes of a, b"):
        choose_episodes(OUTCOMES, Choice(policies=("a", "c")))
    with pytest.raises(ReplayError, match="worlds 1 to 3"):
        choose_episodes(OUTCOMES, Choice(seeds=(7,)))
    with pytest.raises(ReplayError, match="no episodes; evaluate again"):
        choose_episodes([], Choice())
    with pytest.raises(ReplayError, match="forestpilot evaluate"):
        read_outcomes(tmp_path)
    (tmp_path / "outcomes.csv").write_text("policy,seed\na,1\n")
    with pytest.raises(ReplayError, match="cannot be read"):
        read_outcomes(tmp_path)


def test_damaged_episodes_are_named(evaluation: Path, tmp_path: Path) -> None:
    whole = result_path(evaluation / "episodes", "blind", SEEDS[0]).read_bytes()
    path = tmp_path / "f.npz"
    for data in (whole[: len(whole) // 2], b"", b"not an episode"):
        path.write_bytes(data)
        with pytest.raises(EpisodeFileError, match=r"f\.npz cannot be read"):
            load_stored_episode(path)
    with pytest.raises(EpisodeFileError, match="there is no episode"):
        load_stored_episode(tmp_path / "gone.npz")
    np.savez(path, actions=np.zeros((3, 2)), state_hashes=np.zeros(3), meta="{}")
    with pytest.raises(EpisodeFileError):
        load_stored_episode(path)


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    for options in (
        {"worst": -1}, {"size": "big"}, {"fps": 0}, {"slow": 0.5, "video": tmp_path}, {"last": 0.0, "video": tmp_path},
        {"gif_mb": 0.0}, {"gif_width": 5}, {"moments": 2}, {"reel_clips": 0}, {"reel": tmp_path},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(options))):
            ReplayConfig(tmp_path, **options)  # type: ignore[arg-type]


def test_options_without_effect_are_refused(tmp_path: Path) -> None:
    for options, what in (
        ({"slow": 4.0}, "slow has no effect"),
        ({"last": 2.0, "reel": tmp_path / "a.mp4"}, "last has no effect"),
        ({"side_by_side": True}, "--video or --gif"),
        ({"side_by_side": True, "video": tmp_path, "contact_sheet": tmp_path}, "no --contact-sheet"),
        ({"reel": tmp_path / "a.mp4", "worst": 2}, "--reel-clips"),
    ):
        with pytest.raises(ValueError, match=what):
            ReplayConfig(tmp_path, **options)  # type: ignore[arg-type]


def test_the_chase_camera_stops_before_a_trunk() -> None:
    trees = np.array([[-2.0, 0.1, 0.3, 5, 1, 3, 0], [5.0, 0.0, 0.3, 5, 1, 3, 0]], np.float32)
    behind = free_distance_m(trees, np.zeros(3), math.pi, 3.2)
    assert 0.8 <= behind < 1.7
    assert free_distance_m(trees, np.zeros(3), math.pi / 2, 3.2) == 3.2
    assert free_distance_m(trees[:0], np.zeros(3), 0.0, 3.2) == 3.2


def test_blended_rotations_are_rotations_on_the_way() -> None:
    a, b = rotation_matrix(0.0, 0.0, 0.0), rotation_matrix(0.2, 0.1, 0.3)
    middle = blend_rotations(a, b, 0.5)
    np.testing.assert_allclose(middle @ middle.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(middle) == pytest.approx(1.0)
    assert math.atan2(middle[1, 0], middle[0, 0]) == pytest.approx(0.15, abs=0.01)
    np.testing.assert_array_equal(blend_rotations(a, b, 0.0), a)


def test_a_drive_with_interventions_is_repeated_and_filmed(tmp_path: Path) -> None:
    mix = ScenarioMix(options=DriveOptions(length=60.0, interventions="line"))
    job = Job(
        "drive",
        (mix.scenario(SEEDS[0], DRIVE),),
        BlindPilot,
        results_folder=str(tmp_path / "episodes"),
        policy="blind",
    )
    with RolloutPool(1) as pool:
        (finished,) = pool.run(job)
    assert finished.interventions > 0, "nobody steers"
    episode = load_stored_episode(result_path(tmp_path / "episodes", "blind", SEEDS[0]))
    shorter = replace(episode, env_kwargs={**episode.env_kwargs, "width": 32, "height": 24})
    assert sum(step.info["intervened"] for step in replay_episode(shorter)) == finished.interventions
    write_episode_video(tmp_path / "drive.mp4", episode, FilmConfig((320, 180), 10))
    with av.open(str(tmp_path / "drive.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == len(episode.actions) + 1 + 15
    assert np.abs(frames[20].astype(int) - frames[0]).mean() > 1.0


def test_to_arrive_with_help_is_no_success() -> None:
    helped = [outcome("a", 1, "success", 0.5, 40, 1), outcome("a", 2, "success", 0.1, 40, 3)]
    assert helped[0].end == "arrived with help" and OUTCOMES[0].end == "success" and OUTCOMES[1].end == "collision"
    assert choose_episodes([*OUTCOMES, *helped], Choice(policies=("a",), worst=3)) == [
        helped[1],
        helped[0],
        OUTCOMES[1],
    ]
