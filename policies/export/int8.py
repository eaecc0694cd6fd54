"""Policies in 8 bits: onnxruntime's static quantisation, calibrated by what a policy sees on recorded steps."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.policies.export.parity import Recording
from forestpilot.policies.export.runner import OnnxPolicy
from forestpilot.sim.extras import require

QUANTISED = ("Conv", "Gemm", "MatMul")
"""Operations in 8 bits; a memory's recurrent ones stay as they are."""


def quantised(path: Path, recordings: list[Recording]) -> Any:
    """The ONNX model in 8 bits.

    Args:
        path: a model of ours in 32 bits.
        recordings: what it is calibrated by.
    """
    onnx = require("onnx")
    quantization = require("onnxruntime.quantization")
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        out = Path(folder) / "int8.onnx"
        quantization.shape_inference.quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(ready),
            str(out),
            _Feeds(OnnxPolicy(path), recordings),
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(str(out))


class _Feeds:
    """What a policy is given at each recorded step, as onnxruntime's `CalibrationDataReader` hands it out."""

    def __init__(self, runner: OnnxPolicy, recordings: list[Recording]) -> None:
        self._feeds = _feeds(runner, recordings)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next step's inputs; None after the last."""
        return next(self._feeds, None)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return self._feeds


def _feeds(runner: OnnxPolicy, recordings: list[Recording]) -> Iterator[dict[str, np.ndarray]]:
    for recording in recordings:
        carry = runner.begin(1)
        draw = runner.noise_for(range(1))
        for step in range(len(recording["state"])):
            seen = {key: values[step] for key, values in recording.items()}
            noise = None if draw is None else draw.next()
            yield runner.feed(seen, carry, noise)
            _, carry = runner.act(seen, carry, noise)
