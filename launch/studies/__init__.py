"""Studies: comparisons that take many trainings, each told by one command; they go on where they were interrupted.

A study only compares: it is a subclass of `Study` (study.py) with its arms, its measure and its sizes, and a line
below. What is shared stands in `cells` (what is on disk of each policy), `statistics` (intervals), `roads` and `rounds`
(studies of driving, and of DAgger's rounds) and `plots`. Nothing here prints; `forestpilot.launch.verbs.study` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forestpilot.sim.registry import Registry

if TYPE_CHECKING:
    from forestpilot.launch.studies.study import Study

STUDIES: Registry[type[Study[Any, Any]]] = Registry("study", "forestpilot.launch.studies:STUDIES")
"""All studies by name."""

STUDIES.register(
    "three-cameras",
    "forestpilot.launch.studies.three_cameras:ThreeCameras",
    "side cameras: none, labelled with a constant, by geometry, or by asking the expert, also about other speeds",
)
STUDIES.register(
    "three-cameras-drone",
    "forestpilot.launch.studies.three_cameras_drone:ThreeCamerasDrone",
    "side cameras in the forest: none, on their rig or anywhere, labelled by the expert, by geometry or by a constant",
)
STUDIES.register(
    "dagger-road",
    "forestpilot.launch.studies.dagger_road:DaggerRoad",
    "falls off the road per km by number of labels: cloning with more data against DAgger",
)
STUDIES.register(
    "compounding-error",
    "forestpilot.launch.studies.compounding_error:CompoundingError",
    "cost over the first T steps, T growing: cloning against DAgger with as many labels",
)
STUDIES.register(
    "gates",
    "forestpilot.launch.studies.gates:Gates",
    "success by number of labels: every state labelled, or those at which somebody takes over, or is unsure",
)
STUDIES.register(
    "keyboard",
    "forestpilot.launch.studies.keyboard:Keyboard",
    "cloning from the expert's drives and from keys: shaped or raw, and with labels moved back or not",
)
STUDIES.register(
    "memory",
    "forestpilot.launch.studies.memory:Memories",
    "no memory, stacked frames, LSTM, Transformer, convolutions: moody demonstrators, and pictures that are dropped",
)
STUDIES.register(
    "noise",
    "forestpilot.launch.studies.noise:NoiseStudy",
    "success by number of labels: noise on states, actions, poses; three cameras, failures replayed, DAgger",
)
STUDIES.register(
    "multimodality",
    "forestpilot.launch.studies.multimodality:Multimodality",
    "ten heads on demonstrations with 2, 3 or 5 right answers, by number of demonstrations",
)
STUDIES.register(
    "teacher-signal",
    "forestpilot.launch.studies.teacher_signal:TeacherSignal",
    "what the expert tells: its action, its soft choice, its costs, or both; forest and road, old and new weather",
)
STUDIES.register(
    "hindsight",
    "forestpilot.launch.studies.hindsight:Hindsight",
    "success at one goal and anywhere: one goal, many goals or play, goals in hindsight or not, as vectors or pictures",
)
STUDIES.register(
    "offline-online",
    "forestpilot.launch.studies.offline_online:OfflineOnline",
    "accuracy, F1, L2 and likelihood on held-out demonstrations against success: which offline figure says anything",
)
STUDIES.register(
    "reset-cliff",
    "forestpilot.launch.studies.reset_cliff:ResetCliffStudy",
    "the theory of cloning and DAgger, computed exactly: gap by horizon and by number of demonstrations",
)
STUDIES.register(
    "causal-confusion",
    "forestpilot.launch.studies.causal_confusion:CausalConfusion",
    "the brake light: cloning with and without it, hiding it at random, targeted intervention, DAgger",
)
STUDIES.register(
    "horizon",
    "forestpilot.launch.studies.horizon:Horizon",
    "how the gap grows with the horizon: cloning, DAgger and GAIL in tables, exactly, and on roads of growing length",
)
STUDIES.register(
    "reinforce",
    "forestpilot.launch.studies.reinforce:ReinforceStudy",
    "rewards by steps in the environment: from scratch, from a clone, held to the clone, beside flights; and DAgger",
)
STUDIES.register(
    "world-model",
    "forestpilot.launch.studies.world_model:WorldModelStudy",
    "models of the world, cloned or adversarial, of depths or images: error by horizon, success of planning inside",
)
STUDIES.register(
    "adversarial",
    "forestpilot.launch.studies.adversarial:AdversarialStudy",
    "cloning, DAgger, GAIL, AIRL and SQIL by number of flights: imitation gap, steps in the environment, labels",
)
STUDIES.register(
    "observation",
    "forestpilot.launch.studies.observation:Observation",
    "cloning with actions against actions inferred for videos (BCO), by number of videos and of own flights",
)
STUDIES.register(
    "third-person",
    "forestpilot.launch.studies.third_person:ThirdPersonStudy",
    "imitation from somebody else's camera, behind or on a tower: embeddings of both views, or pictures as they are",
)
STUDIES.register(
    "one-shot",
    "forestpilot.launch.studies.one_shot:OneShot",
    "orders of coloured gates, named, shown once, adapted to by one gradient step, or untold, by number of orders",
)
STUDIES.register(
    "routes",
    "forestpilot.launch.studies.routes:Routes",
    "routes over three junctions, named, shown once, adapted to by one gradient step, or untold, on held-out routes",
)
STUDIES.register(
    "few-labels",
    "forestpilot.launch.studies.few_labels:FewLabels",
    "few labelled drives, alone and beside videos (inferred actions, consistency, pretraining) or a heap, weighed",
)
