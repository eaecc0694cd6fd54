"""How points attract and repel one another."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from forestpilot.policies.embeddings.options import ContrastiveConfig

NEVER = -1e9
"""Similarity of a pair that is left out."""


def contrast(config: ContrastiveConfig, first: Tensor, second: Tensor, left_out: Tensor | None = None) -> Tensor:
    """() the loss of points (N, D) against (N, D), of which those of the same row belong together.

    Args:
        config: which loss.
        first: points of length one.
        second: those that belong to them.
        left_out: (N, N) bool, pairs that neither attract nor repel; none of a row with itself.
    """
    similarity = first @ second.T
    loss = n_pairs if config.loss == "n-pairs" else semi_hard
    scale = config.temperature if config.loss == "n-pairs" else config.margin
    there = loss(similarity, scale, left_out)
    back = loss(similarity.T, scale, None if left_out is None else left_out.T)
    return 0.5 * (there + back)


def n_pairs(similarity: Tensor, temperature: float, left_out: Tensor | None = None) -> Tensor:
    """() cross entropy of each row's right one among all (Sohn 2016; van den Oord et al. 2018, equation 4).

    Args:
        similarity: (N, N) cosines, right ones on the diagonal.
        temperature: what they are divided by.
        left_out: (N, N) bool, as in `contrast`.
    """
    if left_out is not None:
        similarity = similarity.masked_fill(left_out, NEVER)
    return functional.cross_entropy(similarity / temperature, torch.arange(len(similarity)))


def semi_hard(similarity: Tensor, margin: float, left_out: Tensor | None = None) -> Tensor:
    """() how much less than a margin the right one is nearer than a wrong one (Schroff et al. 2015, section 3.2).

    The wrong one is the nearest of those that are farther away than the right one, or the farthest where none is.

    Args:
        similarity: (N, N) cosines, right ones on the diagonal.
        margin: of squared distances.
        left_out: (N, N) bool, as in `contrast`.
    """
    distance = 2 - 2 * similarity
    right = distance.diagonal()[:, None]
    is_wrong = ~torch.eye(len(distance), dtype=torch.bool)
    if left_out is not None:
        is_wrong &= ~left_out
    farther = torch.where(is_wrong & (distance > right), distance, torch.inf)
    nearest = farther.min(1).values
    farthest = torch.where(is_wrong, distance, -torch.inf).max(1).values
    wrong = torch.where(torch.isinf(nearest), farthest, nearest)
    return functional.relu(right[:, 0] - wrong + margin).mean()


def found(first: Tensor, second: Tensor) -> float:
    """Share of points whose nearest of the second ones is their own."""
    with torch.no_grad():
        nearest = (first @ second.T).argmax(1)
    return float((nearest == torch.arange(len(first))).float().mean())
