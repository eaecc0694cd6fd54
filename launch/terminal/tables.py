"""Tables of results on standard output: framed on a terminal, aligned columns in a file or pipe."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from forestpilot.sim.worlds.words import format_density

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["fitting", "format_columns", "format_density", "print_table"]

FRAME = 3
"""Characters beside those of a column in a table of rich's, at most: padding and a gap."""


def print_table(rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print rows of text, the header first. Where a terminal is too narrow, headers stand on several lines, and what is
    still too wide goes on below, the first column repeated; no word is cut."""
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        for number, part in enumerate(fitting(rows, console.width)):
            console.print(_framed(part, "" if number else title))
        return
    if title:
        print(title)
    for line in format_columns(rows):
        print(line)


def fitting(rows: Sequence[Sequence[str]], width: int) -> list[list[list[str]]]:
    """The table, or tables of some of its columns each, that fit into a terminal of `width` characters.

    A header's words are put on lines of their own where that helps; every part begins with the first column.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    if sum(map(_width, columns)) > width:
        columns = [[_stacked(*column), *column[1:]] for column in columns]
    first, *others = columns
    parts = [[first]]
    for column in others:
        if len(parts[-1]) > 1 and sum(map(_width, [*parts[-1], column])) > width:
            parts.append([first])
        parts[-1].append(column)
    return [[list(row) for row in zip(*part, strict=True)] for part in parts]


def _stacked(header: str, *cells: str) -> str:
    """A header's words on as many lines as keep its column as narrow as its cells allow."""
    width = max(map(len, [*header.split(), *cells]))
    return "\n".join(textwrap.wrap(header, width, break_long_words=False, break_on_hyphens=False))


def _width(column: Sequence[str]) -> int:
    """Characters that a column takes in a frame, the space beside it included."""
    return max(len(line) for text in column for line in text.split("\n")) + FRAME


def _framed(rows: Sequence[Sequence[str]], title: str) -> Table:
    """A table of rich's, the header first."""
    from rich import box
    from rich.table import Table

    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
    for number, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=True, vertical="bottom")
    for row in rows[1:]:
        table.add_row(*row)
    return table


def format_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines with aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
