"""The card of a policy that is exported: what it is, what it learned from, how it does, as far as its run says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.seals import read_sealed_json
from forestpilot.data_collection.export.card import (
    CardFacts,
    as_json,
    command_section,
    front_matter,
    licence_section,
    table,
)
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.tasks import TASKS

EVALUATION = "evaluation/summary.json"
"""Where a run keeps how its policies did."""
_OF_TRAINING = ("trained_by", "data", "worlds", "stopped", "config")


def model_card(folder: Path, description: Mapping[str, Any], facts: CardFacts, fields: Mapping[str, Any]) -> str:
    """The card of an exported policy.

    Args:
        folder: where its checkpoint lies; a run, or a part of one.
        description: what its policy.json says.
        facts: licence and command.
        fields: what the format adds to the front of the card; its tags go before ours.
    """
    spec = description["task_spec"]
    task = TASKS.get(spec["task"])
    tags = [*fields.get("tags", ()), "forestpilot", task.name, "imitation-learning", "autonomous-navigation"]
    head = {"pipeline_tag": "robotics", **fields, "tags": tags}
    parts = {
        part: description["config"][part]["part"]
        for part in ("encoder", "memory", "head")
        if isinstance(description["config"].get(part), dict)
    }
    seen = f"{spec['image_width']}x{spec['image_height']}, drawn by {spec['renderer']}"
    rows = {
        "policy": str(description["policy_id"]),
        "parameters": f"{description.get('parameters', 0):,}",
        "sees": f"{description['config']['cameras']}: {seen}",
        **parts,
        "acts": f"{spec['control_hz']} times a second",
        "trained with": f"ForestPilot {description.get('package_version', '')}",
    }
    extra = description.get("extra") or {}
    learned = {name: extra[name] for name in _OF_TRAINING if name in extra}
    sections = [
        front_matter(head, facts.licence) + f"# ForestPilot policy: {task.summary}\n",
        f"It learned in simulation.\n\n{table(rows)}",
        _results(folder, description["policy_id"]),
        command_section(facts.command),
        f"## What it learned from\n\n{as_json(learned)}" if learned else "",
        licence_section(facts.licence),
    ]
    return "\n".join(section for section in sections if section)


def _results(folder: Path, policy_id: str) -> str:
    """How it did in the evaluation of its run, if there is one of these very weights."""
    try:
        summary = read_sealed_json(folder / EVALUATION)
        names = [own["name"] for own in summary["policies"] if own["fingerprint"] == policy_id]
        scores = [score for score in summary["scores"] if score["policy"] in names]
        rows = {
            f"{summary['split']} worlds, preset {summary['preset']}, {summary['speed_mps'] or 'own'} m/s": (
                f"{score['successes']} of {score['episodes']} reached the goal "
                f"(95 % interval {score['low']:.0%} to {score['high']:.0%}), {score['collisions']} collisions"
            )
            for score in scores[:1]
        }
    except (OSError, ForestPilotError, ValueError, KeyError, TypeError):
        return ""  # nobody has evaluated it there, or in a way that this version does not know
    return f"## How it does\n\n{table(rows)}" if rows else ""
