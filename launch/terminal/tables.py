"""Tables of results on standard output: framed on a terminal, aligned columns in a file or pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from forestpilot.sim.worlds.words import format_density

__all__ = ["format_columns", "format_density", "print_table"]


def print_table(rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print rows of text, the header first."""
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
        for i, name in enumerate(rows[0]):
            table.add_column(name, justify="left" if i == 0 else "right")
        for row in rows[1:]:
            table.add_row(*row)
        Console().print(table)
        return
    if title:
        print(title)
    for line in format_columns(rows):
        print(line)


def format_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines with aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
