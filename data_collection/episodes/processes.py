"""What every worker process does first."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import parent_process


def leave_signals_to_parent() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
