"""`forestpilot collect`: let the expert, or a human, fly or drive and record the episodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forestpilot.data_collection.episodes.dataset import require_same_task
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.pilots import PilotFactory
from forestpilot.data_collection.rollouts.pool import Job
from forestpilot.data_collection.rollouts.scenarios import task_spec_of
from forestpilot.launch.screens import ScreenConfig
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.sim.outcomes import Outcome
from forestpilot.sim.tasks import TASKS

if TYPE_CHECKING:
    from forestpilot.data_collection.episodes.dataset import Dataset
    from forestpilot.data_collection.people.live import LiveSummary


@dataclass(frozen=True)
class Config(CollectConfig):
    """Collect demonstrations, by the expert or with your own hands; killed or interrupted, the same command goes on."""

    web: bool = False
    """With the keyboard: steer in a browser instead of a window, for a machine without a screen."""
    screen: ScreenConfig = ScreenConfig()
    """With the keyboard: what you steer by."""


def run(config: Config) -> None:
    """Collect, then print what the dataset holds."""
    if config.pilot == "keyboard":
        _run_keyboard(config)
        return
    learner = learner_of(config) if config.noise.learner else None
    print(_held(config, collect(config, make_progress(), learner=learner)))


def learner_of(config: CollectConfig) -> PilotFactory:
    """The policy that the noise looks at, refused before any work where it is none of this task.

    Raises:
        CheckpointError: there is no policy, or a damaged one.
        SpecMismatchError: it is of another task.
    """
    from forestpilot.policies.evaluation.pilots import PolicyFactory
    from forestpilot.policies.networks.checkpoint import load_policy

    folder = config.noise.learner
    require_same_task(
        task_spec_of(TASKS.get(config.task), config.mix), load_policy(folder).spec, f"the policy {folder}"
    )
    return PolicyFactory(folder, "learner")


def _run_keyboard(config: Config) -> None:
    """Let a human drive; Ctrl-C saves, says what there is and is then an interruption like any other."""
    summaries: list[LiveSummary] = []
    dataset = collect(config, roll_in=lambda job: summaries.append(roll_in_by_keyboard(config, job)))
    print(_held(config, dataset))
    for summary in summaries:
        print("\n".join(describe_session(summary)))
    if len(dataset):
        head = TASKS.get(config.task).head_for_actions
        print(f"look at it:  forestpilot inspect {config.out}    (says how late you steer, for --human-delay)")
        print(f"train on it: forestpilot train --data {config.out} --policy.head {head} --out runs/mine")
    if any(summary.interrupted for summary in summaries):
        raise KeyboardInterrupt


def roll_in_by_keyboard(config: Config, job: Job) -> LiveSummary:
    """Run a job's episodes with a human at a window or a browser.

    Raises:
        ForestPilotError: neither can be opened; says what to do.
    """
    from forestpilot.data_collection.people.drivers import HumanDriver
    from forestpilot.data_collection.people.live import LiveSession
    from forestpilot.launch.cockpit.cockpit import Cockpit
    from forestpilot.launch.screens import open_screen

    screen = open_screen(config.screen, config.web, f"ForestPilot: {job.task} by keyboard")
    try:
        return LiveSession(screen, Cockpit(screen.size)).run(job, HumanDriver())
    finally:
        screen.close()


def describe_session(summary: LiveSummary) -> list[str]:
    """A human's session in a line or two."""
    counts = [_plural(summary.episodes, "episode")]
    if summary.discarded:
        counts.append(f"{summary.discarded} discarded")
    counts += [_plural(summary.steps, "step"), f"{summary.late_steps} late", f"{summary.seconds:.0f} s"]
    lines = [f"this session: {', '.join(counts)}"]
    if summary.takeovers:
        lines.append(
            f"taken over {_plural(summary.takeovers, 'time')}, {summary.mean_takeover_s:.1f} s each on average; "
            f"{summary.human_steps} of {summary.steps} steps driven by hand"
        )
    return lines


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _held(config: Config, dataset: Dataset) -> str:
    successes = sum(header.meta.outcome == Outcome.SUCCESS for header in dataset.episodes)
    return f"{config.out}: {len(dataset)} episodes, {dataset.total_steps} steps, {successes} reached the goal"


VERB = Verb(Config, run, resumes=True)
