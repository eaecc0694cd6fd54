"""Where a training run writes its figures: metrics.csv always, a tracker beside it if wanted."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from forestpilot.data_collection.episodes.seals import seal, set_aside, write_sealed
from forestpilot.policies.training.trackers import Tracker

METRICS_FILE = "metrics.csv"


class MetricsLog:
    """Appends rows to metrics.csv, and tells them to a tracker.

    Args:
        folder: the run folder.
        resume_at: (round, step) from which the run goes on; rows after it were written by a process that died and go.
        tracker: is told every row too.
        known: what the training state says that metrics.csv holds at this step; empty where it does not know. A file
            that begins otherwise is set aside, and written anew.

    Attributes:
        path: metrics.csv.
        text: all that it holds.
        note: a sentence on what was wrong with the file that was there; empty where nothing was.
    """

    def __init__(
        self, folder: Path, resume_at: tuple[int, int], tracker: Tracker | None = None, known: str = ""
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / METRICS_FILE
        self.note = ""
        self.text = known
        found = _content(self.path)
        if not known:
            self.text = _without_rows_after(found, resume_at)
        elif found and not found.startswith(known):
            self.note = f"warning: {self.path} was cut or altered; it is now {set_aside(self.path)}, and written anew"
        if self.text != found:
            write_sealed(self.path, self.text.encode())
        if self.text:
            seal(self.path, self.text.encode(), grows=True)
        self._columns = next(csv.reader(io.StringIO(self.text)), None)
        self._tracker = tracker

    def write(self, round_number: int, step: int, total_step: int, figures: dict[str, float]) -> None:
        """Add one row.

        Args:
            round_number: DAgger round, 0 for plain behavioural cloning.
            step: gradient steps done in this round.
            total_step: gradient steps done in all rounds, the x axis of trackers.
            figures: name to value; one that no row had so far is a further column.
        """
        row = {"round": round_number, "step": step, **{name: f"{value:.6g}" for name, value in figures.items()}}
        is_new = self._columns is None
        self._columns = self._columns or list(row)
        if not set(row) <= set(self._columns):
            self._add_columns([name for name in row if name not in self._columns])
        line = io.StringIO()
        writer = csv.DictWriter(line, self._columns, restval="", extrasaction="ignore")
        if is_new:
            writer.writeheader()
        writer.writerow(row)
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            file.write(line.getvalue())
        self.text += line.getvalue()
        if self._tracker is not None:
            self._tracker.write(figures, total_step)

    def _add_columns(self, names: Sequence[str]) -> None:
        """Write the table anew with further columns, empty in the rows so far."""
        assert self._columns is not None
        self._columns += names
        rows = list(csv.DictReader(io.StringIO(self.text)))
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
        self.text = text.getvalue()
        write_sealed(self.path, self.text.encode())
        seal(self.path, self.text.encode(), grows=True)

    def close(self) -> None:
        """Seal the table, and have the tracker keep what it was told."""
        if self.text:
            seal(self.path, self.text.encode(), grows=False)
        if self._tracker is not None:
            self._tracker.close()


def _content(path: Path) -> str:
    """The text of a file, with its ends of lines; empty where there is none."""
    if not path.exists():
        return ""
    return path.read_bytes().decode(errors="replace")


def _without_rows_after(content: str, resume_at: tuple[int, int]) -> str:
    """The header of a table and its rows up to and with (round, step)."""
    rows = list(csv.reader(content.replace("\0", "").splitlines()))
    if not rows:
        return ""
    columns = rows[0]
    # A process killed while writing may leave half a row.
    whole = [row for row in rows[1:] if len(row) == len(columns) and row[0].isdigit() and row[1].isdigit()]
    kept = [row for row in whole if (int(row[0]), int(row[1])) <= resume_at]
    text = io.StringIO()
    csv.writer(text).writerows([columns, *kept])
    return text.getvalue()
