"""Policies as other runtimes run them.

An exporter is one file and one line here; `forestpilot export NAME RUN` takes it.
"""

from __future__ import annotations

from forestpilot.policies.export.exporter import PolicyExporter, PolicyExporterConfig
from forestpilot.sim.registry import Registry

__all__ = ["POLICY_EXPORTERS", "PolicyExporter", "PolicyExporterConfig"]

_HERE = "forestpilot.policies.export"

POLICY_EXPORTERS: Registry[type[PolicyExporter]] = Registry("policy exporter", f"{_HERE}:POLICY_EXPORTERS")
POLICY_EXPORTERS.register("onnx", f"{_HERE}.onnx_exporter:OnnxExporter", "one ONNX file, which runs without torch")
