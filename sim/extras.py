"""Libraries that only some need: which extra brings each, and a clear word where one is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from forestpilot.sim.errors import ForestPilotError

EXTRAS = {
    "torch": "train",
    "safetensors": "train",
    "tensorboard": "train",
    "fsspec": "train",
    "av": "video",
    "cv2": "video",
    "pygame": "window",
    "websockets": "web",
    "matplotlib": "report",
    "jinja2": "report",
    "markupsafe": "report",
    "pyarrow": "export",
    "google": "export",
    "google_crc32c": "export",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "lerobot": "lerobot",
    "ray": "ray",
    "rerun": "rerun",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "optuna": "tune",
    "stable_baselines3": "rl",
    "sb3_contrib": "rl",
}
"""Importable name of each library that an extra brings, and the extra: `pip install "forestpilot[train]"`."""


class MissingExtraError(ForestPilotError, ImportError):
    """A library is missing that only some need; the message says what to install."""


def require(module: str) -> ModuleType:
    """Import a module of a library that an extra brings.

    Args:
        module: for example `torch` or `websockets.sync.server`.

    Raises:
        MissingExtraError: it is not installed; says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from error


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Error to raise for somebody whose import failed; None where no extra brings what is missing."""
    library = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(library)
    if extra is None:
        return None
    return MissingExtraError(f'{library} is not installed, and this needs it: pip install "forestpilot[{extra}]"')
