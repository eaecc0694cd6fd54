"""Orders exchanged: what was seen on one way is learned from by others too, as far as the expert said what to do there.

Each forest is flown by one order, and looks like no other: what it looks like then says where to turn, and the order
need not be read. So windows of a batch exchange their orders, or what was shown of them, and learn what the expert
answered for the choice that the new order makes next. Then the same picture has another answer for another order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset, DatasetError
from forestpilot.data_collection.episodes.episode_file import open_episode
from forestpilot.data_collection.windows.batch import Batch
from forestpilot.data_collection.windows.hindsight import EXCHANGED, Relabel
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.goals import ANSWERS, GOAL_MIRRORS, ORDER_CHOICES, ORDER_ROWS, VECTOR

PLACE = len(GOAL_MIRRORS[VECTOR])
"""Elements of a goal before those that tell an order."""
ACTION = 2


def require_answers(relabel: Relabel, datasets: Sequence[Dataset], side_labels: str, ahead: int) -> None:
    """Check that orders can be exchanged, where they are to be.

    Raises:
        InvalidArgumentError: side cameras are labelled by a rule, which knows of one order only, or several actions are
            predicted at once.
        DatasetError: episodes do not say what the expert would have done for other orders.
    """
    if relabel != EXCHANGED:
        return
    if side_labels not in ("asked", "none") or ahead:
        what = f"side_labels is {side_labels}" if not ahead else f"policy.chunk is {ahead + 1}"
        raise InvalidArgumentError(
            f"{what}, and with relabel {relabel} labels are the expert's answers, one for each step; give side_labels "
            "asked and policy.chunk 1"
        )
    for dataset in datasets:
        for header in dataset.episodes[:1]:
            with open_episode(header.path) as demo:
                if ANSWERS not in demo["obs"] or not header.has_expert_costs:
                    raise DatasetError(
                        f"{header.path} does not say what the expert would have done for other orders, which relabel "
                        f"{relabel} needs; collect such episodes anew, with the expert's labels, through coloured gates"
                    )


def exchange_orders(batch: Batch, rng: np.random.Generator) -> None:
    """Give the windows of a batch one another's orders, and the labels that go with them; all of it in place.

    Args:
        batch: with `grounds`, the expert's answers at each step: see `forestpilot.sim.experts.expert.Expert.answers`.
        rng: draws who is given which.
    """
    assert batch.grounds is not None
    given = rng.permutation(len(batch.goal))
    if batch.goal_view is not None and batch.goal_steps is not None and batch.goal_order is not None:
        for values in (batch.goal_view, batch.goal_steps, batch.goal_order):
            values[:] = values[given]
        orders = batch.goal_order
    else:
        told = batch.goal[given, :1, PLACE:]
        batch.goal[:, :, PLACE:] = told
        orders = told[:, 0].reshape(len(given), ORDER_ROWS, ORDER_CHOICES).argmax(axis=-1)
    ahead = batch.grounds[..., 0].astype(np.int64)
    answers = batch.grounds[..., 1:].reshape(*ahead.shape, ORDER_CHOICES, -1)
    choices = np.take_along_axis(orders, ahead, axis=1)
    chosen = np.take_along_axis(answers, choices[..., None, None], axis=2)[:, :, 0]
    batch.actions[:] = chosen[..., :ACTION]
    if batch.costs is not None:
        batch.costs[:] = chosen[..., ACTION:]
