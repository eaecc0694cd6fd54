"""What is made of stored episodes, and of which."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro.conf

from forestpilot.launch.films.pace import FilmConfig
from forestpilot.launch.pictures.sizes import parse_size
from forestpilot.launch.reading.outcomes import Choice
from forestpilot.sim.cores import usable_cores
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import PROCESSES, SEEDS, Range, require_ranges

if TYPE_CHECKING:
    from forestpilot.launch.films.products import MovingPicture

SIZE = "960x540"
"""Ordinary size of a film."""
WIDE_SIZE = "1280x540"
"""Ordinary size of a film that shows episodes side by side."""
REEL_SLOW = 4.0
"""How many times slower the reel runs near its moments if nothing else is asked for."""


@dataclass(frozen=True)
class ReplayConfig:
    """Simulate stored episodes again, check the state at every step, and make films and pictures of them."""

    evaluation: Annotated[Path, tyro.conf.Positional]
    """Folder that `forestpilot evaluate` wrote: outcomes.csv and episodes/."""
    worst: Annotated[int, Range(0, 1_000_000)] = 0
    """Number of worst episodes: failures first, the most interventions first, then the smallest clearance."""
    best: Annotated[int, Range(0, 1_000_000)] = 0
    """Number of best episodes: successes with the largest clearance."""
    seed: Annotated[tuple[int, ...], SEEDS] = ()
    """World seeds to replay. Without --worst, --best and --seed every episode is checked."""
    policy: tuple[str, ...] = ()
    """Only episodes of the policies of these names; side by side they stand in this order."""
    video: Path | None = None
    """Folder to write videos (MP4) into; without any product the episodes are only checked."""
    side_by_side: bool = False
    """Show the episodes of all policies (or those of --policy) through a world next to each other in one film, by one
    clock. --worst and --best then choose worlds by the first policy."""
    gif: Path | None = None
    """Folder to write the same films into as animated GIFs, for a README."""
    webp: Path | None = None
    """Folder to write them into as animated WebP: smaller and sharper than a GIF, and GitHub and browsers show it."""
    gif_width: Annotated[int, Range(160, 1280)] = 480
    """Width of GIFs and WebPs in pixels."""
    gif_fps: Annotated[int, Range(2, 30)] = 10
    """Frames per second of GIFs and WebPs."""
    gif_mb: Annotated[float, Range(0, 1000, above=True)] = 8.0
    """Largest size of a GIF or WebP in MB; of a GIF width, then frame rate, are lowered until it fits, of a WebP the
    quality."""
    contact_sheet: Path | None = None
    """Folder to write contact sheets (PNG) into: moments of an episode in a grid, and the map."""
    moments: Annotated[int, Range(3, 60)] = 9
    """Moments on a contact sheet; the last two are the one before the end, and the end."""
    reel: Path | None = None
    """MP4 file to write a highlight reel into: the successes with the smallest clearance, the closest first."""
    reel_clips: Annotated[int, Range(1, 100)] = 8
    """Clips in the reel."""
    rerun: Path | None = None
    """File (.rrd) to write the episodes into for rerun's viewer: cameras, way, costs, map. It needs forestpilot[rerun];
    `rerun FILE.rrd` shows it."""
    slow: Annotated[float, Range(1, 50)] = 1.0
    """How many times slower time runs in the films, for example 4; in the reel near its moments, 4 if this is 1."""
    last: Annotated[float | None, Range(0, 3600, above=True)] = None
    """Show only so many seconds at the end of each episode; side by side, from so long before the first one ends."""
    size: str = ""
    """Width and height of the films in pixels, 320x180 to 3840x2160; by default 960x540, side by side 1280x540."""
    fps: Annotated[int, Range(1, 120)] = 30
    """Frames per second of the videos; time runs at its true pace."""
    costs: Literal["expert", "policy", "none"] = "expert"
    """Whose costs of the candidate turns to draw as a fan; `policy` loads the checkpoint that acted, and
    falls back to the expert's for baselines."""
    workers: Annotated[int, PROCESSES] = field(default_factory=usable_cores)
    """Number of processes that make films and compare states side by side; by default one per core that it may use."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", tuple(self.policy))
        require_ranges(self)
        if self.reel is not None and self.reel.suffix.lower() != ".mp4":
            raise InvalidArgumentError(f"reel is {str(self.reel)!r}; name an MP4 file, for example reel.mp4")
        if self.rerun is not None and self.rerun.suffix.lower() != ".rrd":
            raise InvalidArgumentError(f"rerun is {str(self.rerun)!r}; name a .rrd file, for example flights.rrd")
        if self.size:
            parse_size(self.size)
        self._require_use()

    def _require_use(self) -> None:
        """Raise ValueError where an option would have no effect."""
        films = self.video or self.gif or self.webp
        sheet = self.contact_sheet
        reel = self.reel
        if self.side_by_side and (not films or sheet):
            raise InvalidArgumentError(
                "side_by_side makes films of several episodes: give --video or --gif or --webp, and no --contact-sheet"
            )
        if self.slow != 1.0 and not (films or reel):
            raise InvalidArgumentError("slow has no effect without --video, --gif, --webp or --reel")
        if self.last is not None and not (films or sheet):
            raise InvalidArgumentError("last has no effect without --video, --gif, --webp or --contact-sheet")
        if self.side_by_side and self.rerun:
            raise InvalidArgumentError("rerun shows episodes side by side by itself: leave out --side-by-side")
        if self.only_reel and (self.worst or self.best):
            raise InvalidArgumentError(
                "the reel chooses its own episodes: say how many with --reel-clips, not --worst or --best"
            )

    @property
    def choice(self) -> Choice:
        """Episodes that are meant."""
        return Choice(self.worst, self.best, self.seed, self.policy)

    def moving_pictures(self, stem: str) -> list[MovingPicture]:
        """The animations of a film, whose files are called `stem`."""
        from forestpilot.launch.films.products import MovingPicture

        film = self.film(self.gif_fps)
        pictures: list[MovingPicture] = []
        for folder, suffix in ((self.gif, "gif"), (self.webp, "webp")):
            if folder is not None:
                path = folder / f"{stem}.{suffix}"
                pictures.append(MovingPicture(path, film, self.costs, self.gif_width, self.gif_mb))
        return pictures

    def film(self, fps: int) -> FilmConfig:
        """Size and pace of the films."""
        size = self.size or (WIDE_SIZE if self.side_by_side else SIZE)
        return FilmConfig(parse_size(size), fps, self.slow, self.last)

    @property
    def reel_film(self) -> FilmConfig:
        """Size and pace of the reel, which is slow near its moments."""
        slow = self.slow if self.slow > 1.0 else REEL_SLOW
        return FilmConfig(parse_size(self.size or SIZE), self.fps, slow)

    @property
    def products(self) -> tuple[Path, ...]:
        """Folders that something is to be written into for each episode or world."""
        return tuple(filter(None, (self.video, self.gif, self.webp, self.contact_sheet)))

    @property
    def only_reel(self) -> bool:
        """True if nothing but the reel is wanted."""
        return self.reel is not None and self.rerun is None and not self.products
