"""Somebody at the keyboard, simulated: sees what the expert would do, a moment late, and holds keys to get there."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.labels import ACTOR_HUMAN
from forestpilot.data_collection.people.console import Key
from forestpilot.data_collection.people.keyboard import KeyShaper, shaper_of
from forestpilot.data_collection.rollouts.pilots import EXPERT_CENTER, Decision, Observations, Pilot
from forestpilot.sim.vehicles.car import Car
from forestpilot.sim.vehicles.car_parameters import STEERING_LOCK_RAD

TASK = "drive"
NEAR = 0.1
"""A key is held while the wheels are further than this from where they should be, as a share of the lock."""
PEDAL = 0.2
"""A pedal is pressed where the expert would press it by more than this."""
AT_ONCE = 1e6
"""A rate that nothing is limited by."""


def shaper(shaped: bool) -> KeyShaper:
    """Shaper of held keys on the way to the car.

    Args:
        shaped: as for people, a smooth axis; else as they are, all that the speed allows to one side, or nothing.
    """
    if shaped:
        return shaper_of(TASK)
    return shaper_of(TASK, turn_per_s=AT_ONCE, turn_back_per_s=AT_ONCE, go_per_s=AT_ONCE, go_back_per_s=AT_ONCE)


class KeyPresser:
    """Drives with keys: the human's eyes are the expert's, the hands know only down and up.

    Args:
        shaped: whether keys become a smooth axis on the way to the car.
        delay_steps: reaction time in control steps.
        control_hz: steps per second.
    """

    needs_expert = True
    cameras = ()
    name = "keys"
    _steering = Car.state_index("steering_rad")
    _forward = Car.state_index("forward_mps")

    def __init__(self, shaped: bool, delay_steps: int, control_hz: int) -> None:
        self._shaped = shaped
        self._delay = delay_steps
        self._dt_s = 1.0 / control_hz
        self._shapers: dict[int, KeyShaper] = {}
        self._seen: dict[int, deque[np.ndarray]] = {}

    def begin(self, slots: int) -> None:
        """Nothing to get ready."""

    def restart(self, slot: int, seed: int) -> None:
        """Hands off, eyes on a new road."""
        self._shapers[slot] = shaper(self._shaped)
        self._seen[slot] = deque([np.zeros(2)] * (self._delay + 1), maxlen=self._delay + 1)

    def act(self, observations: Observations, infos: list[dict[str, Any]], slots: np.ndarray) -> Decision:
        """Actions that the held keys come to in each episode."""
        actions = []
        for state, info, slot in zip(observations["state"], infos, slots.tolist()):
            self._seen[slot].append(info["expert_action"][EXPERT_CENTER])
            keys = held_keys(self._seen[slot][0], float(state[self._steering]) / STEERING_LOCK_RAD)
            speed = max(0.0, float(state[self._forward]))
            actions.append(self._shapers[slot].step(keys, self._dt_s, speed_mps=speed))
        return Decision(np.stack(actions).astype(np.float32), np.full(len(slots), ACTOR_HUMAN, np.uint8))


def held_keys(wanted: np.ndarray, steering: float) -> Key:
    """The keys that somebody holds who wants an action (2,), and sees the wheels at `steering`, 1 for the full lock."""
    turn, go = wanted
    keys = Key.NONE
    if turn - steering > NEAR:
        keys |= Key.LEFT
    if steering - turn > NEAR:
        keys |= Key.RIGHT
    if go > PEDAL:
        keys |= Key.FORWARD
    if go < -PEDAL:
        keys |= Key.BACK
    return keys


@dataclass(frozen=True)
class KeyPresserFactory:
    """Makes a `KeyPresser`; picklable."""

    shaped: bool
    """Whether keys become a smooth axis."""
    reaction_s: float
    """Reaction time in seconds."""
    control_hz: int
    """Steps per second."""

    def __call__(self) -> Pilot:
        """The pilot."""
        return KeyPresser(self.shaped, math.floor(self.reaction_s * self.control_hz + 0.5), self.control_hz)
