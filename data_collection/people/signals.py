"""Ctrl-C and its kin while a human sits in front of a screen: noted first, obeyed between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def noted_signals(noted: list[int]) -> Iterator[None]:
    """Note the first Ctrl-C, kill or hang-up instead of dying in the middle of a step; the second is as usual.

    A shell starts jobs in the background with Ctrl-C ignored; whoever sends it to a session nevertheless wants it to
    end. Only a hang-up stays ignored where it is, which is what nohup is for.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, _frame: Any) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        heeded.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
