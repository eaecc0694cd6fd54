"""Commands of every verb, as small as they get, and what they make."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PICTURES = "--mix.width 32 --mix.height 24 --mix.speeds 12 12"
NETWORK = "policy.features 8 policy.window 4 policy.view.height 16 policy.view.width 32 policy.encoder.channels 4 4 4"
TRAINING = "batch-windows 2 shards 1 log-every 1 checkpoint-every 2 no-tensorboard"
DRIVES = "--roads winding --length 60 --test-length 60 --test-roads 2 --rounds 1 --drives 1 --horizon 30 --shortest 10"


def options(words: str, prefix: str = "") -> str:
    """`--PREFIXname value` of `name value`, for lists as well."""
    told = [f"--{prefix}{word}" if re.match(r"[a-z]", word) else word for word in words.split()]
    return " ".join(told)


def learning(prefix: str) -> str:
    """A run of an algorithm: two episodes, two steps of training, one round."""
    sizes = "seed 0 rounds 1 expert-episodes 2 episodes 1 first-steps 4 steps 2 last-steps 2 validation-episodes 1"
    mix = "mix.width 32 mix.height 24 mix.speeds 12 12"
    return " ".join([options(sizes, prefix), options(mix, prefix), options(f"{TRAINING} {NETWORK}", f"{prefix}train.")])


def filmed() -> str:
    """The same of third-person imitation, whose encoder is an embedding and whose own flights are two at least."""
    told = learning("").replace("encoder.channels", "encoder.shape.channels").replace("--episodes 1", "--episodes 2")
    parts = "inverse.steps 4 inverse.batch 8 embedding-steps 4 embedder.episodes 2 embedder.moments 4 embedder.clips 16"
    return f"{told} {options(parts)} --alpha 0.5"


@dataclass(frozen=True)
class Recipe:
    """A command, and what it needs."""

    name: str
    """Verb, with what tells it from other recipes of the verb."""
    line: str
    """Arguments."""
    makes: tuple[str, ...]
    """Files and folders that it makes; these are compared."""
    needs: tuple[str, ...] = ()
    """Recipes whose results it reads."""
    seat: bool = False
    """Somebody sits in front of the screen."""

    @property
    def arguments(self) -> list[str]:
        """What stands after `forestpilot`."""
        return shlex.split(self.line)

    @property
    def verb(self) -> str:
        """First word."""
        return self.arguments[0]


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("collect", f"collect --out data --episodes 2 --workers 1 {PICTURES}", ("data",)),
        Recipe(
            "collect-drive",
            "collect --task drive --out roads --episodes 1 --workers 1 --mix.width 32 --mix.height 24 "
            "--mix.options.length 40",
            ("roads",),
        ),
        Recipe(
            "train",
            f"train --data data --out policy --steps 6 {options(TRAINING)} {options(NETWORK)}",
            ("policy",),
            ("collect",),
        ),
        Recipe(
            "evaluate",
            "evaluate --policy policy blind --out evaluation --episodes 2 --workers 1 --speed 12",
            ("evaluation",),
            ("train",),
        ),
        Recipe("dagger", f"dagger --out dagger --workers 1 {learning('')}", ("dagger",)),
        Recipe("bc", f"bc --out bc --workers 1 {learning('')}", ("bc",)),
        Recipe(
            "reinforce",
            f"reinforce --out reinforce --workers 1 --method.environments 2 --method.rollout 4 --method.batch 4 "
            f"{learning('')} --train.policy.window 1",
            ("reinforce",),
        ),
        Recipe(
            "bco",
            f"bco --out bco --workers 1 --inverse.steps 4 --inverse.batch 4 {learning('')} --episodes 2 "
            "--train.policy.head mixture",
            ("bco",),
        ),
        *(
            Recipe(
                f"semi-{method}",
                f"semi --out semi-{method} --workers 1 --videos 2 --method {method} {sizes} {learning('')} "
                "--train.policy.head mixture",
                (f"semi-{method}",),
            )
            for method, sizes in (
                ("pseudo-labels", "--method.inverse.steps 4 --method.inverse.batch 4"),
                ("consistency", ""),
                ("masked", "--method.steps 4 --method.batch 4"),
            )
        ),
        Recipe(
            "tune",
            f"tune bc --out tune --workers 1 --trials 2 --looks 1 {learning('').replace('--rounds 1', '--rounds 0')} "
            "--search train.learning_rate=log:1e-4:1e-2 --search train.flip=true,false",
            ("tune/trials", "tune/trials.csv", "tune/best.yaml"),
        ),
        Recipe("third-person", f"third-person --out filmed --workers 1 {filmed()}", ("filmed",)),
        Recipe(
            "imagine",
            "imagine --data data --out world --steps 6 --batch 2 --window 4 --horizon 4 --keep-back 0.5 "
            "--checkpoint-every 2 --log-every 1 --films 1",
            ("world",),
            ("collect",),
        ),
        Recipe(
            "dream",
            "dream --world world --out dream --rounds 2 --dreamer.states 4 --dreamer.flights 4 --dreamer.steps 2 "
            "--dreamer.length 2",
            ("dream",),
            ("collect", "imagine"),
        ),
        Recipe("relabel", "relabel dagger/dataset --out labels --episodes 1", ("labels",), ("dagger",), seat=True),
        Recipe(
            "grid", "grid --policy blind --out grid --speeds 12 --densities 0.02 --episodes 1 --workers 1", ("grid",)
        ),
        Recipe(
            "study",
            f"study compounding-error --out study --seeds 1 --horizons 2 --workers 1 {DRIVES} "
            f"{options(f'steps 2 {TRAINING} {NETWORK}', 'train.')}",
            ("study",),
        ),
        Recipe(
            "demo",
            "demo --out demo --episodes 1 --roads 0 --videos 1 --seconds 0.5 --size 320x180 --workers 1 "
            + learning("dagger."),
            ("demo",),
        ),
        Recipe(
            "replay",
            "replay evaluation --worst 1 --video films --size 320x180 --fps 5 --last 1 --workers 1",
            ("films",),
            ("evaluate",),
        ),
        Recipe("report", "report evaluation --out page.html --no-videos --failures 1", ("page.html",), ("evaluate",)),
        Recipe("export", "export data --to robomimic --out exported.hdf5", ("exported.hdf5",), ("collect",)),
    )
}


def with_needs(names: Iterable[str]) -> list[str]:
    """Recipes with those whose results they read, which come first."""
    found: list[str] = []
    for name in names:
        found += [*with_needs(RECIPES[name].needs), name]
    return list(dict.fromkeys(found))


LOCKS = (".lock", ".claims")
"""What nobody misses."""


def content(folder: Path, makes: tuple[str, ...]) -> dict[str, str]:
    """Digest of each file that a command makes: all bytes, of films those of their pictures.

    What wall time decides of it, frames a second of training and dates of reports, is frozen (`zygote.freeze_time`).
    """
    found = {}
    for name in makes:
        top = folder / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and path.name not in LOCKS:
                found[str(path.relative_to(folder))] = _digest(path)
    return found


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=12)
    if path.suffix != ".mp4":
        digest.update(path.read_bytes())
        return digest.hexdigest()
    import av

    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            digest.update(frame.to_ndarray().tobytes())
    return digest.hexdigest()
