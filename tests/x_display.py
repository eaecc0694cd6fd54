"""A real X display without a screen, for tests of windows: real keys, real focus, and a picture of what is seen."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SIZE = (1000, 640)


class XDisplay:
    """A running Xvfb. Keys go to the window under the pointer or with the focus, as from a keyboard."""

    def __init__(self, name: str, framebuffer: Path) -> None:
        self.name, self._framebuffer = name, framebuffer

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a process that opens its windows here."""
        kept = {key: value for key, value in os.environ.items() if key not in ("SDL_VIDEODRIVER", "WAYLAND_DISPLAY")}
        return {**kept, "DISPLAY": self.name}

    def xdotool(self, *words: str) -> str:
        """Run xdotool and return what it prints."""
        result = subprocess.run(
            ["xdotool", *words], env=self.environment, capture_output=True, text=True, timeout=20, check=False
        )
        return result.stdout.strip()

    def key_down(self, key: str) -> None:
        """Press a key and hold it; keys have X names such as Left or w."""
        self.xdotool("keydown", key)

    def key_up(self, key: str) -> None:
        """Let a key go."""
        self.xdotool("keyup", key)

    def tap(self, key: str) -> None:
        """Press a key and let it go."""
        self.xdotool("key", key)

    def window(self, title: str, within_s: float = 60.0) -> int:
        """The id of the window whose title has this text, once it is there."""
        found: list[int] = []

        def look() -> bool:
            tree = subprocess.run(
                ["xwininfo", "-root", "-tree"], env=self.environment, capture_output=True, text=True, check=False
            ).stdout
            found.extend(int(line.split()[0], 16) for line in tree.splitlines() if title in line)
            return bool(found)

        wait_for(look, within_s, f"no window called {title!r}")
        return found[0]

    def give_focus(self, window: int | None) -> None:
        """Give the keyboard to a window, or take it away from all."""
        with self._connection() as (x11, display):
            x11.XSetInputFocus(display, window if window is not None else x11.XDefaultRootWindow(display), 1, 0)
            x11.XSync(display, 0)

    def ask_to_close(self, window: int) -> None:
        """Do what a window manager does when somebody clicks on the cross."""
        with self._connection() as (x11, display):
            protocols = x11.XInternAtom(display, b"WM_PROTOCOLS", 0)
            delete = x11.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
            # An XClientMessageEvent inside the 192 bytes of an XEvent.
            event = struct.pack(
                "=i4xQi4xQQQi4x5q", 33, 0, 1, 0, window, protocols, 32, delete, 0, 0, 0, 0
            ).ljust(192, b"\0")  # fmt: skip
            x11.XSendEvent(display, window, 0, 0, event)
            x11.XSync(display, 0)

    def picture(self) -> np.ndarray:
        """What is on the display, (h, w, 3) uint8 RGB."""
        content = self._framebuffer.read_bytes()
        header = struct.unpack(">25I", content[:100])
        width, height, stride, colours = header[4], header[5], header[12], header[19]
        start = header[0] + 12 * colours
        rows = np.frombuffer(content, np.uint8, stride * height, start).reshape(height, stride)
        return rows[:, : 4 * width].reshape(height, width, 4)[..., 2::-1].copy()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[tuple[Any, Any]]:
        x11: Any = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XDefaultRootWindow.restype = x11.XInternAtom.restype = ctypes.c_ulong
        x11.XDefaultRootWindow.argtypes = x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
        x11.XSync.argtypes = [ctypes.c_void_p, ctypes.c_int]
        x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        x11.XSetInputFocus.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_ulong]
        x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_char_p]
        display = x11.XOpenDisplay(self.name.encode())
        assert display, f"cannot connect to {self.name}"
        try:
            yield x11, display
        finally:
            x11.XCloseDisplay(display)


@contextlib.contextmanager
def open_display() -> Iterator[XDisplay]:
    """A display of its own; skips where a program for it is missing."""
    for program in ("Xvfb", "xdotool", "xwininfo"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian/Ubuntu: apt install xvfb xdotool x11-utils)")
    if ctypes.util.find_library("X11") is None:
        pytest.skip("libX11 is not installed")
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory(prefix="forestpilot-x-") as folder:
        screen = f"{SIZE[0]}x{SIZE[1]}x24"
        # Without -noreset keys are let go whenever the last client leaves, and xdotool is one.
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", screen, "-fbdir", folder, "-noreset"],
            pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(writing)
        try:
            with os.fdopen(reading) as pipe:
                number = pipe.readline().strip()
            assert number, "Xvfb did not start"
            yield XDisplay(f":{number}", Path(folder) / "Xvfb_screen0")
        finally:
            server.terminate()
            server.wait(timeout=20)


def wait_for(condition: Callable[[], bool], within_s: float, otherwise: str) -> None:
    """Wait until something is so; fails with a message if it does not come about in time."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, otherwise
        time.sleep(0.05)
