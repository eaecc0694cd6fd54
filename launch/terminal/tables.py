"""Tables of results on standard output: framed on a terminal, aligned columns in a file or pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence


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


def format_density(trees_per_m2: float) -> str:
    """`1/25` for 0.04 trees per square metre, as the literature writes it; `0` for none."""
    return f"1/{1 / trees_per_m2:.0f}" if trees_per_m2 > 0 else "0"
