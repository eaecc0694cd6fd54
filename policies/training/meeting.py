"""How the ranks of one start find each other, and not the dead ones of an earlier start.

torchrun keeps its store when it starts all ranks again, with the addresses of those that have died; gloo would call
these. So the ranks agree on a name for this start, under which nobody has written before: rank 0 makes up a name, each
rank answers to it by a word of its own, and rank 0 shows all words once it has them. A rank that does not find its own
word there has read the name of an earlier start, and looks again.
"""

from __future__ import annotations

import json
import time
import uuid

from torch.distributed import PrefixStore, Store

LOOK_S = 0.05
"""Between two looks for the name of this start."""


def meet(store: Store, rank: int, size: int, limit_s: float) -> PrefixStore:
    """The part of a store that only the ranks of this start know.

    Args:
        store: which all ranks see, with what earlier starts have left there.
        rank: of this process.
        size: how many there are.
        limit_s: how long the others are waited for, in seconds.

    Raises:
        TimeoutError: they do not come.
    """
    name = _invite(store, size, limit_s) if rank == 0 else _answer(store, rank, limit_s)
    return PrefixStore(f"forestpilot/{name}", store)


def _invite(store: Store, size: int, limit_s: float) -> str:
    """The name of this start, for which every other rank has come."""
    name = uuid.uuid4().hex
    store.set("forestpilot/start", name)
    words: list[str] = []
    end = time.monotonic() + limit_s
    for rank in range(1, size):
        key = f"forestpilot/{name}/word/{rank}"
        while not store.check([key]):
            _wait_until(end)
        words.append(store.get(key).decode())
    store.set(f"forestpilot/{name}/words", json.dumps(words))
    return name


def _answer(store: Store, rank: int, limit_s: float) -> str:
    """The name of the start that this rank belongs to."""
    word = uuid.uuid4().hex
    end = time.monotonic() + limit_s
    while True:
        if store.check(["forestpilot/start"]):
            name = store.get("forestpilot/start").decode()
            if not store.check([f"forestpilot/{name}/word/{rank}"]):
                store.set(f"forestpilot/{name}/word/{rank}", word)
            words = f"forestpilot/{name}/words"
            if store.check([words]) and word in json.loads(store.get(words)):
                return name
        _wait_until(end)


def _wait_until(end: float) -> None:
    """A moment, if there is one left."""
    if time.monotonic() > end:
        raise TimeoutError("some ranks have not come")
    time.sleep(LOOK_S)
