"""Where a training run writes its figures: metrics.csv always, TensorBoard beside it if wanted."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.files import write_new_file


class MetricsLog:
    """Appends rows to metrics.csv and to TensorBoard events.

    Args:
        folder: the run folder.
        resume_at: (round, step) from which the run goes on; rows after it were written by a process that died and go.
        tensorboard: also write events to folder/tensorboard.
    """

    def __init__(self, folder: Path, resume_at: tuple[int, int], tensorboard: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "metrics.csv"
        self._columns = _drop_rows_after(self.path, resume_at)
        self._events: Any = None
        if tensorboard:
            # Importing TensorBoard takes a second that a script without it should not wait for.
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(folder / "tensorboard"))

    def write(self, round_number: int, step: int, total_step: int, figures: dict[str, float]) -> None:
        """Add one row.

        Args:
            round_number: DAgger round, 0 for plain behavioural cloning.
            step: gradient steps done in this round.
            total_step: gradient steps done in all rounds, the x axis of TensorBoard.
            figures: name to value.
        """
        row = {"round": round_number, "step": step, **{name: f"{value:.6g}" for name, value in figures.items()}}
        is_new = self._columns is None
        self._columns = self._columns or list(row)
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="", extrasaction="ignore")
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        if self._events is not None:
            for name, value in figures.items():
                self._events.add_scalar(f"train/{name}", value, total_step)

    def close(self) -> None:
        """Flush the events."""
        if self._events is not None:
            self._events.close()


def _drop_rows_after(path: Path, resume_at: tuple[int, int]) -> list[str] | None:
    """Keep the rows of metrics.csv up to and with (round, step); returns its columns, None where there is no file
    yet.
    """
    if not path.exists():
        return None
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows:
        return None
    columns = rows[0]
    # A process killed while writing may leave half a row.
    whole = [row for row in rows[1:] if len(row) == len(columns) and row[0].isdigit() and row[1].isdigit()]
    kept = [row for row in whole if (int(row[0]), int(row[1])) <= resume_at]
    text = io.StringIO()
    csv.writer(text).writerows([columns, *kept])
    write_new_file(path, [text.getvalue().encode()])
    return columns
