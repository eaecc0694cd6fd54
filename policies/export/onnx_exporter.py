"""The exporter of ONNX files and its options; torch is imported when it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from forestpilot.data_collection.export.exporter import ExportError, require_empty
from forestpilot.policies.export.exporter import PolicyExporter, PolicyExporterConfig
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges

if TYPE_CHECKING:
    from forestpilot.policies.networks.visuomotor import VisuomotorPolicy


@dataclass(frozen=True)
class OnnxConfig(PolicyExporterConfig):
    """One ONNX file, which onnxruntime runs without torch."""

    part: ClassVar[str] = "onnx"
    data: Path | None = None
    """Folder of a dataset of the same task: on its steps the file is compared with torch, by them int8 is calibrated;
    by default made-up ones."""
    steps: Annotated[int, Range(1, 1_000_000)] = 1000
    """Steps of the dataset that are used."""
    int8: bool = False
    """Weights and activations of convolutions and linear layers in 8 bits, by onnxruntime's static quantisation; needs
    `data`. The policy answers a little otherwise: evaluate it."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if self.int8 and self.data is None:
            raise InvalidArgumentError("--to.int8 is calibrated by recorded steps; give a dataset: --to.data FOLDER")


class OnnxExporter(PolicyExporter):
    """Writes FILE.onnx, and FILE.json beside it."""

    Config: ClassVar[type[PolicyExporterConfig]] = OnnxConfig
    card_fields: ClassVar = {"library_name": "onnx", "tags": ["onnx"]}

    def write(
        self, policy: VisuomotorPolicy, description: dict[str, Any], unfinished: Path, out: Path, config: OnnxConfig
    ) -> list[str]:
        """Trace one step, hold it against torch, and say what came out."""
        from forestpilot.policies.export.onnx_file import write_policy

        beside = out.with_suffix(".json")
        if beside == out:
            raise ExportError(f"{out} is the place of what is told beside it; call the file {out.with_suffix('.onnx')}")
        require_empty(beside)
        return write_policy(policy, description, unfinished, beside, config)
