"""One page that is connected: what it says, and what is sent to it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.people.console import COMMANDS, STEERING

if TYPE_CHECKING:
    from websockets.sync.server import ServerConnection

SILENCE_S = 1.5
"""A page that has said nothing for so long is not there; it says something four times a second."""
IN_FLIGHT = 2
"""Pictures sent but not drawn yet. Two fill a line with a long round episode; more would only make them older."""
GRACE_S = 1.0
"""How long a page has to answer a farewell before its line is cut."""


MAX_TIME_MS = 2**53
"""Larger numbers lose their last digits in the page's language."""


class NotUnderstood(Exception):
    """A message that the page of this screen would not send."""


class Viewer:
    """One page, and the thread that sends to it: the newest picture, and the echo of its latest beat.

    The page's own messages are read in another thread, which must never wait for a slow line; so only this one sends.
    """

    def __init__(self, connection: ServerConnection, encode: Callable[[NDArray[np.uint8]], bytes]) -> None:
        """Begin to send; `encode` makes a picture what the page can draw."""
        self.heard_s = time.monotonic()
        """When it last said something, on the monotonic clock."""
        self.has_focus = False
        """Whether the page is in front and has the keyboard."""
        self._connection = connection
        self._encode = encode
        self._changed = threading.Condition()
        self._picture: NDArray[np.uint8] | None = None
        self._in_flight = 0
        self._beat: float | None = None
        self._farewell: tuple[int, str] | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._send, name="web viewer", daemon=True)
        self._thread.start()

    @property
    def is_present(self) -> bool:
        """True while somebody can see and steer there."""
        return self.has_focus and time.monotonic() - self.heard_s < SILENCE_S

    def offer(self, picture: NDArray[np.uint8]) -> None:
        """Send this picture next, instead of one that is still waiting; never waits."""
        with self._changed:
            self._picture = picture
            self._changed.notify()

    def has_drawn(self) -> None:
        """The page has drawn a picture, and can take another."""
        with self._changed:
            self._in_flight = max(0, self._in_flight - 1)
            self._changed.notify()

    def echo(self, beat: float) -> None:
        """Send the page's own time back, from which it knows that it is heard, and how long that takes."""
        with self._changed:
            self._beat = beat
            self._changed.notify()

    def dismiss(self, code: int, reason: str) -> None:
        """Say farewell with a close code, and cut the line if that takes longer than `GRACE_S`."""
        with self._changed:
            self._farewell = (code, reason)
            self._changed.notify()
        self._thread.join(GRACE_S)
        if self._thread.is_alive():
            cut(self._connection)

    def is_on(self, connection: ServerConnection) -> bool:
        """Tell if this is the page at the other end of a connection."""
        return self._connection is connection

    def stop(self) -> None:
        """Send no more; the page is gone."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _send(self) -> None:
        """Send whatever there is until the page is gone or dismissed."""
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed, OSError):
            while True:
                with self._changed:
                    self._changed.wait_for(self._has_work)
                    if self._stopped:
                        return
                    farewell = self._farewell
                    beat = self._beat
                    self._beat = None
                    picture = self._take_picture() if farewell is None else None
                if farewell is not None:
                    self._connection.close(*farewell)
                    return
                if beat is not None:
                    self._connection.send(json.dumps({"beat": beat}))
                if picture is not None:
                    self._connection.send(self._encode(picture))

    def _has_work(self) -> bool:
        sendable = self._picture is not None and self._in_flight < IN_FLIGHT
        return self._stopped or self._farewell is not None or self._beat is not None or sendable

    def _take_picture(self) -> NDArray[np.uint8] | None:
        """The waiting picture, if the page can take one."""
        if self._picture is None or self._in_flight >= IN_FLIGHT:
            return None
        picture = self._picture
        self._picture = None
        self._in_flight += 1
        return picture


def read_message(message: str | bytes) -> tuple[str, Any]:
    """Kind and value of what a page says.

    `down` and `up` come with the name of a key that is bound, `focus` with whether the page has the keyboard, `beat`
    with the page's time in ms, `drawn` with nothing.

    Raises:
        NotUnderstood: it is none of these.
    """
    try:
        content = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise NotUnderstood("a message is a JSON object")
    kind = content.get("kind")
    value = content.get("value")
    understood = (
        (kind in ("down", "up") and isinstance(value, str) and (value in STEERING or value in COMMANDS))
        or (kind == "focus" and isinstance(value, bool))
        or (kind == "beat" and _is_time(value))
        or (kind == "drawn" and value is None)
    )
    if not understood:
        raise NotUnderstood("this is no message of the page")
    return str(kind), value


def _is_time(value: Any) -> bool:
    """Tell a page's time in ms from anything else, numbers that no clock shows included."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MAX_TIME_MS


def cut(connection: ServerConnection) -> None:
    """End a connection at once, even while a thread waits to send on it."""
    with contextlib.suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)
