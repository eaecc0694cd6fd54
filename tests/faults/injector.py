"""`make faults`: kill, stop, starve and damage every verb; nothing may be lost, and nothing damaged believed.

    make faults ARGS="--kills 1000 --mutants 10000 --out runs/faults"
    make faults ARGS="--kills 1000 --mutants 10000 --out runs/faults --resume"
    make faults ARGS="--only train --kills 50 --mutants 0 --out runs/once"

Each outcome is a line of `kills.jsonl` or `mutants.jsonl`; `summary.json` counts them. Exit code 1 where one is bad.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults import zygote
from tests.faults.kills import Kills
from tests.faults.mutants import READERS, run_mutants
from tests.faults.recipes import RECIPES, with_needs

GOOD = ("alike", "same", "named")


def main() -> int:
    """Inject as the command line says."""
    parser = argparse.ArgumentParser(prog="make faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000, help="commands that something happens to")
    parser.add_argument("--mutants", type=int, default=10000, help="damaged files that are read")
    parser.add_argument("--only", nargs="*", choices=list(RECIPES), default=list(RECIPES), help="recipes to run")
    parser.add_argument("--kinds", nargs="*", choices=list(READERS), default=list(READERS), help="files to damage")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--out", type=Path, default=Path("runs/faults"))
    parser.add_argument("--resume", action="store_true", help="go on with what is in --out")
    given = parser.parse_args()
    given.out = given.out.absolute()
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.resume:
        for name in ("kills.jsonl", "mutants.jsonl"):
            (given.out / name).unlink(missing_ok=True)
    zygote.warm_up({RECIPES[name].verb for name in with_needs(given.only)})
    kills = Kills(given.out, given.only)
    kills.build()
    for name, words in kills.broken.items():
        print(f"{name} does not run at all: {words.strip().splitlines()[-1]}", flush=True)
    _inject_mutants(given, kills)
    _inject_kills(given, kills)
    return 1 if summarise(given.out, kills.broken) else 0


def _inject_kills(given: argparse.Namespace, kills: Kills) -> None:
    path = given.out / "kills.jsonl"
    done = len(_lines(path))
    rng = random.Random(f"kills {given.seed} {done}")
    with path.open("a", encoding="utf-8") as file:
        started = time.monotonic()
        for number in range(done, given.kills):
            outcome = kills.strike(*kills.draw(rng))
            print(json.dumps(asdict(outcome)), file=file, flush=True)
            if not outcome.good:
                print(f"{outcome.recipe}, {', '.join(outcome.faults)}: {outcome.verdict} {outcome.detail[-300:]}")
            if number % 20 == 19:
                rate = (number + 1 - done) / (time.monotonic() - started)
                print(f"{number + 1}/{given.kills} kills, {rate:.2f} a second", flush=True)
                summarise(given.out, kills.broken)


def _inject_mutants(given: argparse.Namespace, kills: Kills) -> None:
    path = given.out / "mutants.jsonl"
    done = len(_lines(path))
    with path.open("a", encoding="utf-8") as file:
        scratch = given.out / "scratch"
        reports = run_mutants(kills.base, scratch, given.mutants - done, given.seed + done, given.kinds)
        for number, report in enumerate(reports, start=done + 1):
            print(json.dumps(report), file=file, flush=True)
            if report["verdict"] not in GOOD:
                print(f"{report['file']}, {report['mutation']}: {report['verdict']} {report['detail']}", flush=True)
            if number % 500 == 0:
                print(f"{number}/{given.mutants} mutants", flush=True)


def summarise(out: Path, broken: Iterable[str]) -> int:
    """Write summary.json and print its tables; returns how many outcomes are bad."""
    struck, read = _lines(out / "kills.jsonl"), _lines(out / "mutants.jsonl")
    tables = {
        "kills": _table((RECIPES[told["recipe"]].verb, told["verdict"]) for told in struck),
        "faults": _table((told["faults"][0].split(" at ")[0], told["verdict"]) for told in struck),
        "mutants": _table((told["kind"], told["verdict"]) for told in read),
    }
    bad = sum(told["verdict"] not in GOOD for told in [*struck, *read]) + len(list(broken))
    summary = {"kills": len(struck), "mutants": len(read), "bad": bad, "broken": list(broken), "by": tables}
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    for name, table in tables.items():
        print(f"\n{name}")
        for key, counts in table.items():
            print(f"  {key:<24}" + "  ".join(f"{verdict} {count}" for verdict, count in counts.items()))
    print(f"\n{len(struck)} kills, {len(read)} mutants, {bad} bad", flush=True)
    return bad


def _table(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, Counter[str]] = {}
    for key, verdict in pairs:
        table.setdefault(key, Counter())[verdict] += 1
    return {key: dict(sorted(table[key].items())) for key in sorted(table)}


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    raise SystemExit(main())
