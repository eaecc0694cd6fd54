"""Policies and training states on disk: tensors in safetensors, everything else in JSON. Loading never runs code from
a file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from forestpilot.data_collection.episodes.bounded import UnboundedError, parse_json, read_bytes
from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.migration import migrate_policy_config
from forestpilot.data_collection.episodes.plain import from_plain, to_plain
from forestpilot.data_collection.episodes.seals import (
    DamagedFileError,
    digest_of,
    digest_of_values,
    sealed,
    set_aside,
    unsealed,
)
from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy
from forestpilot.sim.envs.task_spec import TaskSpec
from forestpilot.sim.errors import ForestPilotError

FORMAT = "forestpilot-policy-3"
"""What is written."""
UNSEALED_FORMATS = ("forestpilot-policy-1", "forestpilot-policy-2")
"""Those of versions 0.1 and 0.2, which had no digest over config, task spec and weights."""
READABLE_FORMATS = (*UNSEALED_FORMATS, FORMAT)
"""What is read."""
STATE_FORMAT = "forestpilot-training-2"
"""Of a training state; those of versions 0.1 and 0.2 name none, and have no digest."""
LARGEST_BYTES = 2**28
"""Largest file that is read; usual policies have 1 MB, their training states 4."""
WEIGHTS_FILE = "policy.safetensors"
DESCRIPTION_FILE = "policy.json"
_ADVICE = "Copy the folder again from where it came, or train anew with `forestpilot train`."
_STATE_ADVICE = "Delete it to start this training over, or restore it from a copy; nothing was changed."


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
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in policy.state_dict().items()}
    policy_id = hashlib.sha256(save(tensors)).hexdigest()[:12]
    about = {
        "package_version": package_version(),
        "policy_id": policy_id,
        "parameters": policy.num_parameters,
        "config": to_plain(policy.config),
        "task_spec": policy.spec.to_dict(),
        "extra": extra or {},
    }
    _write_policy(Path(folder), tensors, about)
    return policy_id


def seal_policy(folder: str | Path) -> bool:
    """Write a stored policy of an older version anew, with the same weights, config and facts, and with digests.

    Returns:
        False where it has them already.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    folder = Path(folder)
    about = describe_policy(folder)
    if about["format"] == FORMAT:
        return False
    load_policy(folder)
    tensors = _tensors(folder / WEIGHTS_FILE, _read(folder / WEIGHTS_FILE))
    _write_policy(folder, tensors, {key: value for key, value in about.items() if key not in _OF_THE_FILES})
    return True


_POLICY_KEY = "policy"
"""Under which weights carry their format and the digest of what policy.json says of them."""
_OF_THE_FILES = ("format", "weights_sha256", "weights_bytes")
"""Keys of policy.json that say how the two files belong together; all others say what the policy is."""


def _write_policy(folder: Path, tensors: dict[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write both files; each tells the other's digest, so that neither can be exchanged, nor pass for an older one."""
    folder.mkdir(parents=True, exist_ok=True)
    about = json.loads(json.dumps(about))
    weights = save(tensors, metadata={_POLICY_KEY: f"{FORMAT} {digest_of_values(about)}"})
    files = (FORMAT, hashlib.sha256(weights).hexdigest(), len(weights))
    description = sealed({**dict(zip(_OF_THE_FILES, files, strict=True)), **about})
    write_new_file(folder / WEIGHTS_FILE, [weights])
    write_new_file(folder / DESCRIPTION_FILE, [json.dumps(description, indent=2).encode()])


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
    _require_mutual(path, weights, description)
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


def _require_mutual(path: Path, weights: bytes, description: dict[str, Any]) -> None:
    """Raise CheckpointError where the weights were written with another description, or as another format."""
    told = _metadata(weights).get(_POLICY_KEY)
    about = {key: value for key, value in description.items() if key not in _OF_THE_FILES}
    wanted = f"{FORMAT} {digest_of_values(about)}" if description["format"] == FORMAT else None
    if told != wanted:
        raise CheckpointError(
            f"{path} was not written with the {DESCRIPTION_FILE} beside it: one of them was altered, or is not its "
            f"own. {_ADVICE}"
        )


def is_whole(folder: str | Path) -> bool:
    """True where a policy lies in a folder that `load_policy` would load."""
    try:
        load_policy(folder)
    except CheckpointError:
        return False
    return True


def set_policy_aside(folder: str | Path) -> str:
    """Rename the files of a damaged policy, so that another can be stored there; returns their names now, in words."""
    files = [Path(folder) / name for name in (DESCRIPTION_FILE, WEIGHTS_FILE)]
    return " and ".join(str(set_aside(file)) for file in files if file.exists())


def describe_policy(folder: str | Path) -> dict[str, Any]:
    """The contents of policy.json, checked to be as they were written, without reading the weights.

    Raises:
        CheckpointError: the file is missing, no JSON, altered, or lacks a key.
    """
    path = Path(folder) / DESCRIPTION_FILE
    try:
        description = parse_json(_read(path))
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
    try:
        return unsealed(description, path, is_required=given == FORMAT)
    except DamagedFileError as error:
        raise CheckpointError(f"{path} has been damaged or altered since it was written. {_ADVICE}") from error


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
        elif not torch.isfinite(tensors[name]).all():
            wrong.append(f"{name} has NaN or infinity")
    if wrong:
        raise CheckpointError(f"{path} does not fit its policy: {'; '.join(wrong[:3])}. {_ADVICE}")
    module.load_state_dict(tensors)


def save_state(path: str | Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and JSON-plain facts into one safetensors file, with a digest over all of it, atomically: a killed
    process leaves the old file or the new.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One key: safetensors writes several in an order that differs from process to process.
    told = f"{STATE_FORMAT} {_BLANK} {json.dumps(facts)}"
    head, body = _head_and_body(save(contiguous, metadata={_STATE_KEY: told}))
    digest = digest_of(head, body)
    write_new_file(Path(path), [head.replace(_marked(_BLANK), _marked(digest)), body])


def load_state(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_state` wrote.

    Raises:
        CheckpointError: the file is missing, truncated, altered or not of this kind.
    """
    path = Path(path)
    data = _read(path, _STATE_ADVICE)
    tensors = _tensors(path, data, _STATE_ADVICE)
    told = _metadata(data)
    if _STATE_KEY in told:
        _require_state_digest(path, data)
    try:
        if _STATE_KEY in told:
            return tensors, parse_json(told[_STATE_KEY].split(" ", 2)[2])
        return tensors, parse_json(told["facts"])  # as versions 0.1 and 0.2 wrote it
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is no training state: it carries no facts. {_STATE_ADVICE}") from error


_STATE_KEY = "state"
"""Under which a state carries its format, its digest and its facts."""
_BLANK = "0" * 32
"""Stands in the file where the digest will, while it is computed."""
_MARK = re.compile(f'"{_STATE_KEY}":"{STATE_FORMAT} ([0-9a-f]{{32}}) '.encode())


def _marked(digest: str) -> bytes:
    """How a digest stands in the head of a state; within facts the quotes are escaped."""
    return f'"{_STATE_KEY}":"{STATE_FORMAT} {digest} '.encode()


def _head_and_body(data: bytes) -> tuple[bytes, bytes]:
    """The head of a safetensors file, which says what lies in it, and the bytes of its tensors."""
    end = 8 + int.from_bytes(data[:8], "little")
    return data[:end], data[end:]


def _require_state_digest(path: Path, data: bytes) -> None:
    """Raise CheckpointError where a state is not as it was written."""
    head, body = _head_and_body(data)
    found = [digest.decode() for digest in _MARK.findall(head)]
    if len(found) != 1 or digest_of(head.replace(_marked(found[0]), _marked(_BLANK)), body) != found[0]:
        raise CheckpointError(f"{path} has been damaged or altered since it was written. {_STATE_ADVICE}")


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file; empty where there is none, or the file is none."""
    try:
        values = parse_json(_head_and_body(data)[0][8:])
    except ValueError:
        return {}
    told = values.get("__metadata__") if isinstance(values, dict) else None
    return told if isinstance(told, dict) else {}


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {tensor.dtype}"


def _read(path: Path, advice: str = _ADVICE) -> bytes:
    try:
        return read_bytes(path, LARGEST_BYTES)
    except UnboundedError as error:
        raise CheckpointError(f"{path} is none of ForestPilot's: {error}. {advice}") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}. {advice}") from error


def _tensors(path: Path, data: bytes, advice: str = _ADVICE) -> dict[str, Tensor]:
    try:
        return load(data)
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is no whole safetensors file ({error}). {advice}") from error
