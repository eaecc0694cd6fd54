"""Cards of what is exported: what it is, what made it and under which licence, as model and dataset hubs show them.

A card is Markdown with YAML in front (huggingface.co/docs/hub/datasets-cards). It lies in the folder of an export, and
beside one that is a file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.data_collection.episodes.dataset import Dataset, package_version
from forestpilot.data_collection.episodes.header import EpisodeHeader
from forestpilot.data_collection.episodes.labels import ACTOR_EXPERT, ACTOR_HUMAN, ACTOR_POLICY
from forestpilot.data_collection.episodes.run import RunError, StoredRun, read_run
from forestpilot.sim.cameras import CAMERA_NAMES
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.outcomes import told
from forestpilot.sim.seeds import split_of
from forestpilot.sim.tasks import TASKS

CARD = "README.md"
"""Name of the card in a folder."""
HUB_LICENCES = frozenset(
    """
    afl-3.0 agpl-3.0 apache-2.0 bsd-2-clause bsd-3-clause bsl-1.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-nc-4.0
    cc-by-nc-nd-4.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0
    cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-2.0 eupl-1.2 isc mit mpl-2.0 ms-pl mulanpsl-2.0 ncsa odbl-1.0
    pddl-1.0 postgresql unlicense wtfpl zlib
    """.split()  # noqa: SIM905  (a column of words is read more easily)
)
"""Licences that hubs know, by their SPDX identifiers in small letters."""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_LARGEST = "10M<n<100M"
_ACTORS = {ACTOR_EXPERT: "expert", ACTOR_HUMAN: "human", ACTOR_POLICY: "policy"}
_ASIDE = ("out", "workers")
"""Of a config, what says nothing of the data."""


@dataclass(frozen=True)
class CardFacts:
    """What a card tells that does not follow from the data."""

    licence: str = ""
    """SPDX expression of the licence that it is given away under; empty states none."""
    command: str = ""
    """Command that makes it again; empty where it was no command."""

    def __post_init__(self) -> None:
        if self.licence:
            object.__setattr__(self, "licence", spdx(self.licence))


def spdx(licence: str) -> str:
    """An SPDX expression as it is usually written.

    Raises:
        InvalidArgumentError: it is none.
    """
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return canonicalize_license_expression(licence)
    except InvalidLicenseExpression as error:
        raise InvalidArgumentError(
            f"licence is {licence!r}, no SPDX expression: give one such as CC-BY-4.0, MIT or LicenseRef-Own"
        ) from error


def front_matter(values: Mapping[str, Any], licence: str) -> str:
    """YAML for the head of a card, with the licence where there is one."""
    import yaml

    told: dict[str, Any] = {}
    if licence.lower() in HUB_LICENCES:
        told["license"] = licence.lower()
    elif licence:
        told |= {"license": "other", "license_name": licence}
    return f"---\n{yaml.safe_dump({**told, **values}, sort_keys=False)}---\n"


def licence_section(licence: str) -> str:
    """What a card says of the licence."""
    if licence:
        return f"## Licence\n\n{licence}\n"
    return "## Licence\n\nNone is stated: ask whoever made this before you use it.\n"


def command_section(command: str) -> str:
    """What a card says of how it was made."""
    made = f"```bash\n{command}\n```" if command else "A call of ForestPilot's library."
    return f"## What made it\n\n{made}\n\nForestPilot {package_version()}.\n"


def table(rows: Mapping[str, str]) -> str:
    """A table of two columns."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]) + "\n"


def as_json(values: Any) -> str:
    """Plain values as a block of code."""
    return f"```json\n{json.dumps(values, indent=1)}\n```\n"


def dataset_card(dataset: Dataset, facts: CardFacts, fields: Mapping[str, Any], reading: str) -> str:
    """The card of an exported dataset.

    Args:
        dataset: what was exported.
        facts: licence and command.
        fields: what the format adds to the front of the card; its tags go before ours.
        reading: how it is opened, in Markdown.
    """
    spec = dataset.task_spec
    sentence = TASKS.get(spec.task).sentence(dataset.episodes[0].meta.env_kwargs)
    tags = [*fields.get("tags", ()), "forestpilot", spec.task, "imitation-learning", "autonomous-navigation"]
    head = {
        "pretty_name": f"ForestPilot: {sentence}",
        "task_categories": ["robotics"],
        "size_categories": [_size(dataset.total_steps)],
        **fields,
        "tags": tags,
    }
    runs = [_made(run) for run in _runs_of(dataset.episodes)]
    collected = "".join(f"\n{as_json(values)}" for values in runs)
    parts = [
        front_matter(head, facts.licence) + f"# {sentence[0].upper()}{sentence[1:]}\n",
        f"Simulated episodes of ForestPilot's task `{spec.task}`: {TASKS.get(spec.task).summary}.\n",
        table(_rows(dataset)),
        f"## Reading it\n\n{reading}\n" if reading else "",
        command_section(facts.command),
        f"Recorded by\n{collected}" if runs else "",
        licence_section(facts.licence),
    ]
    return "\n".join(part for part in parts if part)


def _rows(dataset: Dataset) -> dict[str, str]:
    """A dataset in some lines."""
    spec = dataset.task_spec
    headers = dataset.episodes
    seconds = dataset.total_steps / spec.control_hz
    drivers: Counter[str] = Counter()
    for header in headers:
        for actor, count in zip(*np.unique(header.actor, return_counts=True)):
            drivers[_ACTORS[int(actor)]] += int(count)
    ends = Counter(told(header.meta.outcome) for header in headers)
    splits = Counter(split_of(header.meta.seed) for header in headers)
    seeds = [header.meta.seed for header in headers]
    return {
        "episodes, steps": f"{len(headers)}, {dataset.total_steps} ({seconds:.0f} s at {spec.control_hz} Hz)",
        "pictures": f"{', '.join(CAMERA_NAMES)}: {spec.image_width}x{spec.image_height}, {spec.renderer}",
        "state": ", ".join(spec.state_names),
        "who drove": ", ".join(f"{name} {count / dataset.total_steps:.0%}" for name, count in drivers.most_common()),
        "steps with a label": str(sum(header.num_labels for header in headers)),
        "how it ended": ", ".join(f"{count} {end}" for end, count in ends.most_common()),
        "worlds": f"seeds {min(seeds)} to {max(seeds)}: " + ", ".join(f"{splits[name]} {name}" for name in splits),
        "rounds": ", ".join(map(str, sorted({header.meta.dagger_round for header in headers}))),
        "recorded with": ", ".join(sorted({f"ForestPilot {header.meta.package_version}" for header in headers})),
    }


def _runs_of(headers: Sequence[EpisodeHeader]) -> list[StoredRun]:
    """The runs that the episodes come from, as far as their folders say."""
    runs = []
    for folder in dict.fromkeys(header.path.parent.parent for header in headers):
        with suppress(RunError):
            run = read_run(folder) or read_run(folder.parent)
            runs += [run] if run is not None else []
    return runs


def _made(run: StoredRun) -> dict[str, Any]:
    """What a run says of itself that others have use for."""
    config = {name: value for name, value in run.config.items() if name not in _ASIDE}
    return {"verb": run.verb, "version": run.version, "config": config}


def _size(steps: int) -> str:
    return next((name for most, name in _SIZES if steps < most), _LARGEST)


def card_path(out: Path) -> Path:
    """Where the card of an export lies: in a folder, beside a file."""
    return out / CARD if out.is_dir() else out.with_name(f"{out.name}.md")
