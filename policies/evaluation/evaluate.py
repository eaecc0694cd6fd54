"""Evaluation: policies fly or drive in worlds they have never seen; and how sure one can be of the result."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.migration import episodes_folder
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.run import Run, RunError
from forestpilot.data_collection.episodes.seals import set_aside, set_aside_damaged
from forestpilot.data_collection.rollouts.pool import Job, RolloutPool, borrowed, require_pool
from forestpilot.data_collection.rollouts.pools import PoolConfig, pool_field
from forestpilot.data_collection.rollouts.results import EpisodeFileError, EpisodeResult, load_result, result_path
from forestpilot.data_collection.rollouts.scenarios import Scenario, ScenarioMix
from forestpilot.policies.evaluation.entrants import Entrant, make_entrant, parse_policy, policy_names, require_pilot
from forestpilot.policies.evaluation.gap import ImitationGap, imitation_gap
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow, read_outcomes
from forestpilot.policies.evaluation.scores import Score, read_summary, write_results
from forestpilot.policies.networks.device import DeviceName, require_device
from forestpilot.sim.cameras import MAX_SIZE_PX, MIN_SIZE_PX
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.envs.dashboards import dashboard_of
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.experts.config import ExpertConfig, OwnConfig
from forestpilot.sim.ranges import EPISODES, PROCESSES, SEEDS, SPEEDS_MPS, Range, require_ranges
from forestpilot.sim.registry import name_of, part_of
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.tasks import DEFAULT_TASK, TASKS, NoOptions, TaskOptions, task_options

EXPERT = "expert"
"""The baseline that others are held against, and the folder of its episodes where it is not among the policies."""
CAMERA_FIELDS = ("renderer", "width", "height", "control_hz")
"""Settings of what policies see."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Fly or drive policies through test worlds; killed or interrupted, the same command goes on where it stopped."""

    policy: tuple[str, ...] = ("pretrained",)
    """Folder of a checkpoint, pretrained, one of the task's baselines (blind, expert, ...), onnx:FILE for an exported
    policy, lerobot:FOLDER for one that LeRobot has trained, or package.module:factory for a pilot of your own; NAME=
    before it names it. Several are compared on the same worlds."""
    out: str = "runs/evaluation"
    """Folder for outcomes.csv, summary.json and the episodes that `replay` repeats."""
    task: str = field(default=DEFAULT_TASK, metadata=name_of("forestpilot.sim.tasks:TASKS"))
    """What to do, for example drone or drive."""
    split: str = "test"
    """Worlds to report on: validation or test."""
    episodes: Annotated[int, EPISODES] = 100
    """Number of worlds for each policy."""
    seed_offset: Annotated[int, SEEDS] = 0
    """Skip this many worlds of the split."""
    speed: Annotated[float | None, SPEEDS_MPS] = None
    """Speed set point in m/s, 1 to 12 (drone) or 20 (drive); by default 5 (drone) or 10 (drive)."""
    preset: str = ""
    """Forest: default (trunks 0.24-0.70 m) or loquercio (0.6 m). Road: winding, easy, junctions or obstacles. Empty
    for the first of these."""
    options: TaskOptions = field(default=NoOptions(), metadata=task_options("evaluation_options"))
    """What else the task's worlds have, and by which rule it is judged; by default as the task is judged."""
    dropped_pictures: Annotated[float, Range(0, 1)] = 0.0
    """Share of the steps at which all three cameras are black, as when a picture does not arrive; state and goal are
    told. Which steps follows from the world's seed."""
    expert: ExpertConfig = field(default=OwnConfig(), metadata=part_of("forestpilot.sim.experts:EXPERTS"))
    """Who the baseline `expert` is: the task's `own`, or one with habits."""
    workers: Annotated[int, PROCESSES] = field(default_factory=usable_cores)
    """Number of processes; by default one per core that it may use."""
    pool: PoolConfig = pool_field()
    """Who runs the episodes: processes of this machine (`local`), or the cores of a Ray cluster (`ray`)."""
    device: DeviceName = "cpu"
    """What checkpoints compute with. They are small and act on eight worlds at a time, so that a GPU seldom pays; some
    worlds may end otherwise on it."""
    renderer: str = field(default="", metadata=name_of("forestpilot.sim.rendering:RENDERERS"))
    """Renderer; empty for the one that the policy was trained on."""
    width: Annotated[int, Range(MIN_SIZE_PX[0], MAX_SIZE_PX[0])] = 64
    """Width of each camera image in pixels, for the baselines; a checkpoint brings its own."""
    height: Annotated[int, Range(MIN_SIZE_PX[1], MAX_SIZE_PX[1])] = 48
    """Height of each camera image in pixels, for the baselines."""
    control_hz: Annotated[int, Range(1, 240)] = 10
    """Actions per second, for the baselines."""
    imitation_gap: bool = False
    """Tell how far each policy's return falls short of the expert's, world by world. The expert goes through the same
    worlds for it, where it is not among the policies; its episodes lie in the folder `expert`."""

    def __post_init__(self) -> None:
        require_ranges(self)
        object.__setattr__(self, "policy", tuple(self.policy))
        if self.split not in ("validation", "test"):
            raise InvalidArgumentError(
                f"split is {self.split!r}; allowed: validation, test. Results on training worlds mean nothing"
            )
        if not self.policy:
            raise InvalidArgumentError("policy is empty; give at least one")
        self._require_task()
        seeds_of(self.split, self.episodes, self.seed_offset)

    def _require_task(self) -> None:
        """Raise ValueError where an argument is out of the task's range."""
        task = TASKS.get(self.task)
        if self.preset and self.preset not in task.presets:
            raise InvalidArgumentError(f"preset is {self.preset!r}; allowed: {', '.join(task.presets)}")
        if not 1.0 <= self.speed_mps <= task.max_speed_mps:
            raise InvalidArgumentError(f"speed is {self.speed} m/s; allowed: 1 to {task.max_speed_mps:g}")
        if not isinstance(self.options, task.Options):
            if not isinstance(self.options, NoOptions):
                given = type(self.options).__name__
                taken = task.Options.__name__
                raise InvalidArgumentError(f"options are {given}; the {task.name} task takes {taken}")
            object.__setattr__(self, "options", task.evaluation_options)
        for policy in self.policy:
            require_pilot(policy, task)

    @property
    def speed_mps(self) -> float:
        """The speed set point: the one given, or the task's ordinary one."""
        if self.speed is None:
            return TASKS.get(self.task).speed_mps
        return float(self.speed)

    @property
    def worlds(self) -> str:
        """The preset: the one given, or the task's ordinary one."""
        return self.preset or TASKS.get(self.task).presets[0]

    @property
    def counts_interventions(self) -> bool:
        """True where episodes go on after a mistake, which is counted."""
        return self.options.counts_interventions

    def scenarios(
        self,
        renderer: str = "",
        control_hz: int = 0,
        width: int = 0,
        height: int = 0,
        goal_kind: str = "",
        dashboard: str = "",
    ) -> list[Scenario]:
        """The scenarios that a policy goes through, one for each world.

        Args:
            renderer: that the policy sees through; by default the one given, or raycast.
            control_hz: actions per second; by default as given, like what follows.
            width: of its pictures in pixels.
            height: of its pictures in pixels.
            goal_kind: how its goals are told; by default as the options say.
            dashboard: what it was taught with; by default as the options say.
        """
        options = self.options.with_goals_told(goal_kind) if goal_kind else self.options
        mix = ScenarioMix(
            presets=(self.worlds,),
            speeds=(self.speed_mps, self.speed_mps),
            options=options.with_dashboard(dashboard) if dashboard else options,
            expert=self.expert,
            control_hz=control_hz or self.control_hz,
            width=width or self.width,
            height=height or self.height,
            renderer=renderer or self.renderer or ScenarioMix().renderer,
            dropped_pictures=self.dropped_pictures,
        )
        task = TASKS.get(self.task)
        return [mix.scenario(seed, task) for seed in seeds_of(self.split, self.episodes, self.seed_offset)]

    def describe(self) -> str:
        """The worlds in words, for example `100 test forests: default forest, 1/25 trees/m2, 5 m/s`."""
        task = TASKS.get(self.task)
        kinds = dict.fromkeys(task.describe(scenario.env_kwargs) for scenario in self.scenarios())
        dropped = f"; {100 * self.dropped_pictures:g} % of the pictures dropped" if self.dropped_pictures else ""
        return f"{self.episodes} {self.split} {task.words.worlds}: {'; '.join(kinds)}{dropped}"


def evaluate(config: EvaluateConfig, progress: Progress | None = None, pool: RolloutPool | None = None) -> list[Score]:
    """Send every policy through the same worlds; writes outcomes.csv, summary.json, config.json and episodes/.

    Returns:
        One score per policy, in the order given.

    Raises:
        CheckpointError: a checkpoint cannot be loaded.
        ForestPilotError: a policy is neither a baseline nor a folder nor a factory, or is of another task.
        RunError: the folder holds another evaluation: of other worlds, of a policy that is not among these, or of other
            weights under the same name.
    """
    progress = progress or SilentProgress()
    require_pool(pool, config.pool)
    require_device(config.device)
    task = TASKS.get(config.task)
    names = policy_names(config.policy)
    # All are looked at before the first one starts: a wrong name must not wait behind an hour of episodes.
    entrants = [make_entrant(policy, task, name, config.device) for policy, name in zip(config.policy, names)]
    scenarios = {entrant.name: _scenarios(config, entrant, progress) for entrant in entrants}
    rows: list[OutcomeRow] = []
    run = Run(Path(config.out), "evaluate", config)
    with written_by_one(run.folder, progress), run.recording():
        _require_own_folder(run, names)
        done = {
            entrant.name: _stored_episodes(run.folder, entrant, scenarios[entrant.name], progress)
            for entrant in entrants
        }
        run.record_first()
        with borrowed(pool, min(config.workers, config.episodes), config.pool) as own:
            for entrant in entrants:
                episodes = _run_entrant(config, entrant, scenarios[entrant.name], done[entrant.name], own, progress)
                rows += [OutcomeRow.of_result(result, entrant.name, config.task) for result in episodes]
            gaps = _gaps(config, entrants, scenarios, rows, progress, own) if config.imitation_gap else []
        set_aside_damaged(run.folder, ("outcomes.csv", "summary.json"), progress)
        versions = {name: _versions(name, results.values(), progress) for name, results in done.items()}
        about = _about(config, entrants, scenarios, versions)
        return write_results(run.folder, rows, config.counts_interventions, about, gaps)


def _require_own_folder(run: Run, names: Sequence[str]) -> None:
    """Raise RunError where a folder holds what this evaluation, of policies of these names, would overwrite. The same
    one may get more worlds, or fewer, and more policies."""
    stored = run.stored()
    if stored is None:
        _require_no_other_table(run.folder, names)
        return
    try:
        there = from_plain(EvaluateConfig, stored.config, str(stored.path))
    except (ForestPilotError, TypeError, ValueError):  # of another version: its episodes tell whether they are the same
        return
    asked = run.config
    assert isinstance(asked, EvaluateConfig)
    different = []
    settings = ("task", "split", "seed_offset", "speed_mps", "worlds", "options", "dropped_pictures", "expert")
    for name in (*settings, *CAMERA_FIELDS):
        if getattr(there, name) != getattr(asked, name):
            different.append(f"{name}: {_plain_text(there, name)} there, {_plain_text(asked, name)} asked")
    if missing := [policy for policy in _named(there) if policy not in _named(asked)]:
        different.append(f"policy: {' '.join(missing)} there, {' '.join(_named(asked))} asked")
    if different:
        raise RunError(
            f"{run.folder} holds another evaluation ({'; '.join(different)}); give another --out, or delete it: "
            f"rm -r {run.folder}"
        )


def _require_no_other_table(folder: Path, names: Sequence[str]) -> None:
    """Raise RunError where a folder without a config has an outcomes.csv with other policies than these."""
    try:
        rows = read_outcomes(folder / "outcomes.csv")
    except (OSError, csv.Error, KeyError, TypeError, ValueError, ForestPilotError):  # there is none, or a damaged one
        return
    if others := sorted({row.policy for row in rows} - set(names)):
        raise RunError(
            f"{folder} holds an outcomes.csv of {', '.join(others)}, which would be lost; give another --out, or "
            f"delete it: rm -r {folder}"
        )


def _named(config: EvaluateConfig) -> list[str]:
    """What acts, with the name that its episodes are filed under where that is another."""
    named = []
    for name, policy in zip(policy_names(config.policy), config.policy):
        target = parse_policy(policy).target.rstrip("/")
        named.append(target if target == name else f"{name}={target}")
    return named


def _plain_text(config: EvaluateConfig, name: str) -> str:
    """A setting as an error tells it."""
    value = getattr(config, name)
    if isinstance(value, TaskOptions):
        return ", ".join(f"{key} {given}" for key, given in to_plain(value).items())
    return str(value)


def _stored_episodes(
    folder: Path, entrant: Entrant, scenarios: Sequence[Scenario], progress: Progress
) -> dict[int, EpisodeResult]:
    """The episodes of a policy that an interrupted run has stored, by seed; damaged ones are set aside.

    Raises:
        RunError: what is stored under the policy's name is of other weights or code, or of other worlds.
    """
    found: dict[int, EpisodeResult] = {}
    different = _other_fingerprint(folder, entrant)
    for scenario in scenarios:
        path = result_path(episodes_folder(folder), entrant.name, scenario.seed)
        if not path.exists():
            continue
        try:
            stored = load_result(path)
        except EpisodeFileError as error:
            progress.note(f"warning: {error}: it is now {set_aside(path)}, and is run again")
            continue
        if stored.fingerprint != entrant.fingerprint:
            different = f"fingerprint {stored.fingerprint} there, {entrant.fingerprint} asked"
        elif stored.scenario != scenario:
            there, asked = stored.scenario.env_kwargs, scenario.env_kwargs
            names = [name for name in {**there, **asked} if there.get(name) != asked.get(name)]
            different = "; ".join(f"{name}: {there.get(name)} there, {asked.get(name)} asked" for name in names)
        found[scenario.seed] = stored
    if different:
        raise RunError(
            f"{folder} holds episodes of another {entrant.name!r} ({different}), which would be lost; give another "
            f"--out or another name (NAME={entrant.target}), or delete it: rm -r {folder}"
        )
    return found


def _other_fingerprint(folder: Path, entrant: Entrant) -> str:
    """In what the results in a folder are of another policy of the same name; empty where they are not."""
    try:
        policies = read_summary(folder).get("policies", [])
        known = {policy["name"]: policy["fingerprint"] for policy in policies}
    except (OSError, ValueError, KeyError, TypeError, ForestPilotError):  # none is there, or it is written anew
        return ""
    there = known.get(entrant.name, entrant.fingerprint)
    return "" if there == entrant.fingerprint else f"fingerprint {there} there, {entrant.fingerprint} asked"


def _run_entrant(
    config: EvaluateConfig,
    entrant: Entrant,
    scenarios: Sequence[Scenario],
    done: dict[int, EpisodeResult],
    pool: RolloutPool,
    progress: Progress,
) -> list[EpisodeResult]:
    """All episodes of one policy; those that are done are not run again."""
    rest = tuple(scenario for scenario in scenarios if scenario.seed not in done)
    if rest:
        job = Job(
            config.task,
            rest,
            entrant.factory,
            results_folder=str(episodes_folder(Path(config.out))),
            policy=entrant.target,
            fingerprint=entrant.fingerprint,
        )
        for result in pool.run(job, progress, f"evaluate {entrant.name}"):
            done[result.scenario.seed] = result
    return [done[scenario.seed] for scenario in scenarios]


def _gaps(
    config: EvaluateConfig,
    entrants: Sequence[Entrant],
    scenarios: Mapping[str, Sequence[Scenario]],
    rows: Sequence[OutcomeRow],
    progress: Progress,
    pool: RolloutPool,
) -> list[ImitationGap]:
    """How far each policy but the expert falls short of the expert acting as often a second; none where the task has no
    expert among its baselines."""
    if EXPERT not in TASKS.get(config.task).baselines:
        progress.note(f"the task {config.task} has no baseline {EXPERT!r}: no imitation gap")
        return []
    by_policy: dict[str, list[OutcomeRow]] = {}
    for row in rows:
        by_policy.setdefault(row.policy, []).append(row)
    rates = {entrant.name: int(scenarios[entrant.name][0].env_kwargs["control_hz"]) for entrant in entrants}
    by_rate = {rates[entrant.name]: by_policy[entrant.name] for entrant in entrants if entrant.target == EXPERT}
    gaps = []
    for entrant in entrants:
        if entrant.target == EXPERT:
            continue
        rate = rates[entrant.name]
        if rate not in by_rate:
            by_rate[rate] = run_expert(config, rate, f"{config.out}/{EXPERT}/{rate}-hz", progress, pool)
        gaps.append(imitation_gap(by_policy[entrant.name], by_rate[rate]))
    return gaps


def run_expert(
    config: EvaluateConfig,
    control_hz: int,
    out: str,
    progress: Progress | None = None,
    pool: RolloutPool | None = None,
) -> list[OutcomeRow]:
    """Send the expert through the worlds of an evaluation; one row for each. It sees no pictures, so this is quick; and
    in a folder where it has been done, nothing is done again.

    Args:
        config: says which worlds.
        control_hz: actions per second.
        out: folder of the expert's own evaluation.
        progress: who watches.
        pool: who flies and drives.
    """
    own = replace(
        config,
        policy=(EXPERT,),
        out=out,
        imitation_gap=False,
        control_hz=control_hz,
        renderer="",
        width=EvaluateConfig.width,
        height=EvaluateConfig.height,
    )
    evaluate(own, progress, pool)
    return read_outcomes(Path(out) / "outcomes.csv")


def _scenarios(config: EvaluateConfig, entrant: Entrant, progress: Progress) -> list[Scenario]:
    """The scenarios of a policy; a checkpoint brings its camera, its dashboard, and how it is told goals."""
    spec = entrant.spec
    if spec is None:
        return config.scenarios(width=entrant.width, height=entrant.height)
    renderer = config.renderer or spec.renderer
    if renderer != spec.renderer:
        progress.note(
            f"warning: {entrant.target} learned from {spec.renderer!r} pictures and runs on {renderer!r} ones"
        )
    return config.scenarios(
        renderer, spec.control_hz, spec.image_width, spec.image_height, spec.goal_kind, dashboard_of(spec.state_names)
    )


def _versions(name: str, results: Iterable[EpisodeResult], progress: Progress) -> list[str]:
    """The versions of ForestPilot that ran the episodes of a policy; told where there are others than this one."""
    ran = Counter(result.package_version or package_version() for result in results)
    if set(ran) != {package_version()}:
        told = ", ".join(f"{count} by ForestPilot {version}" for version, count in sorted(ran.items()))
        progress.note(f"episodes of {name} were run by other versions than this one and are taken as they are: {told}")
    return sorted(ran)


def _about(
    config: EvaluateConfig,
    entrants: Sequence[Entrant],
    scenarios: Mapping[str, Sequence[Scenario]],
    versions: Mapping[str, list[str]],
) -> dict[str, Any]:
    """Facts of an evaluation, for summary.json."""
    policies = []
    for entrant in entrants:
        arguments = scenarios[entrant.name][0].env_kwargs
        told = {"name": entrant.name, "policy": entrant.target, "fingerprint": entrant.fingerprint}
        camera = {key: arguments[key] for key in ("renderer", "control_hz")}
        policies.append({**told, **camera, "versions": versions[entrant.name]})
    options = to_plain(config.options)
    return {
        "version": package_version(),
        "task": config.task,
        "split": config.split,
        "preset": config.worlds,
        "speed_mps": config.speed_mps,
        "rule": options.get("interventions", ""),
        "counts_interventions": config.counts_interventions,
        "options": options,
        "policies": policies,
    }
