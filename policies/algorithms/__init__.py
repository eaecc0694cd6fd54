"""Algorithms: ways of learning in rounds, by name. How to write one is told in
`forestpilot.policies.algorithms.algorithm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forestpilot.sim.registry import Registry

if TYPE_CHECKING:
    from forestpilot.policies.algorithms.algorithm import Algorithm

__all__ = ["ALGORITHMS"]

ALGORITHMS: Registry[type[Algorithm[Any]]] = Registry("algorithm", "forestpilot.policies.algorithms:ALGORITHMS")
ALGORITHMS.register(
    "bc",
    "forestpilot.policies.algorithms.behavioural_cloning:BehaviouralCloning",
    "behavioural cloning: demonstrate and clone",
)
ALGORITHMS.register(
    "dagger",
    "forestpilot.policies.algorithms.dagger.loop:Dagger",
    "DAgger: demonstrate, clone, then improve in closed loop, by oneself or with somebody's help",
)
ALGORITHMS.register(
    "bco",
    "forestpilot.policies.algorithms.bco.loop:BCO",
    "BCO: clone from videos, with actions inferred by what one's own motion does",
)
ALGORITHMS.register(
    "third-person",
    "forestpilot.policies.algorithms.third_person.loop:ThirdPerson",
    "third-person imitation: clone from films by another camera, seen by an embedding of both views",
)
ALGORITHMS.register(
    "semi",
    "forestpilot.policies.algorithms.semi.loop:Semi",
    "semi-supervised: clone few labelled episodes and many videos, or demonstrations of unknown quality",
)
ALGORITHMS.register(
    "intervene",
    "forestpilot.policies.algorithms.intervention:Intervention",
    "targeted intervention: clone under random masks of the inputs, then find the mask that drives best",
)
ALGORITHMS.register(
    "reinforce",
    "forestpilot.policies.algorithms.reinforce.loop:Reinforce",
    "reinforcement learning: learn by rewards, from scratch or from a cloned policy",
)
ALGORITHMS.register(
    "adversarial",
    "forestpilot.policies.algorithms.adversarial.loop:Adversarial",
    "adversarial imitation: be taken for the expert, by its demonstrations alone (GAIL, AIRL, SQIL)",
)
