"""A look at datasets: what is counted, what is found to be wrong, and a page that opens anywhere."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.episode import Episode, load_episode, save_episode
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.people.relabelling import RELABELLING_FILE
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.recorder import EpisodeRecorder
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.data_collection.windows.training_steps import StepLoader
from forestpilot.launch.cli import main
from forestpilot.launch.inspection import measures
from forestpilot.launch.inspection.checks import find_bad, longest_run
from forestpilot.launch.inspection.human import excerpt_of, hand_of
from forestpilot.launch.inspection.survey import survey_dataset
from forestpilot.launch.verbs.inspect import Config
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.tasks.drive import DriveOptions
from forestpilot.sim.tasks.drone import DRONE, DroneOptions
from tests.browser import open_browser
from tests.helpers.episodes import ENV_ID, make_episode, random_offsets
from tests.helpers.specs import small_drive_spec, small_spec

SPEC = small_spec()
MOVING = 4.0


def sound_episode(seed: int, steps: int = 60, spec: TaskSpec = SPEC, **meta: object) -> Episode:
    """An episode of a vehicle that moves, with nothing wrong."""
    episode = make_episode(seed, steps, spec, **meta)
    episode.observations["state"][:, spec.index("forward_mps")] = MOVING
    episode.observations["state"][:, spec.index("speed_set_point_mps")] = 5.0
    return episode


def make_dataset(folder: Path, *episodes: Episode, spec: TaskSpec = SPEC) -> Path:
    dataset = Dataset.create(folder, spec, ENV_ID)
    for episode in episodes:
        dataset.add(episode)
    return folder


def by_policy(episode: Episode, helped: list[int] | None = None, helper: int = ACTOR_EXPERT) -> Episode:
    episode.actor[:] = ACTOR_POLICY
    episode.actor[helped or []] = helper
    return episode


def test_steps_labels_drivers_and_takeovers_are_counted_by_round(tmp_path: Path) -> None:
    helped = by_policy(sound_episode(2, 20, dagger_round=1, outcome="collision"), [4, 5, 6, 12, 13])
    helped.labelled = helped.actor == ACTOR_EXPERT
    survey = survey_dataset(make_dataset(tmp_path / "data", sound_episode(0), sound_episode(1), helped))
    first, second = measures.rounds_of(survey)
    assert (first.episodes, first.steps, first.labels, first.handovers.takeovers) == (2, 120, 120, 0)
    assert first.drivers == {"expert": 1.0}
    assert second.drivers == {"expert": 0.25, "policy": 0.75}
    assert (second.labels, second.handovers.takeovers, second.handovers.context_switches) == (5, 2, 4)
    assert second.mean_takeover_s == pytest.approx(0.25)
    assert second.outcomes == {"collision": 1}


def test_disk_space_is_told_with_what_can_be_deleted(tmp_path: Path) -> None:
    survey = survey_dataset(make_dataset(tmp_path / "data", sound_episode(0)))
    size = next((tmp_path / "data" / "episodes").iterdir()).stat().st_size
    assert survey.disk == f"{size / 1e6:.1f} MB"
    (tmp_path / "data" / "decoded" / "settings").mkdir(parents=True)
    (tmp_path / "data" / "decoded" / "settings" / "r0000-s00000000.steps").write_bytes(b"x" * 2_500_000)
    assert survey.disk.endswith(" MB, and 2.5 MB of decoded pictures in decoded/ (can be deleted)")


def test_steering_is_told_from_the_labels_alone(tmp_path: Path) -> None:
    episode = sound_episode(0, 20)
    assert episode.expert_actions is not None
    episode.expert_actions[:, 1, 0] = [0.0] * 5 + [0.01] * 5 + [0.5] * 8 + [-1.0] + [1.0]
    episode.labelled = np.arange(20) < 19
    survey = survey_dataset(make_dataset(tmp_path / "data", episode))
    steering = measures.center_steering(survey)
    assert steering.straight == pytest.approx(10 / 19)
    assert steering.left == pytest.approx(8 / 19)
    assert steering.right == steering.at_limit == pytest.approx(1 / 19)
    assert steering.leaning == "left"


def test_corrections_at_side_cameras_are_what_was_asked_against_the_rule(tmp_path: Path) -> None:
    spec = small_drive_spec()
    episode = sound_episode(0, 40, spec)
    assert episode.expert_actions is not None
    episode.camera_offsets = random_offsets(np.random.default_rng(0), 41)
    episode.expert_actions[:, :, 0] = 0.0
    episode.expert_actions[:, 0, 0] = -0.25
    survey = survey_dataset(make_dataset(tmp_path / "data", episode, spec=spec))
    left, right = measures.corrections_of(survey)
    assert left.asked_deg == pytest.approx((-0.25 * np.degrees(spec.max_turn_rad), 0.0), abs=1e-3)
    assert right.asked_deg == pytest.approx((0.0, 0.0))
    assert left.shift_m.mean > 0 > right.shift_m.mean
    assert left.rule_deg.mean < 0 < right.rule_deg.mean
    assert left.asked_minus_rule_deg is not None
    assert left.asked_minus_rule_deg[0] == pytest.approx(left.asked_deg[0] - left.rule_deg[0], abs=1e-4)
    assert measures.has_sides_of_their_own(survey)


def test_a_humans_action_is_the_label_and_side_cameras_follow_the_rule(tmp_path: Path) -> None:
    episode = by_policy(sound_episode(0))
    episode.human_actions = np.full((60, 2), 0.5, np.float32)
    survey = survey_dataset(make_dataset(tmp_path / "data", episode))
    (record,) = survey.records
    assert (record.label == 0.5).all()
    assert record.asked is None
    yaw = SPEC.side_yaw_rad / SPEC.max_turn_rad
    assert record.taught[:, :, 0] == pytest.approx(np.tile([0.5 - yaw, 0.5, 0.5 + yaw], (60, 1)), abs=1e-6)
    assert measures.corrections_of(survey)[0].asked_deg is None


def test_a_humans_delay_moves_the_labels_that_are_shown_as_in_training(tmp_path: Path) -> None:
    episode = sound_episode(0, 20)
    episode.expert_actions = episode.expert_costs = None
    episode.actor[:] = ACTOR_HUMAN
    folder = make_dataset(tmp_path / "data", episode)
    (record,) = survey_dataset(folder, human_delay_s=0.2).records
    assert (record.label[:18] == episode.actions[2:]).all() and record.labelled.tolist() == 18 * [True] + 2 * [False]
    with h5py.File(record.path) as file:
        loader = StepLoader(SPEC, ("center",), "none", None, human_delay_s=0.2)
        learned = loader.load(file["data/demo_0"], 0, 20)
    assert (record.label == learned.actions[0]).all() and (record.labelled == learned.mask).all()
    with pytest.raises(ValueError, match="human_delay is 3\\.0; allowed: 0 to 2"):
        Config(datasets=(folder,), human_delay=3.0)


def test_sound_episodes_are_left_in_peace(tmp_path: Path) -> None:
    flown = by_policy(sound_episode(3, dagger_round=1, outcome="collision"))
    folder = make_dataset(tmp_path / "data", *(sound_episode(seed) for seed in range(3)), flown)
    assert find_bad(survey_dataset(folder)) == []


def frozen(episode: Episode) -> None:
    episode.observations["right"][5:30] = episode.observations["right"][5]


def dark(episode: Episode) -> None:
    episode.observations["left"] //= 8


def grey(episode: Episode) -> None:
    episode.observations["center"][10:40] = 99


def never_steered(episode: Episode) -> None:
    episode.actions[:, 0] = 0.3


def bang_bang(episode: Episode) -> None:
    assert episode.expert_actions is not None
    episode.expert_actions[..., 0] = np.sign(episode.expert_actions[..., 0])


def standing(episode: Episode) -> None:
    episode.observations["state"][10:, :2] = 0.0


def unlabelled(episode: Episode) -> None:
    episode.labelled = np.zeros(episode.num_steps, bool)


def untouched(episode: Episode) -> None:
    episode.actor[:], episode.actions[:] = ACTOR_HUMAN, 0.0
    episode.keys = np.zeros(episode.num_steps, np.uint8)


@pytest.mark.parametrize(
    ("harm", "kind", "why"),
    [
        (frozen, "Frozen pictures", "the right camera repeats one picture for 2.4 s"),
        (dark, "Pictures that show nothing", "100 % of the left camera's pictures are darker than 12 of 255"),
        (grey, "Pictures that show nothing", "49 % of the center camera's pictures are of one even colour"),
        (never_steered, "Never steered", "the turn stays at +0.30 for all 6.0 s"),
        (bang_bang, "Turned as far as it goes, most of the time", "100 % of its labels"),
        (standing, "Stood still", "slower than 0.3 m/s for 83 % of 6.0 s"),
        (unlabelled, "Nothing to learn from", "none of its 60 steps has a label"),
        (untouched, "Nobody touched a key", "no steering key in 6.0 s"),
    ],
)
def test_what_a_checksum_cannot_tell_is_found(
    tmp_path: Path, harm: Callable[[Episode], None], kind: str, why: str
) -> None:
    bad = sound_episode(7)
    harm(bad)
    findings = find_bad(survey_dataset(make_dataset(tmp_path / "data", sound_episode(1), bad)))
    (finding,) = [each for each in findings if each.kind == kind]
    assert finding.file == "episodes/r0000-s00000007.hdf5"
    assert why in finding.why
    assert finding.advice
    assert {each.file for each in findings} == {finding.file}


@pytest.mark.parametrize(
    ("meta", "steps", "kind", "why"),
    [
        (
            {"outcome": "collision"},
            60,
            "Crashed demonstration",
            "the expert's episode ended after 6.0 s and 40 m: collision",
        ),
        ({"outcome": "out_of_bounds"}, 60, "Demonstration that left the way", "m: out of bounds"),
        ({"outcome": "timeout"}, 60, "Demonstration that ran out of time", "m: out of time"),
        ({"outcome": "running"}, 60, "Stopped before the end", "ends after 6.0 s and 40 m"),
        ({}, 9, "Very short", "9 steps, 0.9 s"),
        ({"renderer": "tiny"}, 60, "Another renderer", "drawn by tiny, the dataset by raycast"),
    ],
)
def test_what_an_episode_says_of_itself_is_judged(
    tmp_path: Path, meta: dict[str, str], steps: int, kind: str, why: str
) -> None:
    findings = find_bad(survey_dataset(make_dataset(tmp_path / "data", sound_episode(4, steps, **meta))))
    assert [finding.kind for finding in findings] == [kind]
    assert why in findings[0].why


def test_a_world_for_results_is_found(tmp_path: Path) -> None:
    survey = survey_dataset(make_dataset(tmp_path / "data", sound_episode(1), sound_episode(1_000_003)))
    (finding,) = find_bad(survey)
    assert finding.kind == "Not a training world"
    assert "world 1000003 is of the validation split" in finding.why
    splits = {row.split: (row.worlds, row.first, row.last) for row in measures.seeds_of_splits(survey)}
    assert splits == {"train": (1, 1, 1), "validation": (1, 1_000_003, 1_000_003)}


def spoil(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six sound episodes, and then all that can be wrong with a file."""
    paths = [header.path for header in Dataset.open(folder).episodes]
    paths[0].write_bytes(paths[0].read_bytes()[:-100])
    paths[1].write_bytes(paths[1].read_bytes().replace(b"episode 1 ", b"episode 9 ", 1))
    not_a_number, other = load_episode(paths[2]), load_episode(paths[3])
    not_a_number.observations["state"][3, 2] = np.nan
    with monkeypatch.context() as patched:
        patched.setattr(Episode, "validate", lambda self: None)
        save_episode(paths[2], not_a_number)
    spec = small_drive_spec().to_dict()
    save_episode(paths[3], dataclasses.replace(other, meta=dataclasses.replace(other.meta, task_spec=spec)))
    dataset = Dataset.open(folder, check=False)
    with pytest.warns(UserWarning, match="damaged episode moved"):
        dataset.quarantine(paths[4], "the disk was full")


def test_broken_files_are_told_with_reasons_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_dataset(tmp_path / "data", *(sound_episode(seed) for seed in range(6)))
    spoil(folder, monkeypatch)
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*.hdf5"))
    survey = survey_dataset(folder)
    assert [record.meta.seed for record in survey.records] == [5]
    told = {finding.file.removeprefix("episodes/"): (finding.kind, finding.why) for finding in find_bad(survey)}
    assert {name: kind for name, (kind, _) in told.items()} == {
        "r0000-s00000000.hdf5": "Damaged",
        "r0000-s00000001.hdf5": "Another version of the format",
        "r0000-s00000002.hdf5": "Values that cannot be right",
        "r0000-s00000003.hdf5": "Another task",
        "quarantine/r0000-s00000004.hdf5": "Set aside as damaged",
    }
    assert told["r0000-s00000000.hdf5"][1].startswith("truncated or extended: ")
    assert "reads versions 1, 2, 3" in told["r0000-s00000001.hdf5"][1]
    assert "NaN or infinity, first at step 3" in told["r0000-s00000002.hdf5"][1]
    assert "task: drone against drive" in told["r0000-s00000003.hdf5"][1]
    assert told["quarantine/r0000-s00000004.hdf5"][1] == "the disk was full"
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*.hdf5")) == before


def test_folders_without_anything_to_look_at_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DatasetError, match="is no dataset"):
        survey_dataset(tmp_path)
    empty = make_dataset(tmp_path / "empty")
    with pytest.raises(DatasetError, match="without an episode to look at"):
        survey_dataset(empty)
    (empty / "episodes" / "r0000-s00000001.hdf5").write_text("nonsense")
    with pytest.raises(DatasetError, match="1 files cannot be read, the first because: no ForestPilot episode"):
        survey_dataset(empty)
    assert main(["inspect", str(tmp_path)]) == 2
    assert "is no dataset" in capsys.readouterr().err
    with pytest.raises(ValueError, match="at least one"):
        Config(())
    with pytest.raises(ValueError, match="replays is -1"):
        Config((tmp_path,), replays=-1)


def test_the_longest_run_of_true() -> None:
    assert longest_run(np.array([False, True, True, False, True])) == 2
    assert longest_run(np.zeros(4, bool)) == 0
    assert longest_run(np.ones(3, bool)) == 3


def drive_by_hand(folder: Path, seeds: range, delay_steps: int) -> Path:
    """Somebody who does what the expert did some steps ago, with keys beside it."""
    mix = ScenarioMix(options=DroneOptions(density=(0.0667,)), speeds=(4.0, 4.0), width=32, height=24)
    dataset = Dataset.create(folder, task_spec_of(DRONE, mix), DRONE.bare_env_id)
    for seed in seeds:
        running, seen, over = (
            EpisodeRecorder("drone", mix.scenario(seed, DRONE), expert=True, record=True),
            [np.zeros(2)],
            False,
        )
        while not over and running.num_steps < 120:
            seen.append(running.info["expert_action"][1])
            late = seen[max(0, len(seen) - 1 - delay_steps)].astype(np.float32)
            over = running.step(np.array([late[0], 0.0], np.float32), ACTOR_HUMAN, keys=1 if late[0] > 0 else 2)
        episode = running.episode("human")
        dataset.add(dataclasses.replace(episode, expert_actions=None, expert_costs=None))
        running.close()
    return folder


def test_a_humans_delay_is_told_by_asking_the_expert_again(tmp_path: Path) -> None:
    survey = survey_dataset(drive_by_hand(tmp_path / "hand", range(3), delay_steps=2))
    hand = hand_of(survey, replays=3)
    assert hand is not None
    assert (hand.episodes, hand.compared, hand.held) == (3, 3, 1.0)
    assert hand.delay.trustworthy
    assert hand.delay.delay_s == pytest.approx(0.2, abs=0.05)
    without = hand_of(survey, replays=0)
    assert without is not None
    assert (without.compared, without.delay.trustworthy) == (0, False)
    excerpt = excerpt_of(survey)
    assert excerpt is not None
    assert 0 < excerpt.part.stop - excerpt.part.start <= 200


def test_an_experts_data_have_no_hand(tmp_path: Path) -> None:
    survey = survey_dataset(make_dataset(tmp_path / "data", sound_episode(0)))
    assert hand_of(survey, replays=3) is None
    assert excerpt_of(survey) is None


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Drives with cameras drawn anew, a mixed dataset with bad files inside a run, and a human's."""
    root = tmp_path_factory.mktemp("data")
    mix = ScenarioMix(options=DriveOptions(length=60.0, side_cameras="random"), width=32, height=24)
    collect(CollectConfig(out=str(root / "drives"), task="drive", episodes=2, workers=1, mix=mix))
    mixed = by_policy(sound_episode(5, dagger_round=1), [10, 11, 12, 40])
    mixed.labelled = mixed.actor == ACTOR_EXPERT
    human = by_policy(sound_episode(6, 200, dagger_round=2, policy_id="<script>alert(1)</script>"))
    human.human_actions, human.keys = human.actions.copy(), np.full(200, 5, np.uint8)
    folder = make_dataset(root / "run & <b>" / "dataset", sound_episode(0, outcome="collision"), mixed, human)
    (folder / RELABELLING_FILE).write_text(json.dumps({"delay": {"delay_s": 0.3, "note": "moved back by 0.30 s"}}))
    (folder / "episodes" / "r0003-s00000001.hdf5").write_text("half an episode")
    return [root / "drives", root / "run & <b>"]


def test_the_page_holds_everything_and_fetches_nothing(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main(["inspect", *map(str, folders), "--out", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "Damaged (1): episodes/r0003-s00000001.hdf5" in printed
    assert f"page: {page}" in printed
    text = page.read_text()
    assert "run &amp; &lt;b&gt;/dataset" in text
    assert "moved back by 0.30 s" in text
    assert "<script" not in text
    with open_browser(390, 844) as browser:
        for width, scheme in ((390, "light"), (390, "dark"), (1280, "light")):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            browser.set_size(width, 844)
            browser.driver.get(page.as_uri())
            assert not browser.has_horizontal_scrollbar()
        assert browser.console_errors() == []
        assert browser.foreign_requests(page.as_uri()) == []
        assert browser.script("return [...document.images].every(image => image.naturalWidth > 0)")
        assert browser.script("return document.images.length") == 2 * 6 * 3
        headings = browser.script("return [...document.querySelectorAll('h2')].map(each => each.textContent)")
        for heading in ("Side by side", "drives: Side cameras", "run & <b>/dataset: Bad episodes (2)"):
            assert heading in headings
        assert browser.script("return [...document.querySelectorAll('svg.diagram')].every(s => s.ariaLabel)")
        ids = browser.script("return [...document.querySelectorAll('[id]')].map(each => each.id)")
        assert len(ids) == len(set(ids))


def test_a_run_is_as_good_as_its_dataset_and_the_page_lies_in_it(folders: list[Path]) -> None:
    assert main(["inspect", str(folders[1])]) == 0
    assert (folders[1] / "dataset" / "inspect.html").stat().st_size > 50_000
    assert len(Dataset.open(folders[0])) == 2
