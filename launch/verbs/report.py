"""`forestpilot report`: what runs came to, as one HTML file that opens offline."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro.conf

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.data_collection.episodes.locks import written_by_one
from forestpilot.launch.pictures.sizes import parse_size
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb
from forestpilot.sim.errors import InvalidArgumentError
from forestpilot.sim.ranges import Range, require_ranges

REPORT_FILE = "report.html"


@dataclass(frozen=True)
class ReportConfig:
    """Put what runs came to on one page: results with intervals, the worst episodes with video, comparisons, curves.

    A run is a folder that evaluate, dagger, train, imagine, study, grid or demo wrote; runs inside it are found.
    Several are compared on the worlds they share.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders to report on."""
    out: Path | None = None
    """File to write; by default report.html in the first folder."""
    failures: Annotated[int, Range(0, 1000)] = 6
    """Number of worst episodes to look at closely; 0 for none."""
    seconds: Annotated[float, Range(0.5, 60)] = 4.0
    """Seconds before a crash that are shown."""
    videos: bool = True
    """Make videos of them."""
    size: str = "640x360"
    """Width and height of the videos in pixels, 320x180 to 3840x2160."""
    max_mb: Annotated[float, Range(0, 10_000, above=True)] = 40.0
    """Largest size of the page in MB; videos of the least bad episodes are left out to keep it."""
    replays: Annotated[int, Range(0, 1_000_000)] = 10
    """Episodes of each policy that are replayed to compare its turns with the expert's; 0 for none."""

    def __post_init__(self) -> None:
        require_ranges(self)
        if not self.runs:
            raise InvalidArgumentError("give at least one folder to report on, for example runs/evaluation")
        parse_size(self.size)

    @property
    def page(self) -> Path:
        """The file to write."""
        if self.out is None:
            return self.runs[0] / REPORT_FILE
        return self.out / REPORT_FILE if self.out.is_dir() else self.out

    @property
    def command(self) -> str:
        """Command that asks for this report, without what is as by default."""
        words = ["forestpilot", "report", *map(str, self.runs), "--out", str(self.page)]
        for name in ("failures", "seconds", "size", "max_mb", "replays"):
            if getattr(self, name) != getattr(ReportConfig, name):
                words += [f"--{name.replace('_', '-')}", f"{getattr(self, name)}"]
        return shlex.join(words + ([] if self.videos else ["--no-videos"]))


def run(config: ReportConfig) -> None:
    """Write the report and say where it lies.

    Raises:
        ReportError: there is nothing to report.
    """
    from forestpilot.launch.reports.build import ReportError, Wishes, build
    from forestpilot.launch.reports.failures import Look

    if not any(folder.exists() for folder in config.runs):
        named = ", ".join(map(str, config.runs))
        raise ReportError(f"there is nothing to report: {named} is no folder; there is nothing of that name")
    look = Look(config.seconds, config.videos, parse_size(config.size))
    wishes = Wishes(config.failures, look, config.replays, round(config.max_mb * 1e6), config.command)
    progress = make_progress()
    with written_by_one(config.page.parent, progress, only=config.page.name):
        html = build(config.runs, wishes, progress)
        write_new_file(config.page, [html.encode()])
    print(f"{config.page}  {config.page.stat().st_size / 1e6:.1f} MB, opens in any browser, offline too")


VERB = Verb(ReportConfig, run)
