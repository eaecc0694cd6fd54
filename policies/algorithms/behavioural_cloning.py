"""Behavioural cloning: a policy fitted to what an expert, or a human, would do in states that they came to themselves.

`clone` does it with datasets that are there; the algorithm `bc` demonstrates, clones and validates, and with more than
one round does so again with more demonstrations.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from forestpilot.data_collection.episodes.config_fields import not_the_result
from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError, require_one_task
from forestpilot.data_collection.episodes.fingerprint import fingerprint_of, rows_of, told, worlds_of
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.data_collection.episodes.progress import Progress, SilentProgress
from forestpilot.data_collection.episodes.remote import COPIES, FarDatasets, Room, is_address
from forestpilot.data_collection.episodes.run import Run, RunError, read_run
from forestpilot.data_collection.rollouts.pilots import ExpertPilot
from forestpilot.data_collection.windows.decoded import remove_abandoned
from forestpilot.policies.algorithms.algorithm import Algorithm
from forestpilot.policies.algorithms.config import AlgorithmConfig
from forestpilot.policies.networks.device import require_device
from forestpilot.policies.training.input_noise import make_input_noise
from forestpilot.policies.training.trackers import require_tracker
from forestpilot.policies.training.train_config import TrainConfig
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import ROUNDS

if TYPE_CHECKING:
    from forestpilot.data_collection.windows.windows import WindowReader
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
    from forestpilot.policies.training.loop import TrainResult
    from forestpilot.policies.training.shard_pool import ShardPool


@dataclass(frozen=True)
class BehaviouralCloningConfig(AlgorithmConfig):
    """Demonstrate and clone; killed or interrupted, the same command goes on where it stopped."""

    out: str = not_the_result("runs/bc")
    """Run folder."""
    rounds: Annotated[int, ROUNDS] = 0
    """Further rounds, each with more demonstrations of the expert's."""


class BehaviouralCloning(Algorithm[BehaviouralCloningConfig]):
    """Behavioural cloning: the expert drives in every round, and the policy is fitted to all that it did."""

    name = "bc"
    title = "behavioural cloning"
    Config = BehaviouralCloningConfig

    def collect(self, round_number: int) -> None:
        """Record the expert's episodes of a round."""
        self.record(round_number, ExpertPilot)

    def expert_share(self, round_number: int) -> float:
        """The expert acts in all episodes."""
        return 1.0


def clone(config: TrainConfig, progress: Progress | None = None, pool: ShardPool | None = None) -> VisuomotorPolicy:
    """Behavioural cloning from datasets on disk: a new policy, trained and saved in `config.out` for `load_policy`.

    A training that is finished is left alone, and its policy returned.

    Args:
        config: how.
        progress: who watches.
        pool: processes that compute side by side; by default this process computes all.

    Raises:
        ValueError: no dataset is given, or it has nothing that the policy's head could learn from.
        RunError: the run folder belongs to another config, or holds a policy of other episodes.
        CheckpointError: the run folder holds a damaged state, or one of other episodes.
        DatasetError: a dataset cannot be used.
    """
    if not config.data:
        raise InvalidArgumentError("data names no dataset; give at least one folder, for example --data DATASET")
    require_tracker(config.tracker)
    require_device(config.device)
    progress = progress or SilentProgress()
    with written_by_one(config.out, progress):
        return _clone(config, progress, pool)


def _clone(config: TrainConfig, progress: Progress, pool: ShardPool | None) -> VisuomotorPolicy:
    """See `clone`; nobody else writes into the folder meanwhile."""
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
    from forestpilot.policies.training.loop import make_reader, require_costs, train

    if any(is_address(place) for place in config.data):
        return _clone_from_afar(config, progress, pool)
    datasets = [Dataset.open(folder) for folder in config.data]
    for dataset in datasets:
        if not len(dataset):
            raise DatasetError(f"{dataset.folder} has no episodes to learn from; `forestpilot collect` records some")
        dataset.require(("actions",), "cloning")
    policy = VisuomotorPolicy.seeded(config.policy, require_one_task(datasets), config.seed)
    make_input_noise(config.noise, policy.spec, config.policy.view)
    finished = _finished_policy(config, fingerprint_of(datasets), progress)
    if finished is not None:
        if not config.keep_disk_cache:
            remove_abandoned(*(dataset.folder for dataset in datasets))
        return finished
    with closing(make_reader(policy, datasets, config, usable_cores(), progress)) as reader:
        require_costs(policy, reader)
        run = Run.claim(config.out, "train", config)
        progress.note(reader.describe())
        data = fingerprint_of(datasets)  # without those that the reader has found damaged
        result = train(policy, reader, config, config.out, progress=progress, pool=pool, data=data)
        worlds = worlds_of(datasets)
    _save(policy, config, result, data, worlds)
    run.record()
    return policy


def _clone_from_afar(config: TrainConfig, progress: Progress, pool: ShardPool | None) -> VisuomotorPolicy:
    """See `clone`, of data some of which lies elsewhere."""
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
    from forestpilot.policies.training.loop import make_reader, require_costs, train
    from forestpilot.policies.training.parts import PartsReader

    addresses = [place if is_address(place) else f"file://{Path(place).resolve()}" for place in config.data]
    room = Room(Path(config.out) / COPIES, int(config.remote_gb * 1e9))
    with closing(FarDatasets(addresses, room, config.seed)) as far:
        policy = VisuomotorPolicy.seeded(config.policy, require_one_task(far.outline()), config.seed)
        make_input_noise(config.noise, policy.spec, config.policy.view)
        data = far.fingerprint()
        finished = _finished_policy(config, data, progress)
        if finished is not None:
            far.remove_copies()
            return finished

        def opened(datasets: Sequence[Dataset]) -> WindowReader:
            reader = make_reader(policy, datasets, config, usable_cores(), progress)
            require_costs(policy, reader)
            return reader

        run = Run.claim(config.out, "train", config)
        reader: WindowReader | PartsReader
        if far.num_parts == 1:
            reader = opened(far.part(0, progress))
        else:
            reader = PartsReader(far, config.steps, opened, progress)
        with closing(reader):
            progress.note(reader.describe())
            result = train(policy, reader, config, config.out, progress=progress, pool=pool, data=data)
        far.remove_copies()
    _save(policy, config, result, data, rows_of(far.seeds))
    run.record()
    return policy


def _save(
    policy: VisuomotorPolicy, config: TrainConfig, result: TrainResult, data: dict[str, Any], worlds: list[list[int]]
) -> None:
    """Save what a training made, with what it was made of."""
    from forestpilot.policies.networks.checkpoint import save_policy

    facts = {
        "trained_by": "behavioural cloning",
        "steps": config.steps,
        "figures": result.figures,
        "data": data,
        "worlds": worlds,
    }
    save_policy(config.out, policy, facts)


def _finished_policy(config: TrainConfig, data: dict[str, Any], progress: Progress) -> VisuomotorPolicy | None:
    """The policy of this training, where it is finished; a damaged one is set aside, for the state has it still.

    Raises:
        RunError: the policy there is of another config, of other episodes, or of something else.
    """
    from forestpilot.policies.networks.checkpoint import (
        DESCRIPTION_FILE,
        CheckpointError,
        describe_policy,
        load_policy,
        set_policy_aside,
    )
    from forestpilot.policies.training.loop import mend_metrics

    folder = Path(config.out)
    if not (folder / DESCRIPTION_FILE).exists():
        return None
    if read_run(folder, "train") is None:
        raise RunError(f"{folder} holds a policy that `forestpilot train` did not make there; give another --out")
    Run.claim(folder, "train", config)
    try:
        policy = load_policy(folder)
    except CheckpointError as error:
        progress.note(f"warning: {error} It is now {set_policy_aside(folder)}, and is made again")
        return None
    trained_on = describe_policy(folder)["extra"].get("data")
    if trained_on and trained_on != data:
        raise RunError(
            f"{folder} holds a finished policy that was trained on other episodes ({told(trained_on)} then, "
            f"{told(data)} now); give another --out to train on what is there now"
        )
    mend_metrics(folder, progress)
    on_what = f" on {told(trained_on)}" if trained_on else ""
    progress.note(f"{folder} is finished already: its policy, trained{on_what}, is left as it is")
    return policy
