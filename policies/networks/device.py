"""What computes: the CPU, or a GPU, and in which numbers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

from forestpilot.sim.errors import ForestPilotError

if TYPE_CHECKING:
    import torch

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
"""`auto` is the first GPU that torch finds, else the CPU."""
Precision = Literal["float32", "bf16", "fp16"]
"""Numbers that a network computes with; weights and losses are float32 in any case."""


class DeviceError(ForestPilotError):
    """A device that is not there."""


def device_of(name: DeviceName, number: int = 0) -> torch.device:
    """The device behind a name.

    Args:
        name: as `--device` says it.
        number: which GPU, where there are several; 0 is the first.

    Raises:
        DeviceError: it is not there.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return device_of("cuda", number)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if number >= found:
            raise DeviceError(f"device is cuda, and {_why_no_cuda(found, number)}; give auto, or cpu")
        return torch.device("cuda", number)
    if name == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(f"device is mps, and torch {torch.__version__} finds none here; give auto, or cpu")
    return torch.device(name)


def require_device(name: DeviceName) -> None:
    """Raise DeviceError where a device is not there."""
    if name != "cpu":  # which needs no torch to be known
        device_of(name)


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Have networks compute in numbers of this precision inside the `with` block, where that loses little."""
    import torch

    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "float32")


def _why_no_cuda(found: int, number: int) -> str:
    import torch

    if found:
        return f"this process would take GPU {number} of {found}: start no more of them than there are GPUs"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without it: install another build (pytorch.org)"
    return f"torch {torch.__version__} finds no GPU with a driver for CUDA {torch.version.cuda} (`nvidia-smi`)"
