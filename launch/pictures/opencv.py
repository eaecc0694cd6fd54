"""OpenCV, which draws; it is imported when the first picture is, because its wheel needs libGL, which small machines
lack.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from forestpilot.launch.pictures.colors import Image
from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.extras import missing_extra


class DrawingError(ForestPilotError):
    """OpenCV cannot be used on this machine."""


def import_cv2() -> ModuleType:
    """OpenCV, imported late.

    Raises:
        MissingExtraError: it is not installed; says which extra brings it.
        DrawingError: a library of the system that it needs is missing; says which and how to get it.
    """
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from error
    except ImportError as error:
        raise DrawingError(
            f"OpenCV cannot load ({error}). Debian/Ubuntu: apt install libgl1 libglib2.0-0; Fedora: dnf install "
            "mesa-libGL; without root: pip uninstall opencv-python && pip install opencv-python-headless"
        ) from error
    return cv2


def encoded(image: Image, suffix: str, *options: int) -> bytes:
    """An RGB image (h, w, 3) uint8 as a file's content; `suffix` chooses the format, `.png` or `.jpg`."""
    _, data = import_cv2().imencode(suffix, np.ascontiguousarray(image[..., ::-1]), options)
    content: bytes = data.tobytes()
    return content
