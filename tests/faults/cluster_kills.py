"""Workers and nodes of a Ray cluster die at random while episodes are recorded; nothing is lost or doubled.

    python -m tests.faults.cluster_kills --kills 20

A cluster of several nodes is made on this machine; one after the other its workers are killed (SIGKILL), and one node
with all that runs on it. The dataset must have the hash of one that local processes recorded.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path

from forestpilot.data_collection.episodes.fingerprint import fingerprint_of
from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.rollouts.collect import CollectConfig, collect
from forestpilot.data_collection.rollouts.pools import RayConfig
from forestpilot.data_collection.rollouts.scenarios import ScenarioMix

MIX = ScenarioMix(width=32, height=24)
WORKER = b"ray::_run"
"""What Ray calls a process that runs a handful of ours."""


class Noted(SilentProgress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def busy_workers(session: str) -> list[int]:
    """Process ids of the workers of this cluster that run episodes now."""
    found = []
    for entry in os.scandir("/proc"):
        try:
            name = Path(entry.path, "cmdline").read_bytes() if entry.name.isdigit() else b""
            ours = name.startswith(WORKER) and session in Path(entry.path, "environ").read_text(errors="replace")
        except OSError:
            continue
        if ours:
            found.append(int(entry.name))
    return found


class Killer(threading.Thread):
    """Kills busy workers, one after the other.

    Args:
        kills: how many.
        session: a word in the environment of this cluster's workers.
        seed: which of them.
    """

    def __init__(self, kills: int, session: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.killed = 0
        self._kills, self._session, self._rng = kills, session, random.Random(seed)

    def run(self) -> None:
        while self.killed < self._kills:
            time.sleep(self._rng.uniform(0.5, 2.5))
            workers = busy_workers(self._session)
            if workers:
                os.kill(self._rng.choice(workers), signal.SIGKILL)
                self.killed += 1


def run(kills: int, episodes: int, nodes: int, seed: int, folder: Path) -> None:
    """Record with and without deaths, and compare."""
    from ray.cluster_utils import Cluster

    whole = collect(CollectConfig(out=str(folder / "whole"), episodes=episodes, mix=MIX, workers=2))
    wanted = fingerprint_of([whole])
    session = f"forestpilot-{os.getpid()}-kills"
    os.environ["FORESTPILOT_CLUSTER_KILLS"] = session
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    others = [cluster.add_node(num_cpus=1) for _ in range(nodes - 1)]
    killer = Killer(kills, session, seed)
    node_dies = threading.Timer(30.0, cluster.remove_node, [others[-1]], {"allow_graceful": False})
    progress = Noted()
    try:
        killer.start()
        node_dies.start()
        config = CollectConfig(
            out=str(folder / "killed"), episodes=episodes, mix=MIX, workers=2, pool=RayConfig(cluster.address)
        )
        killed = fingerprint_of([collect(config, progress)])
    finally:
        node_dies.cancel()
        cluster.shutdown()
    files = sorted(path.name for path in (folder / "killed" / "episodes").iterdir())
    print("\n".join(progress.notes))
    print(f"{killer.killed} workers killed and a node of {nodes} taken away; {len(files)} files; {killed}")
    if killer.killed < kills:
        raise SystemExit(f"only {killer.killed} of {kills} workers were killed: give more --episodes")
    if killed != wanted or len(files) != episodes:
        raise SystemExit(f"not alike: {wanted} without deaths")
    print("alike: nothing lost, nothing doubled")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        run(args.kills, args.episodes, args.nodes, args.seed, Path(made))
