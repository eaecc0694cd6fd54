"""Checkpoints: what is saved comes back to the bit, and what is damaged says so and how."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from forestpilot.data_collection.episodes.seals import sealed
from forestpilot.policies.networks.checkpoint import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    CheckpointError,
    describe_policy,
    load_policy,
    load_state,
    save_policy,
    save_state,
    seal_policy,
)
from forestpilot.policies.networks.heads import HEADS
from forestpilot.policies.networks.memories import MEMORIES
from tests.helpers.damage import damages
from tests.helpers.made_up import make_observations, make_policy

OLD = "forestpilot-policy-2"
"""Format of policies of version 0.2."""


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("head", HEADS)
def test_a_loaded_policy_acts_as_the_saved_one(tmp_path: Path, memory: str, head: str) -> None:
    policy = make_policy(memory=memory, head=head)
    save_policy(tmp_path, policy)
    loaded = load_policy(tmp_path)
    assert loaded.config == policy.config
    assert loaded.spec == policy.spec
    assert not loaded.training
    observations = make_observations(np.random.default_rng(0), 2, policy.spec)
    assert np.array_equal(loaded.act(observations)[0], policy.act(observations)[0])


def test_policy_json_tells_who_it_is(tmp_path: Path) -> None:
    policy_id = save_policy(tmp_path, make_policy(), {"round": 3, "validation_success": 0.97})
    description = describe_policy(tmp_path)
    assert description["policy_id"] == policy_id
    assert description["extra"] == {"round": 3, "validation_success": 0.97}
    assert description["parameters"] > 0


def test_equal_weights_have_equal_ids(tmp_path: Path) -> None:
    first = save_policy(tmp_path / "a", make_policy(seed=1))
    assert save_policy(tmp_path / "b", make_policy(seed=1)) == first
    assert save_policy(tmp_path / "c", make_policy(seed=2)) != first


def truncate_weights(folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS_FILE).read_bytes())
    data[-7] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(data)


def truncate_description(folder: Path) -> None:
    path = folder / DESCRIPTION_FILE
    path.write_text(path.read_text()[:-40])


def edit_description(seal: bool = False, **changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / DESCRIPTION_FILE
        values = json.loads(path.read_text()) | changes
        values = {key: value for key, value in values.items() if value is not None}
        path.write_text(json.dumps(sealed(values) if seal else values, indent=2))

    return edit


def make_old(folder: Path) -> None:
    """As version 0.2 wrote a policy: without any digest of its description."""
    save_file(load_file(folder / WEIGHTS_FILE), folder / WEIGHTS_FILE)
    data = (folder / WEIGHTS_FILE).read_bytes()
    files = {"weights_bytes": len(data), "weights_sha256": hashlib.sha256(data).hexdigest()}
    edit_description(**files, format=OLD, digest=None, sealed_by=None)(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": {"memori": "lstm"}}, "memori"),
        ({"config": {"memory": "gru"}}, "none, lstm, transformer"),
        ({"task_spec": {}}, "task spec"),
    ],
)
def test_a_policy_of_an_older_version_that_cannot_be_built_says_why(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    save_policy(tmp_path, make_policy())
    make_old(tmp_path)
    edit_description(**changes)(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        load_policy(tmp_path)


def test_a_policy_of_an_older_version_is_sealed_on_request(tmp_path: Path) -> None:
    policy = make_policy()
    policy_id = save_policy(tmp_path, policy, {"round": 3})
    assert not seal_policy(tmp_path)
    whole = [(tmp_path / name).read_bytes() for name in (WEIGHTS_FILE, DESCRIPTION_FILE)]
    make_old(tmp_path)
    assert_same_weights(load_policy(tmp_path), policy)
    assert seal_policy(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in (WEIGHTS_FILE, DESCRIPTION_FILE)] == whole
    assert describe_policy(tmp_path)["policy_id"] == policy_id


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_no_damaged_policy_loads_as_another(tmp_path: Path) -> None:
    policy = make_policy()
    save_policy(tmp_path, policy, {"round": 3, "unknown": [1.5, None]})
    about = describe_policy(tmp_path)
    for name in (DESCRIPTION_FILE, WEIGHTS_FILE):
        path = tmp_path / name
        whole = path.read_bytes()
        noticed = 0
        for data in damages(whole, 100):
            path.write_bytes(data)
            try:
                assert_same_weights(load_policy(tmp_path), policy)
            except CheckpointError:
                noticed += 1
            else:
                assert describe_policy(tmp_path) == about
        assert noticed > 75
        path.write_bytes(whole)


def test_no_damaged_state_loads(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_state(path, {"weights": torch.linspace(0, 1, 50)}, {"step": 120, "config": {"learning_rate": 0.001}})
    whole = path.read_bytes()
    for data in damages(whole, 400):
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="Delete it to start this training over"):
            load_state(path)


def test_a_state_of_an_older_version_loads(tmp_path: Path) -> None:
    save_file({"weights": torch.ones(3)}, tmp_path / "state", metadata={"facts": json.dumps({"step": 7})})
    tensors, facts = load_state(tmp_path / "state")
    assert facts == {"step": 7}
    assert torch.equal(tensors["weights"], torch.ones(3))


def swap_weights(folder: Path) -> None:
    save_policy(folder / "other", make_policy(features=24))
    (folder / WEIGHTS_FILE).write_bytes((folder / "other" / WEIGHTS_FILE).read_bytes())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), f"cannot read .*{WEIGHTS_FILE}"),
        (lambda folder: (folder / DESCRIPTION_FILE).unlink(), f"cannot read .*{DESCRIPTION_FILE}"),
        (truncate_weights, "truncated"),
        (flip_a_bit, "SHA-256"),
        (swap_weights, "truncated or not its own"),
        (truncate_description, "is not JSON"),
        (edit_description(format="other"), "format 'other'"),
        (edit_description(config=None), "lacks a dict under 'config'"),
        (edit_description(seal=True, config={"memori": "lstm"}), "was not written with"),
        (edit_description(parameters=3), "damaged or altered"),
        (edit_description(of_nobody=3), "damaged or altered"),
        (edit_description(digest=None), "damaged or altered"),
        (edit_description(digest=None, format=OLD), "damaged or altered"),
        (edit_description(digest=None, sealed_by=None, format=OLD), "was not written with"),
        (lambda folder: (folder / DESCRIPTION_FILE).write_text("[" * 9999), "not JSON"),
        (lambda folder: (folder / DESCRIPTION_FILE).write_text("[1]"), "format 'list'"),
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    save_policy(tmp_path, make_policy())
    damage(tmp_path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_policy(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("encoder.join.bias"), "encoder.join.bias is missing"),
        (lambda t: t.update({"extra.weight": torch.zeros(1)}), "extra.weight is not the policy's"),
        (lambda t: t.update({"encoder.join.bias": torch.zeros(3)}), r"encoder.join.bias is \(3,\)"),
        (lambda t: t.update({"encoder.join.bias": t["encoder.join.bias"].double()}), "float64"),
    ],
)
def test_weights_of_another_shape_are_named(tmp_path: Path, change: Callable[[dict], object], message: str) -> None:
    save_policy(tmp_path, make_policy())
    make_old(tmp_path)
    path = tmp_path / WEIGHTS_FILE
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    data = path.read_bytes()
    edit_description(weights_bytes=len(data), weights_sha256=hashlib.sha256(data).hexdigest())(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        load_policy(tmp_path)


def test_a_pickle_in_place_of_the_weights_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "ran",)

    save_policy(tmp_path, make_policy())
    make_old(tmp_path)
    data = pickle.dumps(Bomb())
    (tmp_path / WEIGHTS_FILE).write_bytes(data)
    edit_description(weights_bytes=len(data), weights_sha256=hashlib.sha256(data).hexdigest())(tmp_path)
    with pytest.raises(CheckpointError, match="no whole safetensors file"):
        load_policy(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_state_comes_back_with_its_facts(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4), "step": torch.tensor(5.0)}
    save_state(tmp_path / "state.safetensors", tensors, {"step": 5, "loss": 0.1 + 0.2})
    loaded, facts = load_state(tmp_path / "state.safetensors")
    assert facts == {"step": 5, "loss": 0.1 + 0.2}
    assert all(torch.equal(tensors[name], loaded[name]) for name in tensors)


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_state(path, {"a": torch.zeros(100)}, {})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"state\.safetensors"):
        load_state(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="no facts"):
        load_state(path)


def test_nothing_temporary_is_left(tmp_path: Path) -> None:
    save_policy(tmp_path, make_policy())
    assert sorted(path.name for path in tmp_path.iterdir()) == [DESCRIPTION_FILE, WEIGHTS_FILE]
