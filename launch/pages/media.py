"""Pictures and films as text that stands in the page itself."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forestpilot.launch.pictures.drawing import import_cv2

TYPES = {"png": "image/png", "jpg": "image/jpeg", "mp4": "video/mp4"}
JPEG_QUALITY = 82


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
    cv2 = import_cv2()
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if kind == "jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    _, data = cv2.imencode(f".{kind}", image[..., ::-1], options)
    return Picture(data_uri(data.tobytes(), kind), image.shape[1], image.shape[0])


def data_uri(data: bytes, kind: str) -> str:
    """The data as an address that holds them: png, jpg or mp4."""
    return f"data:{TYPES[kind]};base64,{base64.b64encode(data).decode()}"
