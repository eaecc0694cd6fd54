"""Policies and training states on disk: tensors in safetensors, everything else in JSON. Loading never runs code from
a file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.migration import migrate_policy_config
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import ForestPilotError

FORMAT = "forestpilot-policy-2"
"""What is written."""
READABLE_FORMATS = ("forestpilot-policy-1", FORMAT)
"""What is read; the first is that of version 0.1."""
WEIGHTS_FILE = "policy.safetensors"
DESCRIPTION_FILE = "policy.json"
_ADVICE = "Copy the folder again from where it came, or train anew with `forestpilot train`."


class CheckpointError(ForestPilotError):
    """A checkpoint that cannot be used; the message names the file, what is wrong and what to do."""


def save_policy(folder: str | Path, policy: VisuomotorPolicy, extra: dict[str, Any] | None = None) -> str:
    """Write a policy so that `load_policy` gives back the same numbers.

    Args:
        folder: made if missing; holds policy.safetensors and policy.json afterwards.
        policy: what to write.
        extra: JSON-plain facts to keep with it (training round, success on validation worlds and so on).

    Returns:
        The policy's id: the first 12 hexadecimal digits of the SHA-256 of its weights.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: tensor.detach().contiguous() for name, tensor in policy.state_dict().items()})
    digest = hashlib.sha256(weights).hexdigest()
    description = {
        "format": FORMAT,
        "package_version": package_version(),
        "policy_id": digest[:12],
        "weights_sha256": digest,
        "weights_bytes": len(weights),
        "parameters": policy.num_parameters,
        "config": to_plain(policy.config),
        "task_spec": policy.spec.to_dict(),
        "extra": extra or {},
    }
    write_new_file(folder / WEIGHTS_FILE, [weights])
    write_new_file(folder / DESCRIPTION_FILE, [json.dumps(description, indent=2).encode()])
    return digest[:12]


def load_policy(folder: str | Path) -> VisuomotorPolicy:
    """Read a policy, in evaluation mode; nothing in the folder is executed.

    Args:
        folder: as written by `save_policy`.

    Raises:
        CheckpointError: a file is missing, truncated, altered, or does not fit this version; the message says which
            and why.
    """
    folder = Path(folder)
    description = describe_policy(folder)
    path = folder / WEIGHTS_FILE
    weights = _read(path)
    if len(weights) != description["weights_bytes"]:
        raise CheckpointError(
            f"{path} has {len(weights)} bytes, {DESCRIPTION_FILE} says {description['weights_bytes']}: "
            f"truncated or not its own. {_ADVICE}"
        )
    if hashlib.sha256(weights).hexdigest() != description["weights_sha256"]:
        raise CheckpointError(
            f"{path} does not have the SHA-256 in {DESCRIPTION_FILE}: altered or not its own. {_ADVICE}"
        )
    try:
        config = from_plain(PolicyConfig, migrate_policy_config(description["config"]), "config")
        policy = VisuomotorPolicy(config, TaskSpec.from_dict(description["task_spec"]))
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder / DESCRIPTION_FILE} describes no policy that this version can build: {error}. "
            f"It was written by forestpilot {description.get('package_version')}, this is {package_version()}."
        ) from error
    load_tensors(policy, _tensors(path, weights), path)
    return policy.eval()


def describe_policy(folder: str | Path) -> dict[str, Any]:
    """The contents of policy.json, checked to be complete, without reading the weights.

    Raises:
        CheckpointError: the file is missing, no JSON, or lacks a key.
    """
    path = Path(folder) / DESCRIPTION_FILE
    try:
        description = json.loads(_read(path))
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON ({error}): truncated or altered. {_ADVICE}") from error
    given = description.get("format") if isinstance(description, dict) else type(description).__name__
    if given not in READABLE_FORMATS:
        raise CheckpointError(
            f"{path} has the format {given!r}, this version reads {' and '.join(READABLE_FORMATS)}. {_ADVICE}"
        )
    needed = {"weights_sha256": str, "weights_bytes": int, "config": dict, "task_spec": dict, "policy_id": str}
    for key, kind in needed.items():
        if not isinstance(description.get(key), kind):
            raise CheckpointError(f"{path} lacks a {kind.__name__} under {key!r}. {_ADVICE}")
    return description


def load_tensors(module: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Copy tensors into a module of exactly the same names, shapes and types.

    Raises:
        CheckpointError: they differ; the message names the first tensors that do.
    """
    own = module.state_dict()
    wrong = []
    for name in {**own, **tensors}:
        if name not in tensors:
            wrong.append(f"{name} is missing")
        elif name not in own:
            wrong.append(f"{name} is not the policy's")
        elif _kind(tensors[name]) != _kind(own[name]):
            wrong.append(f"{name} is {_kind(tensors[name])}, not {_kind(own[name])}")
    if wrong:
        raise CheckpointError(f"{path} does not fit its policy: {'; '.join(wrong[:3])}. {_ADVICE}")
    module.load_state_dict(tensors)


def save_state(path: str | Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and JSON-plain facts into one safetensors file, atomically: a killed process leaves the old file
    or the new.
    """
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    write_new_file(Path(path), [save(contiguous, metadata={"facts": json.dumps(facts)})])


def load_state(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_state` wrote.

    Raises:
        CheckpointError: the file is missing, truncated or not of this kind.
    """
    path = Path(path)
    data = _read(path)
    tensors = _tensors(path, data)
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts = json.loads(header["__metadata__"]["facts"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no training state: it carries no facts. Delete it to start the training over."
        ) from error
    return tensors, facts


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {tensor.dtype}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}. {_ADVICE}") from error


def _tensors(path: Path, data: bytes) -> dict[str, Tensor]:
    try:
        return load(data)
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is no whole safetensors file ({error}). {_ADVICE}") from error
