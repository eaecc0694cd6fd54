"""What `forestpilot imagine` left in a folder: errors by the number of imagined steps, and films with their stills."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from forestpilot.launch.reading.json_files import read_config
from forestpilot.launch.reading.tables import Table, read_table

HORIZON_FILE = "horizon.csv"
"""Of the folder of a model: errors by the number of imagined steps."""
FILMS = "films"
"""Folder of the films in that of the model."""


@dataclass(frozen=True)
class ImaginedFilm:
    """A film of the imagined beside the true."""

    name: str
    """Name of its file without ending."""
    video: bytes
    """MP4; empty where there is a still alone."""
    still: bytes
    """PNG: some of its moments side by side; empty where there is a film alone."""


@dataclass
class WorldRun:
    """A model of the world."""

    folder: Path
    """The folder."""
    kind: str
    """What is predicted, and how it was learned, in words; empty where the config does not say."""
    errors: Table
    """horizon.csv."""
    films: list[ImaginedFilm]
    """In the order of their names."""
    notes: list[str] = field(default_factory=list)
    """What is missing or damaged, in sentences."""

    @property
    def says_something(self) -> bool:
        """True where errors were measured."""
        return bool(self.errors.rows)


def read_world(folder: Path) -> WorldRun:
    """A model of the world, as far as what is told of it can be read."""
    errors, notes = read_table(folder / HORIZON_FILE, ("steps", "episodes", "mean", "low", "high"))
    config, wrong = read_config(folder)
    notes += [wrong] if wrong else []
    films, unread = _films(folder / FILMS)
    return WorldRun(folder, _kind(config.config), errors, films, [*notes, *unread])


def _kind(config: object) -> str:
    """`strip, adversarial`."""
    if not isinstance(config, dict):
        return ""
    told = [config.get(name) for name in ("model", "learner")]
    return ", ".join(str(part.get("part", "")) for part in told if isinstance(part, dict) and part.get("part"))


def _films(folder: Path) -> tuple[list[ImaginedFilm], list[str]]:
    """The films in a folder, and sentences on those that cannot be read."""
    films, notes = [], []
    names = sorted({path.stem for kind in ("*.mp4", "*.png") for path in folder.glob(kind)})
    for name in names:
        try:
            parts = [path.read_bytes() if path.is_file() else b"" for path in _files(folder, name)]
        except OSError as error:
            notes.append(f"{folder / name}: the film cannot be read ({error}).")
            continue
        films.append(ImaginedFilm(name, *parts))
    return films, notes


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.mp4", folder / f"{name}.png"
