"""Demonstrations that policies of a study learn from, or are held against: recorded where they are not there yet."""

from __future__ import annotations

from collections.abc import Sequence

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix, task_spec_of
from forestpilot.launch.studies.study import Bench
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.tasks import TASKS

FOLDER = "demonstrations"
SHORT_OF = 0.9
"""Share of the episodes that are missing, by the mean length of those that are there, that are recorded at once."""


def demonstrate(name: str, task: str, mix: ScenarioMix, worlds: range, workers: int, bench: Bench) -> Dataset:
    """The expert's episodes in some training worlds.

    Args:
        name: of the dataset, among the demonstrations of the study.
        task: name of the task.
        mix: which worlds and speeds.
        worlds: the worlds.
        workers: number of processes.
        bench: place of work.
    """
    out = str(bench.folder / FOLDER / name)
    collecting = CollectConfig(out, task, episodes=len(worlds), seed=worlds.start, workers=workers, mix=mix)
    return collect(collecting, bench.progress, bench.pool)


def demonstrate_labels(
    name: str, task: str, mix: ScenarioMix, first_world: int, labels: int, workers: int, bench: Bench
) -> Dataset:
    """The expert's episodes in training worlds, from the first on: no fewer than have so many labels.

    How many they are follows from their lengths alone, so that a killed study goes on with the same.

    Args:
        name: of the dataset, among the demonstrations of the study.
        task: name of the task.
        mix: which worlds and speeds.
        first_world: the first world.
        labels: how many labelled states at least; the last episode makes it more.
        workers: number of processes.
        bench: place of work.
    """
    episodes = 1
    while True:
        worlds = range(first_world, first_world + episodes)
        dataset = demonstrate(name, task, mix, worlds, workers, bench)
        found = sum(header.num_labels for header in dataset.episodes if header.meta.seed in worlds)
        if found >= labels:
            return dataset
        # A little fewer than it may take, so that the last step is a small one.
        missing = SHORT_OF * (labels - found) * episodes / max(found, 1)
        episodes += max(1, int(missing))


def parts_of(numbers: Sequence[int], count: int) -> list[tuple[int, int]]:
    """Where the parts begin and end that make up the first `count` demonstrations: one for each of the numbers that are
    compared, so that a smaller number is a prefix of a larger one.

    Args:
        numbers: ascending.
        count: one of them.
    """
    ends = [number for number in numbers if number <= count]
    return list(zip([0, *ends], ends))


def demonstrate_first(
    name: str, task: str, mix: ScenarioMix, seeds: range, numbers: Sequence[int], workers: int, bench: Bench
) -> list[Dataset]:
    """The expert's episodes in training worlds, as the datasets of `parts_of`: none is recorded twice.

    Args:
        name: of the datasets, to which the first episode's number is added.
        task: name of the task.
        mix: which worlds and speeds.
        seeds: the worlds; as many as one of the numbers.
        numbers: of demonstrations that are compared, ascending.
        workers: number of processes.
        bench: place of work.
    """
    return [
        demonstrate(f"{name}-from-{done}", task, mix, seeds[done:upto], workers, bench)
        for done, upto in parts_of(numbers, len(seeds))
    ]


def hold_out(name: str, task_name: str, mix: ScenarioMix, episodes: int, bench: Bench) -> Dataset:
    """The expert's episodes in the first validation worlds.

    Args:
        name: of the dataset, in the study's folder.
        task_name: name of the task.
        mix: which worlds and speeds.
        episodes: how many.
        bench: place of work.
    """
    task = TASKS.get(task_name)
    folder = bench.folder / name
    dataset = Dataset.create(folder, task_spec_of(task, mix), task.bare_env_id)
    missing = [seed for seed in seeds_of("validation", episodes) if not dataset.has(0, seed)]
    if missing:
        scenarios = tuple(mix.scenario(seed, task) for seed in missing)
        bench.pool.run(Job(task_name, scenarios, ExpertPilot, dataset=str(folder)), bench.progress, "demonstrate")
        dataset.refresh()
    return dataset
