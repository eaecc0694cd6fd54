"""`forestpilot report`: what runs came to, as one HTML file that opens offline."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro.conf

from forestpilot.data_collection.episodes.files import write_new_file
from forestpilot.launch.pictures.sizes import parse_size
from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.verbs import Verb

REPORT_FILE = "report.html"


@dataclass(frozen=True)
class ReportConfig:
    """Put what runs came to on one page: results with intervals, the worst episodes with video, comparisons, curves.

    A run is a folder that evaluate, dagger, train, study, grid or demo wrote; runs inside it are found. Several are
    compared on the worlds they share.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders to report on."""
    out: Path | None = None
    """File to write; by default report.html in the first folder."""
    failures: int = 6
    """Number of worst episodes to look at closely; 0 for none."""
    seconds: float = 4.0
    """Seconds before a crash that are shown."""
    videos: bool = True
    """Make videos of them."""
    size: str = "640x360"
    """Width and height of the videos in pixels, 320x180 to 3840x2160."""
    max_mb: float = 40.0
    """Largest size of the page in MB; videos of the least bad episodes are left out to keep it."""
    replays: int = 10
    """Episodes of each policy that are replayed to compare its turns with the expert's; 0 for none."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("give at least one folder to report on, for example runs/evaluation")
        if self.failures < 0 or self.replays < 0:
            raise ValueError(f"failures is {self.failures} and replays is {self.replays}; both must be 0 or more")
        if not 0.5 <= self.seconds <= 60.0:
            raise ValueError(f"seconds is {self.seconds:g}; allowed: 0.5 to 60")
        if not self.max_mb > 0.0:
            raise ValueError(f"max_mb is {self.max_mb:g}, but must be positive")
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
    from forestpilot.launch.reports.build import Wishes, build
    from forestpilot.launch.reports.failures import Look

    look = Look(config.seconds, config.videos, parse_size(config.size))
    wishes = Wishes(config.failures, look, config.replays, round(config.max_mb * 1e6), config.command)
    html = build(config.runs, wishes, make_progress())
    config.page.parent.mkdir(parents=True, exist_ok=True)
    write_new_file(config.page, [html.encode()])
    print(f"{config.page}  {config.page.stat().st_size / 1e6:.1f} MB, opens in any browser, offline too")


VERB = Verb(ReportConfig, run)
