"""Commands that are killed, stopped or refused by the disk in the middle, and begun again, end as if nothing was."""

from __future__ import annotations

import errno
import random
import shutil
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.faults import zygote
from tests.faults.recipes import RECIPES, Recipe, content, with_needs
from tests.faults.zygote import Ended, Fault

MOST_MB = 1024.0
"""More than what the process holds when it is forked."""
KINDS = {
    "kill": 6, "kill-after": 3, "kill-half": 3, "SIGKILL": 3, "SIGINT": 2, "SIGTERM": 2, "stop": 1,
    "ENOSPC": 2, "EIO": 2, "EROFS": 1, "short": 1, "twice": 2,
}  # fmt: skip
"""What goes wrong, and how often."""
QUITTING = ("SIGINT", "SIGTERM")
"""Where somebody sits in front of the screen, these end the session, and what was steered until then is kept."""
NAMED_CODES = (1, 2, 130)
"""Exit codes of a command that names what is wrong, or was interrupted."""


@dataclass(frozen=True)
class Reference:
    """A command that nothing happened to."""

    content: dict[str, str]
    operations: int
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Outcome:
    """What came of a fault."""

    recipe: str
    faults: tuple[str, ...]
    verdict: str
    """`alike`, or what is wrong."""
    detail: str = ""

    @property
    def good(self) -> bool:
        return self.verdict == "alike"


class Kills:
    """Runs recipes in one folder, which is filled anew each time.

    Args:
        folder: where all of it lies.
        names: recipes to run; what they need is made as well.
    """

    def __init__(self, folder: Path, names: Iterable[str] = RECIPES) -> None:
        self.box = folder / "box"
        self.base = folder / "base"
        self.references: dict[str, Reference] = {}
        self.broken: dict[str, str] = {}
        self.names = list(names)

    def build(self) -> None:
        """Run each recipe once, and keep what it makes."""
        for name in self.names:
            self._build(RECIPES[name])

    def _build(self, recipe: Recipe) -> None:
        if recipe.name in self.references or recipe.name in self.broken:
            return
        for need in recipe.needs:
            self._build(RECIPES[need])
        self._fill(recipe)
        ended = self._run(recipe)
        if ended.code:
            self.broken[recipe.name] = ended.said[-2000:]
            return
        kept = self.base / recipe.name
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for name in recipe.makes:
            _copy(self.box / name, kept / name)
        made = content(self.box, recipe.makes)
        self.references[recipe.name] = Reference(made, ended.operations, ended.seconds, ended.peak_mb)

    def strike(self, recipe: Recipe, faults: tuple[Fault, ...]) -> Outcome:
        """Let faults strike one after the other, each into the command begun again; then let it run through."""
        told = tuple(map(str, faults))
        self._fill(recipe)
        reference = self.references[recipe.name]
        for fault in faults:
            ended = self._run(recipe, fault)
            if wrong := _what_is_wrong(ended, fault, reference):
                return Outcome(recipe.name, told, wrong, ended.said[-1500:])
            difference = self._difference(recipe)
            if ended.code == 0 and not difference:
                return Outcome(recipe.name, told, "alike")
            # What could not be removed may be left over, until the next command on the folder removes it.
            if ended.code == 0 and not all(part.startswith("left over") for part in difference.split("; ")):
                return Outcome(recipe.name, told, "lost in silence", difference)
        ended = self._run(recipe)
        difference = self._difference(recipe)
        if ended.code and difference:
            verdict = "traceback" if ended.has_traceback else "does not go on"
            return Outcome(recipe.name, told, verdict, f"exit code {ended.code}: {ended.said[-1500:]}\n{difference}")
        return Outcome(recipe.name, told, "different" if difference else "alike", difference)

    def draw(self, rng: random.Random) -> tuple[Recipe, tuple[Fault, ...]]:
        """A recipe, the shorter the more often, and what goes wrong with it."""
        names = [name for name in self.names if name in self.references]
        weights = [max(self.references[name].seconds, 0.5) ** -0.8 for name in names]
        recipe = RECIPES[rng.choices(names, weights)[0]]
        kinds = {kind: often for kind, often in KINDS.items() if not (recipe.seat and kind in QUITTING)}
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        if kind == "twice":
            return recipe, (self._fault(recipe, "kill", rng), self._fault(recipe, "SIGKILL", rng))
        return recipe, (self._fault(recipe, kind, rng),)

    def _fault(self, recipe: Recipe, kind: str, rng: random.Random) -> Fault:
        reference = self.references[recipe.name]
        operation = rng.randrange(max(1, reference.operations))
        moment_s = round(rng.uniform(0, reference.seconds), 3)
        if kind.startswith("SIG"):
            return Fault("signal", moment_s, getattr(signal, kind))
        if kind == "stop":
            return Fault(kind, moment_s)
        if kind in ("ENOSPC", "EIO", "EROFS"):
            return Fault("error", operation, getattr(errno, kind), sticky=kind != "EIO")
        return Fault(kind, operation)

    def _run(self, recipe: Recipe, fault: Fault | None = None) -> Ended:
        return zygote.run(recipe.arguments, self.box, fault, seat if recipe.seat else None)

    def _fill(self, recipe: Recipe) -> None:
        """The folder as it is before a recipe is run."""
        shutil.rmtree(self.box, ignore_errors=True)
        self.box.mkdir(parents=True)
        for need in with_needs(recipe.needs):
            for path in (self.base / need).iterdir():
                _copy(path, self.box / path.name)

    def _difference(self, recipe: Recipe) -> str:
        """How what is there differs from what an undisturbed command makes."""
        found, meant = content(self.box, recipe.makes), self.references[recipe.name].content
        told = [f"missing: {name}" for name in sorted(meant.keys() - found.keys())]
        told += [f"left over: {name}" for name in sorted(found.keys() - meant.keys())]
        told += [f"other content: {name}" for name in sorted(meant.keys() & found.keys()) if meant[name] != found[name]]
        return "; ".join(told[:8])


def seat() -> None:
    """Put somebody in front of every screen."""
    from forestpilot.data_collection.people import live
    from forestpilot.launch import screens
    from forestpilot.launch.cockpit import cockpit
    from tests.data_collection.steering_along import Human

    human = Human()
    screens.open_screen = lambda *_: human  # type: ignore[assignment]
    cockpit.Cockpit = lambda *_, **__: human  # type: ignore[assignment,misc]
    live.RealClock = lambda: human  # type: ignore[assignment,misc]


def _what_is_wrong(ended: Ended, fault: Fault, reference: Reference) -> str:
    """What a command does that nobody may see, whatever the fault."""
    if ended.has_traceback:
        return "traceback"
    if ended.code > 0 and ended.code not in NAMED_CODES:
        return f"exit code {ended.code}"
    if ended.code < 0 and -ended.code not in (signal.SIGKILL, fault.number):
        return f"died of signal {-ended.code}"
    if ended.code > 0 and not ended.said.strip():
        return "no word"
    if ended.peak_mb > reference.peak_mb + MOST_MB:
        return f"{ended.peak_mb:.0f} MB"
    return ""


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.exists():
        shutil.copy2(source, target)
