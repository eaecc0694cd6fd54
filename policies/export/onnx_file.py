"""A policy as one ONNX file: pictures, state and goal as the environment gives them, and what it carries from step to
step, to the action. Levelling and scaling lie in the graph.

The file tells how it is to be run, as JSON in its metadata under `forestpilot`; the same stands in a .json beside it.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.export.exporter import ExportError
from forestpilot.policies.export.onnx_exporter import OnnxConfig
from forestpilot.policies.export.parity import compare, cpu_times, made_up, recorded
from forestpilot.policies.export.runner import FORMAT, METADATA_KEY, OnnxError, OnnxPolicy
from forestpilot.policies.export.step import Feature, PolicyStep
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from forestpilot.sim.extras import require

OPSET = 17
"""Version of the operators; onnxruntime knows them since 1.12."""
TOLERANCE = 1e-4
"""Largest difference from torch's action at a step that is taken for rounding."""
MOST_OFF = 0.05
"""Share of the steps that may differ by more: where two turns cost the same, rounding decides which is taken."""

MADE_UP_RECORDINGS = 10
"""Where there are no recorded steps, so many made-up recordings tell by how much a policy differs at most."""


def write_policy(
    policy: VisuomotorPolicy, description: dict[str, Any], path: Path, beside: Path, config: OnnxConfig
) -> list[str]:
    """Write a policy as ONNX, and what is told of it.

    Args:
        policy: the policy.
        description: of its checkpoint.
        path: the file.
        beside: the JSON beside it.
        config: options.

    Returns:
        How the file compares with torch, in lines.

    Raises:
        ExportError, OnnxError: it cannot be written, or acts otherwise than torch.
    """
    recordings = [] if config.data is None else recorded(policy, config.data, config.steps)
    step = PolicyStep(policy)
    model = graph_of(step)
    about = _about(step, model, description, config)
    _write(model, about, path)
    if config.int8:
        from forestpilot.policies.export.int8 import quantised

        model = quantised(path, recordings)
        _write(model, about, path)
    runner = OnnxPolicy(path)
    if not config.int8:
        _require_alike(policy, runner)
    write_new_file(beside, [json.dumps(about, indent=2).encode()])
    return _figures(policy, runner, recordings)


def graph_of(step: PolicyStep) -> Any:
    """The step as an ONNX model, its first axes dynamic; what it does not depend on is not among its inputs.

    Raises:
        ExportError: some part has an operation that ONNX has not.
        MissingExtraError: onnx is not installed.
    """
    onnx = require("onnx")
    blank = tuple(torch.zeros(2, *feature.shape, dtype=getattr(torch, feature.dtype)) for feature in step.inputs)
    names = [feature.name for feature in step.inputs]
    answers = [feature.name for feature in step.outputs]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what tracing may get wrong is found by comparing
        path = str(Path(folder) / "step.onnx")
        try:
            with torch.no_grad():
                torch.onnx.export(
                    step.eval(),
                    blank,
                    path,
                    input_names=names,
                    output_names=answers,
                    dynamic_axes={name: {0: "batch"} for name in (*names, *answers)},
                    opset_version=OPSET,
                    dynamo=False,
                )
        except (RuntimeError, TypeError, ValueError) as error:  # torch's OnnxExporterError is a RuntimeError
            raise ExportError(
                f"torch cannot write this policy as ONNX: {str(error).splitlines()[0]}; its parts are {_parts(step)}"
            ) from error
        model = onnx.load(path)
    _forget_unused(model.graph, names)
    return model


def _forget_unused(graph: Any, names: list[str]) -> None:
    """Take out what would be carried and nothing depends on, and what only serves it."""
    kept = {value.name for value in graph.input}
    gone = {f"next_{name}" for name in names if name not in kept}
    for value in [value for value in graph.output if value.name in gone]:
        graph.output.remove(value)
    needed = {value.name for value in graph.output}
    for node in reversed(list(graph.node)):
        if needed.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            needed.update(node.input)


def _parts(step: PolicyStep) -> str:
    config = step.policy.config
    return ", ".join(part.part for part in (config.encoder, config.goal_encoder, config.memory, config.head))


def _about(step: PolicyStep, model: Any, description: dict[str, Any], config: OnnxConfig) -> dict[str, Any]:
    """What the file tells of itself: how it is run, and what it was made of."""
    kept = {value.name for value in model.graph.input}

    def told(features: tuple[Feature, ...]) -> list[dict[str, Any]]:
        return [
            {"name": feature.name, "shape": list(feature.shape), "dtype": feature.dtype}
            for feature in features
            if feature.name in kept
        ]

    policy = step.policy
    noise = None
    if step.noise:
        each = "episode" if policy.head.keeps_noise else "step"
        noise = {"shape": list(step.noise[0].shape), "each": each}
    outputs = {value.name for value in model.graph.output}
    return {
        "format": FORMAT,
        "observations": told(step.observations),
        "carried": told(step.carried),
        "noise": noise,
        "outputs": [feature._asdict() for feature in step.outputs if feature.name in outputs],
        "cameras": [name for name in policy.camera_names if name in kept],
        "how": "Each step, give observations, with the batch as first axis, and what is carried: zeros at the first "
        "step of an episode, then what came out as next_NAME. action is (turn, go), each from -1 to 1.",
        "preprocessing": _preprocessing(policy),
        "int8": config.int8,
        "control_hz": policy.spec.control_hz,
        "policy_id": description["policy_id"],
        "package_version": description.get("package_version"),
        "config": description["config"],
        "task_spec": policy.spec.to_dict(),
    }


def _preprocessing(policy: VisuomotorPolicy) -> dict[str, Any]:
    """What the graph does to pictures and state before the network."""
    prepare = policy.prepare
    return {
        "where": "in the graph",
        "picture_shape": list(prepare.image_shape),
        "view_shape": list(prepare.view_shape),
        "levelled_by": [policy.spec.state_names[index] for index in prepare.tilt_index],
        "averaged_blocks_px": prepare.shrink,
        "state_divided_by": policy.state_scale.tolist(),
        "state_elements": [policy.spec.state_names[index] for index in policy.state_index.tolist()],
    }


def _write(model: Any, about: dict[str, Any], path: Path) -> None:
    """Write a model with what it tells of itself."""
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key = METADATA_KEY
    entry.value = json.dumps(about)
    model.producer_name = "forestpilot"
    path.write_bytes(model.SerializeToString())


def _require_alike(policy: VisuomotorPolicy, runner: OnnxPolicy) -> None:
    """Raise ExportError where the file acts otherwise than the policy, whatever the batch."""
    for batch in (1, 3):
        try:
            parity = compare(policy, runner, [made_up(policy, batch)])
        except OnnxError as error:
            raise ExportError(f"as ONNX the policy does not run with {batch} episodes at once: {error}") from error
        if parity.share_beyond(TOLERANCE) > MOST_OFF:
            raise ExportError(
                f"as ONNX the policy would act otherwise: of {parity.steps} steps of {batch} episodes at once "
                f"{parity.share_beyond(TOLERANCE):.0%} differ by more than {TOLERANCE:g}; one of its parts does what "
                "tracing does not see, such as taking a size for a number"
            )


def _figures(policy: VisuomotorPolicy, runner: OnnxPolicy, recordings: list[dict[str, Any]]) -> list[str]:
    """How the file compares with torch, in lines."""
    kind = "recorded" if recordings else "made-up"
    recordings = recordings or [made_up(policy, 1, seed) for seed in range(MADE_UP_RECORDINGS)]
    parity = compare(policy, runner, recordings)
    ours, theirs = (1e6 * seconds for seconds in cpu_times(policy, runner, recordings[0]))
    return [
        f"actions differ from torch's by at most {parity.largest:.1e} over {parity.steps:,} {kind} steps",
        f"a step takes {ours:.0f} µs of CPU time, torch's {theirs:.0f} µs: {theirs / ours:.1f} times the rate",
    ]
