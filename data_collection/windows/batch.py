"""A batch of windows, as it is drawn and as training reads it."""

from __future__ import annotations

from typing import Any, NamedTuple

Values = Any
"""A NumPy array as it is drawn; a torch tensor once the training loop has converted it."""


class Batch(NamedTuple):
    """B windows of T steps. Steps past the end of a short episode are zero and masked."""

    views: Values
    """(B, T, C, h, w, 3) uint8."""
    state: Values
    """(B, T, S) float32, as it reads at the pose of the camera that tells the window."""
    goal: Values
    """(B, T, G) float32, likewise; with goals relabelled, the state that the window's episode came to later."""
    actions: Values
    """(B, T + A, 2) float32: what to learn, the expert's action or a human's, also at the A steps after the window."""
    costs: Values | None
    """(B, T, K) float32: the expert's cost of each candidate turn; None unless every episode has them,
    and where side cameras are labelled by a rule."""
    mask: Values
    """(B, T + A) bool: whether the step is there and has something to learn."""
    grounds: Values | None = None
    """(B, T, R) float32: what goals are relabelled by. In hindsight x and y in metres and heading in radians, from
    where a step is told; where orders are exchanged, the expert's answers for each choice. None unless goals are
    relabelled."""
    goal_view: Values | None = None
    """(B, h, w, 3) uint8, the view at each window's goal; where goals are demonstrated (B, F, h, w, 3), what the
    demonstrator saw. None where goals are told in numbers."""
    goal_steps: Values | None = None
    """(B, F, S + 3 + 2) float32, the demonstrator's state, goal and action at each view; None unless goals are
    demonstrated."""
    goal_order: Values | None = None
    """(B, 3) int64, numbers of the choices of the order that is demonstrated, of which no policy is told; None unless
    goals are demonstrated."""
