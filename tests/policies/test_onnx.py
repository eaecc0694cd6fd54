"""Policies as ONNX files: every part of a policy acts as in torch, whatever the batch, and flies the same flights."""

from __future__ import annotations

import ast
import itertools
import json
import runpy
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from forestpilot.data_collection.episodes.dataset import Dataset, SpecMismatchError
from forestpilot.data_collection.export import ExportError
from forestpilot.data_collection.rollouts.pool import Job, roll_out
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix
from forestpilot.policies.evaluation.entrants import make_entrant, network_acted, parse_policy
from forestpilot.policies.export import POLICY_EXPORTERS
from forestpilot.policies.export.levelling import GraphViews
from forestpilot.policies.export.onnx_exporter import OnnxConfig, OnnxExporter
from forestpilot.policies.export.parity import compare, made_up, recorded
from forestpilot.policies.export.runner import OnnxError, OnnxPolicy
from forestpilot.policies.networks.checkpoint import save_policy
from forestpilot.policies.networks.config import ViewConfig
from forestpilot.policies.networks.heads import HEADS, HeadConfig
from forestpilot.policies.networks.heads.base import NO_CONTEXT, ActContext, ActionsHead
from forestpilot.policies.networks.memories import MEMORIES
from forestpilot.policies.networks.views import ViewPreparer
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.sim.errors import ForestPilotError, InvalidArgumentError
from forestpilot.sim.goals import IMAGE
from forestpilot.sim.tasks import TASKS
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.made_up import make_policy, shaken
from tests.helpers.specs import small_drive_spec, small_spec

EXAMPLE = Path(__file__).parents[2] / "examples" / "fly_onnx.py"
WITH: dict[str, dict[str, Any]] = {
    "regression": {"chunk": 4, "chunk_steps": 3},
    "gaussian": {"chunk": 4, "chunk_execution": "averaged", "view": {"height": 5, "width": 7}},
    "mixture": {"encoder": {"part": "cnn", "channels": (4, 6, 8)}},
    "categorical": {"cameras": "all"},
    "cvae": {"view": {"height": 8, "width": 16, "level": False}},
    "diffusion": {"hidden": ("picture:0.5:1:0:1", "roll_rad")},
    "flow": {"causes": ("forward_mps",), "chunk": 2},
}
"""What else a policy is with a head, so that everything is there once; memories take turns."""
SMALL_VIEW = {"height": 8, "width": 16}


@pytest.fixture(autouse=True, scope="module")
def _few_figures() -> Iterator[None]:
    """Nobody looks at the times here, and tests compare for themselves."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("forestpilot.policies.export.onnx_file.MADE_UP_RECORDINGS", 2)
        patched.setattr("forestpilot.policies.export.parity.REPEATS", 1)
        patched.setattr("forestpilot.policies.export.parity.TIMED_STEPS", 1)
        yield


def exported(folder: Path, policy: VisuomotorPolicy, **options: Any) -> tuple[OnnxPolicy, list[str]]:
    save_policy(folder / "checkpoint", policy)
    said = OnnxExporter().export(folder / "checkpoint", folder / "policy.onnx", OnnxConfig(**options))
    return OnnxPolicy(folder / "policy.onnx"), said


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> tuple[VisuomotorPolicy, Path]:
    """A policy of the usual parts, and the file that it became."""
    folder = tmp_path_factory.mktemp("exported")
    policy = shaken(make_policy(spec=small_spec(), view=SMALL_VIEW))
    exported(folder, policy)
    return policy, folder / "policy.onnx"


@pytest.mark.parametrize(("head", "memory"), list(zip(HEADS.names(), itertools.cycle(MEMORIES.names()))))
def test_it_acts_as_in_torch_with_any_batch(head: str, memory: str, tmp_path: Path) -> None:
    parts = {"head": {"part": head}, "memory": {"part": memory}}
    policy = shaken(make_policy(spec=small_spec(), **({"view": SMALL_VIEW} | WITH.get(head, {}) | parts)))
    runner, _ = exported(tmp_path, policy)
    for batch in (1, 4):
        parity = compare(policy, runner, [made_up(policy, batch, seed=5)])
        assert parity.steps > 8
        assert parity.largest < 1e-5


def test_steering_and_goals_as_pictures_act_as_in_torch(tmp_path: Path) -> None:
    car = shaken(make_policy(spec=small_drive_spec(), view=SMALL_VIEW))
    seeker = shaken(make_policy(spec=small_spec(goal_kind=IMAGE), view=SMALL_VIEW, goal_encoder={"part": "picture"}))
    for name, policy in (("car", car), ("seeker", seeker)):
        (tmp_path / name).mkdir()
        runner, _ = exported(tmp_path / name, policy)
        assert compare(policy, runner, [made_up(policy, 2)]).largest < 1e-5


def test_views_in_the_graph_are_those_that_the_policy_sees() -> None:
    """Of noise, one pixel in thousands may read otherwise on a processor that computes in another order."""
    rng = np.random.default_rng(0)
    for view in (ViewConfig(8, 16), ViewConfig(5, 7, horizon_offset_px=1.5), ViewConfig(8, 16, level=False)):
        prepare = ViewPreparer(small_spec(), view)
        pictures = rng.integers(0, 256, (40, *prepare.image_shape), dtype=np.uint8)
        state = rng.normal(0, 0.3, (40, small_spec().state_size)).astype(np.float32)
        views = GraphViews(prepare)(torch.from_numpy(pictures), torch.from_numpy(state)).numpy()
        differs = (views != prepare(pictures, state)).any(-1)
        assert views.shape == (40, *prepare.view_shape) and views.dtype == np.uint8
        assert differs.mean() < 1e-3


def test_the_file_and_what_lies_beside_it_tell_how_it_is_run(flown: tuple[VisuomotorPolicy, Path]) -> None:
    policy, path = flown
    about = OnnxPolicy(path).about
    assert json.loads(path.with_suffix(".json").read_text()) == about
    card = path.with_name(f"{path.name}.md").read_text()
    assert card.startswith("---\npipeline_tag: robotics\nlibrary_name: onnx\n") and "None is stated" in card
    assert [feature["name"] for feature in about["observations"]] == ["center", "state", "goal"]
    assert about["observations"][0] == {"name": "center", "shape": [12, 16, 3], "dtype": "uint8"}
    assert {"memory_0", "memory_1", "previous_turn"} == {feature["name"] for feature in about["carried"]}
    assert about["task_spec"] == policy.spec.to_dict() and about["control_hz"] == policy.spec.control_hz
    assert about["preprocessing"]["levelled_by"] == ["roll_rad", "pitch_rad"]


def test_what_nothing_depends_on_is_not_asked_for(tmp_path: Path) -> None:
    policy = shaken(make_policy(spec=small_spec(), head={"part": "regression"}, memory={"part": "none"}))
    runner, said = exported(tmp_path, policy)
    assert "over 24 made-up steps" in said[0]
    assert runner.begin(1) == {}
    assert [output.name for output in runner.session.get_outputs()] == ["action"]


def test_recorded_steps_are_compared_and_calibrate_int8(tmp_path: Path) -> None:
    policy = shaken(make_policy(spec=small_spec(), view=SMALL_VIEW))
    data = Dataset.create(tmp_path / "data", small_spec(), ENV_ID)
    for seed in range(3):
        data.add(make_episode(seed, 12))
    recordings = recorded(policy, tmp_path / "data", 20)
    assert [len(recording["state"]) for recording in recordings] == [12, 8]
    (tmp_path / "int8").mkdir()
    _, said = exported(tmp_path, policy, data=tmp_path / "data", steps=20)
    assert "over 20 recorded steps" in said[0]
    small, _ = exported(tmp_path / "int8", policy, data=tmp_path / "data", steps=20, int8=True)
    assert small.about["int8"]
    difference = compare(policy, small, recordings).differences
    assert 0 < np.median(difference) < 0.5


def test_data_of_another_task_and_int8_without_data_are_refused(tmp_path: Path) -> None:
    Dataset.create(tmp_path / "data", small_drive_spec(), "ForestPilot/Drive-v0")
    with pytest.raises(SpecMismatchError):
        recorded(make_policy(spec=small_spec()), tmp_path / "data", 5)
    Dataset.create(tmp_path / "empty", small_spec(), ENV_ID)
    with pytest.raises(ExportError, match="no episode"):
        recorded(make_policy(spec=small_spec()), tmp_path / "empty", 5)
    with pytest.raises(InvalidArgumentError, match=r"--to\.data"):
        OnnxConfig(int8=True)


@dataclass(frozen=True)
class DrawingConfig(HeadConfig):
    part: ClassVar[str] = f"{__name__}:DrawingHead"


class DrawingHead(ActionsHead):
    """Draws from its generator, and takes no noise."""

    Config: ClassVar[type[HeadConfig]] = DrawingConfig
    draws_noise = True

    def __init__(self, config: DrawingConfig, features: int, spec: Any, chunk: int = 1) -> None:
        super().__init__(config, features, spec, chunk, outputs=2)

    def action_loss(self, prediction: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        return (prediction - actions).abs().sum(-1)

    def act(
        self, prediction: torch.Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        return torch.tanh(prediction + torch.randn(prediction.shape, generator=generator))


@dataclass(frozen=True)
class RoundingConfig(HeadConfig):
    part: ClassVar[str] = f"{__name__}:RoundingHead"


class RoundingHead(DrawingHead):
    """Takes a number out of the graph, so that tracing keeps what it was once."""

    Config: ClassVar[type[HeadConfig]] = RoundingConfig
    draws_noise = False

    def act(
        self, prediction: torch.Tensor, context: ActContext = NO_CONTEXT, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        return torch.tanh(prediction + float(prediction.detach().mean()))


def test_what_a_graph_cannot_do_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    for head, words in ((DrawingConfig, "draws from a generator"), (RoundingConfig, "would act otherwise")):
        policy = shaken(make_policy(spec=small_spec(), head={"part": head.part}))
        save_policy(tmp_path / "checkpoint", policy)
        with pytest.raises(ExportError, match=words):
            OnnxExporter().export(tmp_path / "checkpoint", tmp_path / "policy.onnx")
        assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]


def test_what_is_there_already_stays(flown: tuple[VisuomotorPolicy, Path], tmp_path: Path) -> None:
    checkpoint = flown[1].parent / "checkpoint"
    for name in ("policy.onnx", "policy.json"):
        taken = tmp_path / name
        taken.write_bytes(b"mine")
        with pytest.raises(ExportError, match="already"):
            OnnxExporter().export(checkpoint, tmp_path / "policy.onnx")
        assert [entry.name for entry in tmp_path.iterdir()] == [name] and taken.read_bytes() == b"mine"
        taken.unlink()
    with pytest.raises(ExportError, match=r"call the file .*\.onnx"):
        OnnxExporter().export(checkpoint, tmp_path / "policy.json")


def test_damaged_and_foreign_files_are_refused(flown: tuple[VisuomotorPolicy, Path], tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    whole = flown[1].read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    model = onnx.load_from_string(whole)
    del model.metadata_props[:]
    (tmp_path / "foreign.onnx").write_bytes(model.SerializeToString())
    for name, words in (("cut", "no ONNX file"), ("foreign", "does not say how"), ("missing", "cannot read")):
        with pytest.raises(OnnxError, match=words):
            OnnxPolicy(tmp_path / f"{name}.onnx")
    policy = OnnxPolicy(flown[1])
    seen = {key: values[0] for key, values in made_up(flown[0], 1).items()}
    with pytest.raises(OnnxError, match="cannot take this step"):
        policy.act(seen | {"state": np.zeros((1, 3), np.float32)}, policy.begin(1))


@pytest.mark.parametrize("head", ["turn-costs", "flow"])
def test_it_flies_the_same_flights_as_in_torch(head: str, tmp_path: Path) -> None:
    """Five worlds through three slots, so that slots are used again."""
    mix = ScenarioMix(width=32, height=24, speeds=(6.0, 10.0))
    drone = TASKS.get("drone")
    spec = small_spec(image_width=32, image_height=24)
    exported(tmp_path, shaken(make_policy(spec=spec, view=SMALL_VIEW, head={"part": head})))
    worlds = tuple(mix.scenario(seed, drone) for seed in range(5))
    flights = []
    for target in (str(tmp_path / "checkpoint"), f"onnx:{tmp_path / 'policy.onnx'}"):
        factory = make_entrant(target, drone).factory
        flights.append({flight.scenario.seed: flight for flight in roll_out(Job("drone", worlds, factory), slots=3)})
    for seed, flight in flights[0].items():
        assert flights[1][seed].outcome == flight.outcome
        assert np.allclose(flights[1][seed].actions[:30], flight.actions[:30], atol=1e-4)


def test_a_file_is_a_policy_by_its_kind(flown: tuple[VisuomotorPolicy, Path]) -> None:
    target = f"onnx:{flown[1]}"
    entrant = make_entrant(target, TASKS.get("drone"))
    assert (entrant.name, entrant.target, entrant.spec) == ("policy", target, flown[0].spec)
    assert parse_policy(f"mine={target}").name == "mine"
    assert not network_acted(target), "no checkpoint that a report could look into"
    with pytest.raises(ForestPilotError, match="trained for the task 'drone'"):
        make_entrant(target, TASKS.get("drive"))
    with pytest.raises(OnnxError, match="cannot read"):
        make_entrant("onnx:nowhere", TASKS.get("drone"))


def test_the_example_needs_numpy_and_onnxruntime_alone_and_acts_as_torch_does(
    flown: tuple[VisuomotorPolicy, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "__future__"]
    policy, path = flown
    monkeypatch.setattr(sys, "argv", ["fly_onnx.py", "--policy", str(path), "--steps", "3"])
    names = runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert "3 steps" in capsys.readouterr().out
    pilot = names["Policy"](str(path))
    carry = policy.begin(1)
    recording = made_up(policy, 1, seed=2)
    for step in range(4):
        seen = {key: values[step] for key, values in recording.items()}
        wanted, carry = policy.act(seen, carry)
        assert np.allclose(pilot.act({key: values[0] for key, values in seen.items()}), wanted[0], atol=1e-5)


def test_the_exporter_is_registered_under_its_name() -> None:
    assert POLICY_EXPORTERS.get("onnx") is OnnxExporter
    assert OnnxConfig.part in POLICY_EXPORTERS
