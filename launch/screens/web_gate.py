"""Who may see the page and steer: only those who know the secret address, only from that page itself.

Three checks on every request, for the page as for its WebSocket; what fails one gets 403 and no reason to guess on:

- Its `Host` must be a name of this machine: localhost or a loopback address, and if the page is served to the network
  also any IP address or the machine's own name. A foreign name that was made to point here (DNS rebinding) is none.
- Its path must be the token, which is new for each session and compared in constant time.
- A WebSocket must come from the page itself: `Origin` must be `http://` followed by that same `Host`. Its port may be
  another than ours, because the local end of an ssh tunnel may.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import secrets
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from forestpilot.launch.screens import ScreenError
from forestpilot.launch.screens.web_page import Page

if TYPE_CHECKING:
    from websockets.http11 import Request, Response
    from websockets.sync.server import ServerConnection

_REFUSED = "Nothing here for you. Open the whole address that was printed where forestpilot was started.\n"


class WebScreenError(ScreenError):
    """The page cannot be served as asked."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address of this machine.

    Raises:
        WebScreenError: the port is busy or not allowed, or the address is not this machine's; says what to do.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise WebScreenError(f"{host!r} is no address of this machine; try --screen.host 127.0.0.1") from error
    # localhost may be both ::1 and 127.0.0.1; the second is what is printed and what tunnels are told.
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    try:
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise WebScreenError(_why_not(host, port, error)) from error


def _why_not(host: str, port: int, error: OSError) -> str:
    """Reason why one cannot listen there, and what to do."""
    another = "choose another one, or any free one: --screen.port 0"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use, maybe by another forestpilot; {another}"
    if error.errno == errno.EACCES:
        return f"port {port} needs special rights; {another}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine; try --screen.host 127.0.0.1"
    return f"cannot serve a page on {host}, port {port} ({error.strerror or error}); {another}"


class Gate:
    """Answers requests with the page, lets its WebSocket through, and refuses everything else."""

    def __init__(self, host: str, listener: socket.socket, page: Page) -> None:
        """Guard what `listener` hears; `host` is the address as it was asked for."""
        bound, self.port = listener.getsockname()[:2]
        self._is_local = ipaddress.ip_address(bound).is_loopback
        self._is_everywhere = ipaddress.ip_address(bound).is_unspecified
        self._name = _bracketed(bound) if self._is_local else host
        self._own_names = {"localhost", host.lower(), socket.gethostname().lower()}
        self._token = secrets.token_urlsafe(18)
        self._page = page

    @property
    def address(self) -> str:
        """Address to open in a browser."""
        name = socket.gethostname() if self._is_everywhere else self._name
        return f"http://{name}:{self.port}/{self._token}"

    def invitation(self) -> str:
        """Text for the human who started it."""
        if not self._is_local:
            return (
                f"Open this page in a browser to steer:\n  {self.address}\n"
                f"Warning: the page is served to the whole network ({self._name}, port {self.port}) and not encrypted. "
                "Whoever reads along can watch and steer; an ssh tunnel to 127.0.0.1 is safer."
            )
        return (
            f"Open this page in a browser to steer:\n  {self.address}\n"
            "If the browser is on another machine, first run there, with HOST for this machine:\n"
            f"  ssh -N -L {self.port}:{self._name}:{self.port} HOST"
        )

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The response to a request, or None for the page's own WebSocket, which may be opened."""
        hosts = request.headers.get_all("Host")
        if len(hosts) != 1 or not self._is_own_name(hosts[0]):
            return _respond(HTTPStatus.FORBIDDEN, _REFUSED.encode())
        given = request.path.removeprefix("/")
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return _respond(HTTPStatus.FORBIDDEN, _REFUSED.encode())
        if "Upgrade" not in request.headers:
            return _respond(HTTPStatus.OK, self._page.html, self._page.headers(hosts[0]))
        if request.headers.get_all("Origin") != [f"http://{hosts[0]}"]:
            return _respond(HTTPStatus.FORBIDDEN, _REFUSED.encode())
        return None

    def _is_own_name(self, host: str) -> bool:
        """Tell if a `Host` header names this machine in a way that nobody else can bring about."""
        try:
            parts = urlsplit(f"//{host}")
            name = parts.hostname or ""
            _ = parts.port
        except ValueError:
            return False
        if parts.netloc != host or parts.username is not None or "%" in host:
            return False
        with contextlib.suppress(ValueError):
            number = ipaddress.ip_address(name)
            return number.is_loopback or not self._is_local
        return name == "localhost" or (not self._is_local and name in self._own_names)


def _bracketed(address: str) -> str:
    """An IP address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def _respond(status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> Response:
    """A whole response, after which the connection ends."""
    from websockets.datastructures import Headers
    from websockets.http11 import Response

    every = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Response(status.value, status.phrase, Headers({**every, **(headers or {})}), body)
