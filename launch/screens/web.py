"""The screen in a browser: pictures go out and keys come in over one WebSocket, for a machine without a display.

Only the newest picture is ever waiting, and the page says which ones it has drawn. So a slow line means fewer pictures
per second, never old ones. A page that is not heard for a moment counts as absent, and nothing is held then.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forestpilot.data_collection.people.console import HeldKeys, Input
from forestpilot.launch.screens.web_gate import Gate, listen
from forestpilot.launch.screens.web_page import compose_page
from forestpilot.launch.screens.web_viewer import GRACE_S, NotUnderstood, Viewer, cut, read_message
from forestpilot.sim.extras import require

if TYPE_CHECKING:
    from websockets.sync.server import ServerConnection

MAX_MESSAGE_BYTES = 1024
"""What a page says is never longer."""
MAX_CONNECTIONS = 16
"""Browsers open up to six at a time, most of which say nothing; whoever opens more loses the oldest."""
OPEN_TIMEOUT_S = 5.0
"""How long a connection may take to say what it wants."""
SESSION_OVER = 4000
ELSEWHERE = 4001
"""Close codes that the page explains, and after which it does not come back by itself."""


class WebScreen:
    """A `Screen` in a browser: serves a page on this machine and prints the secret address where it is.

    One page at a time sees and steers; one that is opened later takes the place of the one before.
    """

    def __init__(
        self,
        width: int,
        height: int,
        title: str = "ForestPilot",
        host: str = "127.0.0.1",
        port: int = 8765,
        quality: int = 80,
    ) -> None:
        """Serve the page, for pictures of `width` x `height` pixels, and print its address on standard error.

        Args:
            width: pixels of the pictures to show.
            height: pixels of the pictures to show.
            title: heading of the page.
            host: address to serve on; one that is not this machine's own (127.0.0.1) is warned about.
            port: port to serve on; 0 takes any free one.
            quality: JPEG quality of the pictures, 10 to 95.

        Raises:
            WebScreenError: the port is busy, or the address is not this machine's.
            MissingExtraError: websockets or OpenCV is not installed.
            DrawingError: OpenCV cannot be used on this machine.
        """
        require("websockets")
        from websockets.sync.server import serve

        from forestpilot.launch.pictures.opencv import import_cv2

        self._cv2 = import_cv2()
        self._quality = quality
        self._size = (width, height)
        self._lock = threading.Lock()
        self._keys = HeldKeys()
        self._picture: NDArray[np.uint8] | None = None
        self._viewer: Viewer | None = None
        self._connections: list[ServerConnection] = []
        self._closed = False
        listener = listen(host, port)
        self._gate = Gate(host, listener, compose_page(title, width, height))
        self._server = serve(
            self._serve_viewer,
            sock=listener,
            process_request=self._gate.answer,
            create_connection=self._track,  # type: ignore[arg-type]
            compression=None,  # JPEG cannot be made smaller
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=GRACE_S,
            logger=_quiet_logger(),
            server_header=None,
        )
        # The server's threads inherit this: a program that fails to close its screen must still end.
        self._thread = threading.Thread(target=self._server.serve_forever, name="web screen", daemon=True)
        self._thread.start()
        print(self._gate.invitation(), file=sys.stderr, flush=True)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of the pictures to show."""
        return self._size

    @property
    def is_open(self) -> bool:
        """False once it has been closed; a lost connection or a closed browser tab can come back."""
        return not self._closed

    @property
    def address(self) -> str:
        """Address to open in a browser; whoever knows it can steer."""
        return self._gate.address

    @property
    def port(self) -> int:
        """The port that the page is served on."""
        return self._gate.port

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show a picture (H, W, 3) uint8 RGB of any size; a closed screen ignores it. Never waits for a slow viewer.

        Raises:
            ValueError: this is no such picture.
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise ValueError(f"a picture is {picture.dtype} {picture.shape}, but must be uint8 (height, width, 3)")
        picture = picture.copy()  # the sender reads it later, when the caller may be drawing into it again
        with self._lock:
            if self._closed:
                return
            self._picture = picture
            if self._viewer is not None:
                self._viewer.offer(picture)

    def poll(self) -> Input:
        """Tell what was pressed since the last call; never waits. Nobody is present unless a page has the keyboard."""
        with self._lock:
            present = self._viewer is not None and self._viewer.is_present
            if not present:
                self._keys.release_all()
            return self._keys.take(present=present)

    def close(self) -> None:
        """Tell the page that the session is over, and free the port; harmless when repeated."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            viewer = self._viewer
        if viewer is not None:
            viewer.dismiss(SESSION_OVER, "the session is over")
        # Browsers open connections in advance and say nothing on them; nobody should wait for those.
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            cut(connection)
        self._server.shutdown()
        self._thread.join()

    def __enter__(self) -> WebScreen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _track(self, sock: socket.socket, *arguments: Any, **options: Any) -> ServerConnection:
        """Make a connection that `close` will find, whatever its state; cut the oldest where there are too many."""
        from websockets.protocol import State
        from websockets.sync.server import ServerConnection

        connection = ServerConnection(sock, *arguments, **options)
        with self._lock:
            self._connections = [other for other in self._connections if other.protocol.state is not State.CLOSED]
            self._connections.append(connection)
            unwanted = [connection] if self._closed else self._too_many()
        for other in unwanted:
            cut(other)
        return connection

    def _too_many(self) -> list[ServerConnection]:
        """The oldest connections beyond what is allowed, never that of the page that steers; the lock is held."""
        idle = [other for other in self._connections if self._viewer is None or not self._viewer.is_on(other)]
        surplus = idle[: max(0, len(self._connections) - MAX_CONNECTIONS)]
        self._connections = [other for other in self._connections if other not in surplus]
        return surplus

    def _serve_viewer(self, connection: ServerConnection) -> None:
        """Listen to a page until it is gone; runs in a thread of its own for each page."""
        from websockets.exceptions import ConnectionClosed

        with self._lock:
            if self._closed:
                return
            viewer = Viewer(connection, self._encode)
            previous = self._viewer
            self._viewer = viewer
            self._keys.release_all()
            if self._picture is not None:
                viewer.offer(self._picture)
        if previous is not None:
            farewell = (ELSEWHERE, "opened in another window")
            threading.Thread(target=previous.dismiss, args=farewell, name="web farewell", daemon=True).start()
        try:
            for message in connection:
                self._hear(viewer, message)
        except ConnectionClosed:
            pass
        except NotUnderstood as error:
            connection.close(1008, str(error))
        finally:
            viewer.stop()
            with self._lock:
                if self._viewer is viewer:
                    self._viewer = None
                    self._keys.release_all()

    def _hear(self, viewer: Viewer, message: str | bytes) -> None:
        """Take in one message of a page.

        Raises:
            NotUnderstood: the page of this screen would not send that.
        """
        kind, value = read_message(message)
        viewer.heard_s = time.monotonic()
        if kind == "drawn":
            viewer.has_drawn()
        elif kind == "beat":
            viewer.echo(value)
        else:
            with self._lock:
                if self._viewer is viewer:
                    self._hear_keys(viewer, kind, value)

    def _hear_keys(self, viewer: Viewer, kind: str, value: Any) -> None:
        """Take in keys, or whether the page has the keyboard; the lock is held."""
        if kind == "focus":
            viewer.has_focus = value
            if not value:
                self._keys.release_all()
        elif kind == "down":
            self._keys.press(value)
        else:
            self._keys.release(value)

    def _encode(self, picture: NDArray[np.uint8]) -> bytes:
        """The picture as JPEG."""
        bgr = self._cv2.cvtColor(picture, self._cv2.COLOR_RGB2BGR)
        _, jpeg = self._cv2.imencode(".jpg", bgr, (self._cv2.IMWRITE_JPEG_QUALITY, self._quality))
        return bytes(jpeg)


def _quiet_logger() -> logging.Logger:
    """A logger without a voice of its own: what a stranger sends must not fill the terminal."""
    logger = logging.getLogger(__name__)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger
