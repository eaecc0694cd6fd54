"""Windows for training: what is in them, how they are drawn, how much memory they take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, SpecMismatchError
from forestpilot.data_collection.episodes.episode import Episode
from forestpilot.data_collection.episodes.errors import BrokenEpisodeError
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.windows.drawing import MAX_OPEN_FILES
from forestpilot.data_collection.windows.side_labels import fixed_offsets, geometric_label
from forestpilot.data_collection.windows.windows import (
    CACHE_OVERHEAD_BYTES,
    Batch,
    SplitError,
    WindowReader,
)
from forestpilot.sim.envs.task_spec import side_view
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import make_spec, small_spec

STEPS = 20
ROOT = Path(__file__).parents[2]


def make_dataset(folder: Path, episodes: list[Episode]) -> Dataset:
    dataset = Dataset.create(folder, small_spec(), ENV_ID)
    for episode in episodes:
        dataset.add(episode)
    return dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data", [make_episode(seed, STEPS + seed) for seed in (5, 3, 4)])


def where(batch: Batch, row: int) -> tuple[int, int, int]:
    """(seed, first step, camera) that the pictures of a window tell."""
    seed, step, camera = batch.views[row, 0, 0, 0, 0].tolist()
    return seed, step, camera


def test_a_window_holds_consecutive_steps_of_one_episode_with_their_labels(dataset: Dataset) -> None:
    batch = WindowReader([dataset], 8).sample(64, np.random.default_rng(0))
    assert batch.views.shape == (64, 8, 1, 12, 16, 3)
    assert batch.mask.all()
    for row in range(64):
        seed, step, camera = where(batch, row)
        source, steps = make_episode(seed, STEPS + seed), slice(step, step + 8)
        assert camera == 1
        assert np.array_equal(batch.views[row, :, 0], source.observations["center"][steps])
        assert np.allclose(batch.state[row], source.observations["state"][steps], atol=1e-6)
        assert np.allclose(batch.goal[row], source.observations["goal"][steps], atol=1e-6)
        assert np.array_equal(batch.actions[row], source.expert_actions[steps, 1])
        assert np.array_equal(batch.costs[row], source.expert_costs[steps, 1])


def test_every_step_is_equally_likely_to_start_a_window(dataset: Dataset) -> None:
    batch = WindowReader([dataset], 1).sample(8000, np.random.default_rng(1))
    starts, counts = np.unique([where(batch, row)[:2] for row in range(8000)], axis=0, return_counts=True)
    total = dataset.total_steps
    assert len(starts) == total
    expected = 8000 / total
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < total + 5 * np.sqrt(2 * total)


def test_windows_reach_the_last_step_and_are_never_cut(dataset: Dataset) -> None:
    batch = WindowReader([dataset], 8).sample(2000, np.random.default_rng(2))
    starts = {where(batch, row)[:2] for row in range(2000)}
    for seed in (3, 4, 5):
        assert max(step for found, step in starts if found == seed) == STEPS + seed - 8


def test_a_short_episode_is_padded_and_masked(tmp_path: Path) -> None:
    reader = WindowReader([make_dataset(tmp_path, [make_episode(7, 3)])], 8)
    out = reader.sample(4, np.random.default_rng(0))
    assert out.mask.tolist() == [[True] * 3 + [False] * 5] * 4
    for values in (out.views, out.state, out.goal, out.actions, out.costs):
        assert not values[:, 3:].any()
        assert values[:, :3].any()


def test_side_cameras_tell_pictures_state_goal_and_labels_at_their_pose(dataset: Dataset) -> None:
    batch = WindowReader([dataset], 4, side_labels="asked").sample(300, np.random.default_rng(0))
    spec = small_spec()
    cameras = [where(batch, row)[2] for row in range(300)]
    assert min(np.bincount(cameras, minlength=3)) > 70
    for row, camera in enumerate(cameras):
        seed, step, _ = where(batch, row)
        source, steps = make_episode(seed, STEPS + seed), slice(step, step + 4)
        yaw = (spec.side_yaw_rad, 0.0, -spec.side_yaw_rad)[camera]
        state, goal = side_view(spec, source.observations["state"][steps], source.observations["goal"][steps], yaw)
        assert np.allclose(batch.state[row], state, atol=1e-6)
        assert np.allclose(batch.goal[row], goal, atol=1e-6)
        assert np.array_equal(batch.actions[row], source.expert_actions[steps, camera])
        assert np.array_equal(batch.costs[row], source.expert_costs[steps, camera])


def test_side_probabilities_are_followed(dataset: Dataset) -> None:
    reader = WindowReader([dataset], 2, side_labels="asked", side_probabilities=(0.0, 1.0, 0.0))
    batch = reader.sample(100, np.random.default_rng(0))
    assert {where(batch, row)[2] for row in range(100)} == {1}


def test_three_cameras_come_in_their_order(dataset: Dataset) -> None:
    batch = WindowReader([dataset], 4, cameras=("left", "center", "right")).sample(10, np.random.default_rng(0))
    assert batch.views.shape == (10, 4, 3, 12, 16, 3)
    assert np.array_equal(batch.views[:, :, :, 0, 0, 2], np.broadcast_to([0, 1, 2], (10, 4, 3)))


def test_human_episodes_get_geometric_side_labels(tmp_path: Path) -> None:
    episode = make_episode(9, expert=False, policy_id="human")
    episode.actor[:] = ACTOR_HUMAN
    reader = WindowReader([make_dataset(tmp_path, [episode])], 4, side_labels="asked")
    batch = reader.sample(50, np.random.default_rng(0))
    assert batch.costs is None
    assert batch.mask.all()
    spec = small_spec()
    for row in range(50):
        _, step, camera = where(batch, row)
        wanted = geometric_label(spec, episode.actions[step : step + 4], fixed_offsets(spec)[camera], np.zeros(4))
        assert np.allclose(batch.actions[row], wanted, atol=1e-6)


def test_steps_of_a_policy_without_an_expert_are_masked(tmp_path: Path) -> None:
    episode = make_episode(9, expert=False)
    episode.actor[:] = ACTOR_HUMAN
    episode.actor[:10] = ACTOR_POLICY
    batch = WindowReader([make_dataset(tmp_path, [episode])], 4).sample(50, np.random.default_rng(0))
    for row in range(50):
        first = where(batch, row)[1]
        assert batch.mask[row].tolist() == [step >= 10 for step in range(first, first + 4)]


def test_a_policy_episode_without_an_expert_is_refused(tmp_path: Path) -> None:
    episode = make_episode(9, expert=False, policy_id="student")
    episode.actor[:] = ACTOR_POLICY
    with pytest.raises(DatasetError, match=r"student.*nothing to learn"):
        WindowReader([make_dataset(tmp_path, [episode])], 4)


def darker(images: np.ndarray, state: np.ndarray) -> np.ndarray:
    """A preparation that depends on picture and state, frame by frame."""
    return (images[:, 2:10] // 2 + (np.abs(state[:, :1, None, None]) * 10).astype(np.uint8)).astype(np.uint8)


@pytest.mark.parametrize("options", [{}, {"side_labels": "asked"}, {"cameras": ("left", "center", "right")}])
def test_the_cache_bound_changes_memory_but_not_the_samples(tmp_path: Path, options: dict) -> None:
    episodes = [make_episode(seed, 3 + 4 * seed) for seed in range(6)]
    dataset = make_dataset(tmp_path, episodes)
    whole = WindowReader([dataset], 8, prepare=darker, **options)
    for bound in (0, whole.cache_bytes_used // 3, whole.cache_bytes_used - 1):
        part = WindowReader([dataset], 8, prepare=darker, cache_bytes=bound, **options)
        assert part.cache_bytes_used <= bound
        for ours, theirs in zip(whole.sample(64, np.random.default_rng(3)), part.sample(64, np.random.default_rng(3))):
            assert np.array_equal(ours, theirs)


def test_prepare_is_given_the_state_as_its_camera_sees_it(dataset: Dataset) -> None:
    seen: dict[int, np.ndarray] = {}

    def remember(images: np.ndarray, state: np.ndarray) -> np.ndarray:
        if images[0].any():
            seen[int(images[0, 0, 0, 2])] = state
        return images

    WindowReader([dataset], 4, cameras=("left", "center", "right"), prepare=remember)
    spec, source = small_spec(), make_episode(5, STEPS + 5)
    state, goal = source.observations["state"][:-1], source.observations["goal"][:-1]
    for camera, yaw in enumerate((spec.side_yaw_rad, 0.0, -spec.side_yaw_rad)):
        assert np.allclose(seen[camera], side_view(spec, state, goal, yaw)[0], atol=1e-6)


def test_an_extended_reader_draws_what_a_new_one_draws(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, [make_episode(seed) for seed in (4, 6)])
    reader = WindowReader([dataset], 4)
    other = Dataset.open(tmp_path)
    for seed in (5, 1):
        other.add(make_episode(seed))
    assert reader.extend() == 2
    assert reader.extend() == 0
    fresh = WindowReader([Dataset.open(tmp_path)], 4)
    for ours, theirs in zip(reader.sample(32, np.random.default_rng(0)), fresh.sample(32, np.random.default_rng(0))):
        assert np.array_equal(ours, theirs)


def test_equal_generators_draw_equal_batches_and_out_is_overwritten(dataset: Dataset) -> None:
    reader = WindowReader([dataset], 4, side_labels="asked")
    first = reader.sample(16, np.random.default_rng(0))
    kept = first.views.copy()
    again = reader.sample(16, np.random.default_rng(0))
    assert np.array_equal(again.views, kept)
    reused = reader.sample(16, np.random.default_rng(1), out=first)
    assert reused.views is first.views
    assert not np.array_equal(first.views, kept)


@pytest.mark.parametrize(("seed", "split"), [(1_000_000, "validation"), (2_000_000, "test"), (7_654_321, "test")])
def test_worlds_of_another_split_are_refused(tmp_path: Path, seed: int, split: str) -> None:
    dataset = make_dataset(tmp_path, [make_episode(1), make_episode(seed)])
    with pytest.raises(SplitError, match=f"{split} split; allowed here: train"):
        WindowReader([dataset], 4)
    assert WindowReader([dataset], 4, allowed_splits=("train", split)).num_episodes == 2


def test_datasets_of_different_tasks_are_refused(tmp_path: Path, dataset: Dataset) -> None:
    other = Dataset.create(tmp_path / "other", small_spec(control_hz=20), ENV_ID)
    with pytest.raises(SpecMismatchError, match="control_hz: 10 against 20"):
        WindowReader([dataset, other], 4)


def test_several_datasets_are_drawn_from_together(tmp_path: Path, dataset: Dataset) -> None:
    other = make_dataset(tmp_path / "other", [make_episode(30)])
    batch = WindowReader([dataset, other], 4).sample(200, np.random.default_rng(0))
    assert {where(batch, row)[0] for row in range(200)} == {3, 4, 5, 30}


def test_an_episode_damaged_after_opening_is_quarantined(dataset: Dataset) -> None:
    path = dataset.episodes[0].path
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="truncated"):
        reader = WindowReader([dataset], 4)
    assert reader.num_episodes == 2
    assert (dataset.folder / "quarantine" / path.name).exists()


def test_an_empty_dataset_says_so(tmp_path: Path) -> None:
    reader = WindowReader([make_dataset(tmp_path, [])], 4)
    with pytest.raises(DatasetError, match="collect some first"):
        reader.sample(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length"),
        ({"length": 4, "cameras": ("left",)}, "cameras"),
        ({"length": 4, "cameras": ("left", "center", "right"), "side_labels": "asked"}, "side_labels"),
        ({"length": 4, "side_labels": "guessed"}, "'guessed'; allowed: asked, geometric"),
        ({"length": 4, "side_probabilities": (1.0, 1.0, 1.0)}, "sum to 1"),
        ({"length": 4, "prepare": lambda images, state: images / 2}, "prepare returned"),
    ],
)
def test_arguments_out_of_range_are_refused(dataset: Dataset, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowReader([dataset], **options)


MEASURE_MEMORY = """
import os
import sys
import numpy as np
from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.windows.windows import WindowReader

def peak():  # getrusage would start from the parent's peak
    return 1024 * int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])

dataset = Dataset.open(sys.argv[1])
for bounds in sys.argv[2:]:
    cache_bytes, disk_cache_bytes = map(int, bounds.split(","))
    child = os.fork()  # each in a process of its own, whose peak begins at what it takes now
    if child:
        assert os.waitpid(child, 0)[1] == 0
        continue
    before = peak()
    reader = WindowReader(
        [dataset], 8, side_labels="asked", cache_bytes=cache_bytes, disk_cache_bytes=disk_cache_bytes
    )
    rng = np.random.default_rng(0)
    for _ in range(10):
        reader.sample(32, rng)
    print(reader.cache_bytes_used, peak() - before, flush=True)
    os._exit(0)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_stays_under_the_bound_for_a_dataset_larger_than_it(tmp_path: Path) -> None:
    spec = make_spec()
    dataset = Dataset.create(tmp_path, spec, ENV_ID)
    for seed in range(48):
        dataset.add(make_episode(seed, 100, spec))
    bound = 10 * 2**20
    bounds = (f"{bound},0", f"{2**30},0", f"0,{2**30}")
    command = [sys.executable, "-c", MEASURE_MEMORY, str(tmp_path), *bounds]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (used, grown), (whole_used, whole_grown), (kept, beside_disk) = (
        map(int, line.split()) for line in done.stdout.splitlines()
    )
    assert 0 < used <= bound
    assert grown <= bound + CACHE_OVERHEAD_BYTES
    assert bound + CACHE_OVERHEAD_BYTES < whole_used <= whole_grown  # or the first figures would prove nothing
    assert kept == 0
    assert beside_disk <= CACHE_OVERHEAD_BYTES, "decoded steps on disk take no memory of the process"


def test_a_forked_process_opens_its_files_anew(dataset: Dataset) -> None:
    reader = WindowReader([dataset], 4, cache_bytes=0)
    wanted = reader.sample(8, np.random.default_rng(0)).views
    handles = list(reader._files.values())
    reader._process_id -= 1  # as after a fork
    assert np.array_equal(reader.sample(8, np.random.default_rng(0)).views, wanted)
    assert not set(map(id, handles)) & set(map(id, reader._files.values()))


def test_only_so_many_files_are_open_at_once(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, [make_episode(seed, 4) for seed in range(MAX_OPEN_FILES + 8)])
    reader = WindowReader([dataset], 4, cache_bytes=0)
    reader.sample(300, np.random.default_rng(0))
    assert len(reader._files) == MAX_OPEN_FILES
    reader.close()
    assert not reader._files
    assert reader.sample(2, np.random.default_rng(0)).mask.all()


def test_an_episode_damaged_after_the_reader_checked_it_is_named(dataset: Dataset) -> None:
    reader = WindowReader([dataset], 4, cache_bytes=0)
    for header in dataset.episodes:
        header.path.write_bytes(header.path.read_bytes()[:2000])
    with pytest.raises(BrokenEpisodeError, match=r"r0000-s0000000\d\.hdf5 .*open the dataset again"):
        reader.sample(8, np.random.default_rng(0))


def test_describe_tells_episodes_steps_and_megabytes(dataset: Dataset) -> None:
    text = WindowReader([dataset], 4, cache_bytes=0).describe()
    assert "3 episodes, 72 labelled steps" in text
    assert "0 of 3 in memory" in text
    assert "MB on disk" in text


def test_a_humans_labels_are_moved_back_and_nobody_elses(tmp_path: Path) -> None:
    def windows(episode: Episode, delay_s: float) -> Batch:
        reader = WindowReader([make_dataset(tmp_path / f"{delay_s}-{episode.actor[0]}", [episode])], 20,
                              human_delay_s=delay_s)  # fmt: skip
        return reader.sample(1, np.random.default_rng(0))

    def driven_by(actor: int) -> Episode:
        episode = make_episode(3, STEPS, expert=False)
        episode.actor[:] = actor
        return episode

    human = driven_by(ACTOR_HUMAN)
    batch = windows(human, 0.3)
    assert np.array_equal(batch.actions[0, :17], human.actions[3:]), "at 10 Hz 0.3 s are three steps"
    assert batch.mask[0].tolist() == [True] * 17 + [False] * 3
    assert np.array_equal(windows(human, 0.0).actions[0], human.actions)
    expert = driven_by(ACTOR_EXPERT)
    assert np.array_equal(windows(expert, 0.3).actions[0], expert.actions)


def test_only_the_time_of_a_takeover_is_moved_back(tmp_path: Path) -> None:
    episode = make_episode(3, STEPS, expert=False)
    episode.actor[:] = ACTOR_POLICY
    episode.actor[6:12] = ACTOR_HUMAN
    reader = WindowReader([make_dataset(tmp_path, [episode])], 20, human_delay_s=0.2)
    batch = reader.sample(1, np.random.default_rng(0))
    assert np.flatnonzero(batch.mask[0]).tolist() == [6, 7, 8, 9]
    assert np.array_equal(batch.actions[0, 6:10], episode.actions[8:12])
