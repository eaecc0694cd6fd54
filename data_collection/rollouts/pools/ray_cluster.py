"""A connection to a Ray cluster: one that is there, or one that is started on this machine."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from forestpilot.sim.errors import ForestPilotError
from forestpilot.sim.extras import require

ADDRESS_VARIABLE = "RAY_ADDRESS"
ANSWER_S = 5.0
"""Until a cluster that does not answer is taken for unreachable; Ray itself tries for two minutes, and then ends the
process."""
STORE_BYTES = 2**28
"""Memory for episodes on their way to the driver in a cluster that is started here."""
_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a client says first to a server of gRPC: the preface and an empty SETTINGS frame (RFC 9113, section 3.4)."""
_SETTINGS = 4
"""Type of the frame that such a server answers with."""


class ClusterError(ForestPilotError):
    """A cluster that cannot be reached, or is not as it must be; the message says what to do."""

    exit_code = 1


@contextmanager
def connected(address: str, cores: int) -> Iterator[Any]:
    """The module `ray`, connected; a connection that this process has already is used, and left open.

    Args:
        address: HOST:PORT, `auto`, or empty for what RAY_ADDRESS says; where that says nothing a cluster is started.
        cores: of a cluster that is started.

    Raises:
        ClusterError: the cluster cannot be reached.
        MissingExtraError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = require("ray")
    if ray.is_initialized():
        yield ray
        return
    address = _named(address)
    if address:
        _join(ray, address)
    else:
        ray.init("local", num_cpus=cores, object_store_memory=STORE_BYTES, include_dashboard=False, **_quiet())
    try:
        yield ray
    finally:
        ray.shutdown()


def is_started_here(address: str) -> bool:
    """Whether `connected` would start a cluster, all of whose workers are on this machine."""
    return not _named(address) and not require("ray").is_initialized()


def require_reachable(address: str) -> None:
    """Raise where `connected` would not find its cluster: within seconds, and without starting anything.

    Raises:
        ClusterError: nothing answers at the address, or no cluster does.
        MissingExtraError: Ray is not installed.
    """
    if find_spec("ray") is None:
        require("ray")
    if _named(address) not in ("", "auto"):
        require_cluster(_named(address))


def _named(address: str) -> str:
    """The address given, or what RAY_ADDRESS says."""
    return address or os.environ.get(ADDRESS_VARIABLE, "")


def _join(ray: Any, address: str) -> None:
    """Connect to a cluster that is there."""
    if address != "auto":
        require_cluster(address)
    try:
        ray.init(address, **_quiet())
    except (Exception, SystemExit) as error:
        problem = " ".join(str(error).split())[:200] or type(error).__name__
        raise ClusterError(
            f"the Ray cluster at {address} cannot be joined ({problem}); this machine must belong to it (`ray start "
            "--address HOST:PORT`), and run the same versions of Ray and Python"
        ) from error


def _quiet() -> dict[str, Any]:
    """Arguments of `ray.init` with which Ray leaves the terminal to the command."""
    return {"log_to_driver": False, "logging_level": "ERROR"}


def require_cluster(address: str) -> None:
    """Raise ClusterError where nothing at an address, HOST:PORT, speaks as the head of a cluster does."""
    if address.startswith("ray://"):
        raise ClusterError(
            f"the address {address} is one for Ray's client; start the command on a machine of the cluster (`ray job "
            "submit`, or a shell there) and give HOST:PORT of its head, or auto"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) >= 2**16:
        raise ClusterError(f"the address of the Ray cluster is {address!r}; give HOST:PORT, for example 10.0.0.1:6379")
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER_S) as there:
            there.sendall(_HTTP2_HELLO)
            answer = there.recv(9)
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster can be reached at {address} ({error.strerror or error}); is it running (`ray status "
            f"--address {address}`)? {_way_out()}"
        ) from error
    if len(answer) < 4 or answer[3] != _SETTINGS:
        raise ClusterError(f"what answers at {address} is no Ray cluster; give HOST:PORT of its head. {_way_out()}")


def _way_out() -> str:
    return f"Without --pool.address and {ADDRESS_VARIABLE} a cluster is started on this machine"


def require_same_version(theirs: str, ours: str, node: str) -> None:
    """Raise ClusterError where another machine would run other code."""
    if theirs != ours:
        raise ClusterError(
            f"{node} runs ForestPilot {ours}, and the command is of ForestPilot {theirs}; install the same on every "
            f"machine of the cluster (Python here: {sys.version.split()[0]})"
        )
