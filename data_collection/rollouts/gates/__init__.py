"""Gates: when a learner gets help, and at which states anybody is asked what should have been done.

A gate is one file and one line here; `forestpilot dagger --gate NAME` takes it, and its options with `--gate.OPTION`.
"""

from __future__ import annotations

from forestpilot.data_collection.rollouts.gates.gate import Gate, GateConfig, Judgement, RoundSoFar
from forestpilot.sim.registry import Registry

__all__ = ["GATES", "Gate", "GateConfig", "Judgement", "RoundSoFar"]

_HERE = "forestpilot.data_collection.rollouts.gates"

GATES: Registry[type[Gate]] = Registry("gate", f"{_HERE}:GATES")
GATES.register("none", f"{_HERE}.no_gate:NoGate", "the learner drives alone; the expert labels every state")
GATES.register("human", f"{_HERE}.human:HumanGate", "a human takes over by keyboard; what they did is labelled")
GATES.register("expert", f"{_HERE}.expert:ExpertGate", "the expert takes over where its costs say so")
GATES.register("uncertainty", f"{_HERE}.uncertainty:UncertaintyGate", "the expert labels where an ensemble disagrees")
GATES.register("budget", f"{_HERE}.budget:BudgetGate", "the expert takes over where an ensemble disagrees most")
