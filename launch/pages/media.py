"""Pictures and films as text that stands in the page itself."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestpilot.launch.pictures.opencv import encoded, import_cv2

TYPES = {"png": "image/png", "jpg": "image/jpeg", "mp4": "video/mp4"}
"""MIME type of each kind."""
JPEG_QUALITY = 82
SMALLEST_PNG = 9
"""OpenCV's strongest compression."""


@dataclass(frozen=True)
class Picture:
    """An encoded picture."""

    uri: str
    """data: address."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""


def picture_of(image: NDArray[np.uint8], kind: str) -> Picture:
    """An image (h, w, 3) uint8 as a picture of a kind: png or jpg."""
    height, width, _ = image.shape
    return Picture(data_uri(_encoded(image, kind), kind), width, height)


def stored_picture(png: bytes) -> Picture | None:
    """A PNG file as a picture; None where it is none."""
    image = import_cv2().imdecode(np.frombuffer(png, np.uint8), import_cv2().IMREAD_COLOR)
    if image is None:
        return None
    height, width = image.shape[:2]
    return Picture(data_uri(png, "png"), width, height)


def _encoded(image: NDArray[np.uint8], kind: str) -> bytes:
    cv2 = import_cv2()
    if kind == "jpg":
        return encoded(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
    return encoded(image, ".png", cv2.IMWRITE_PNG_COMPRESSION, SMALLEST_PNG)


def data_uri(data: bytes, kind: str) -> str:
    """The data as an address that holds them: png, jpg or mp4."""
    return f"data:{TYPES[kind]};base64,{base64.b64encode(data).decode()}"
