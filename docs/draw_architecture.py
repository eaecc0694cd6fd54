"""Draw docs/assets/architecture.svg from what the modules really import.

The four floors of the house stand above each other; in each, its rooms (packages, and single modules together), those
that import others above those that are imported. An arrow that follows from two others is left out. `make docs` runs
this; a test compares the picture with the code.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PICTURE = Path(__file__).parent / "assets" / "architecture.svg"
FLOORS = {
    "launch": ("#6f5aa8", "the command, windows, films, reports"),
    "policies": ("#2f7d5b", "networks, training, algorithms, evaluation"),
    "data_collection": ("#b0631f", "episodes, rollouts, people, windows"),
    "sim": ("#2b6cb0", "worlds, vehicles, experts, environments"),
}
"""The floors from the top, with a colour and what is there."""
WIDTH = 1160
MARGIN = 18
TITLE_WIDTH = 250
BOX_HEIGHT = 32
BOX_PADDING = 14
ROW_HEIGHT = 62
COLUMN_GAP = 18
FLOOR_GAP = 30
CHARACTER_WIDTH = 7.7
WAYPOINT_WIDTH = 8
"""Pixels, all of them; letters are those of the rooms' names."""
VIA = ">"
"""Parts the ends in the names of waypoints, where an arrow passes a row that it has nothing to do with."""

Room = tuple[str, str]
"""Floor and name."""
Edges = dict[str, set[str]]
"""Rooms of a floor, each with those that it imports."""


def main() -> None:
    """Draw it, or with --check say whether the drawing is what the code would give."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the picture is out of date")
    drawn = draw(read_imports())
    if not parser.parse_args().check:
        PICTURE.write_text(drawn, encoding="utf-8")
    elif PICTURE.read_text(encoding="utf-8") != drawn:
        raise SystemExit(f"{PICTURE} is not what the modules import today; `make docs` draws it again")


def read_imports() -> dict[str, Edges]:
    """For each floor the rooms that each of its rooms imports.

    Single modules that import no package of their floor are one room, which is called by all their names.
    """
    floors: dict[str, Edges] = {floor: {} for floor in FLOORS}
    for (floor, room), imported in _imports_of_rooms().items():
        floors[floor][room] = {other for other_floor, other in imported if other_floor == floor and other != room}
    return {floor: _with_basics(floor, edges) for floor, edges in floors.items()}


def _imports_of_rooms() -> dict[Room, set[Room]]:
    """Every package and every single module that stands on a floor, with those that it imports."""
    with tempfile.TemporaryDirectory() as folder:
        # grimp does not follow links to folders, so it reads a copy.
        shutil.copytree(ROOT / ".package" / "forestpilot", Path(folder) / "forestpilot", ignore=_no_python)
        sys.path.insert(0, folder)
        try:
            graph = grimp.build_graph("forestpilot", exclude_type_checking_imports=True, cache_dir=None)
        finally:
            sys.path.remove(folder)
    rooms: dict[Room, set[Room]] = {}
    for module in sorted(graph.modules):
        parts = module.split(".")
        if len(parts) < 3 or parts[1] not in FLOORS:
            continue
        imported = rooms.setdefault((parts[1], parts[2]), set())
        for other in graph.find_modules_directly_imported_by(module):
            other_parts = other.split(".")
            if len(other_parts) > 2:
                imported.add((other_parts[1], other_parts[2]))
    return rooms


def _with_basics(floor: str, edges: Edges) -> Edges:
    """The rooms of a floor, its basic single modules as one."""
    packages = {room for room in edges if (ROOT / floor / room).is_dir()}
    basic = {room for room in edges if room not in packages and not edges[room] & packages}
    if len(basic) < 2:
        return edges
    name = ", ".join(sorted(basic))
    called = {room: name if room in basic else room for room in edges}
    together: Edges = {}
    for room, imported in edges.items():
        others = {called[other] for other in imported} - {called[room]}
        together.setdefault(called[room], set()).update(others)
    return together


def _no_python(folder: str, names: list[str]) -> list[str]:
    """Names in a folder that are no Python."""
    return [name for name in names if not (Path(folder) / name).is_dir() and not name.endswith(".py")]


def rows_of(edges: Edges) -> list[list[str]]:
    """Rooms in rows: each room below all that import it."""
    level = dict.fromkeys(edges, 0)
    for _ in edges:
        for room, imported in edges.items():
            for other in imported:
                level[other] = min(max(level[other], level[room] + 1), len(edges))
    return [sorted(room for room in edges if level[room] == at) for at in sorted(set(level.values()))]


def with_waypoints(edges: Edges, rows: list[list[str]]) -> Edges:
    """Arrows that go past rows, led through waypoints, which are put into those rows between the boxes."""
    at = {room: row for row, rooms in enumerate(rows) for room in rooms}
    led: Edges = {room: set() for room in edges}
    for room in sorted(edges):
        for other in sorted(edges[room]):
            last = room
            for row in range(at[room] + 1, at[other]):
                waypoint = f"{room}{VIA}{other}{VIA}{row}"
                rows[row].append(waypoint)
                led[last].add(waypoint)
                led[waypoint] = set()
                last = waypoint
            led[last].add(other)
    return led


def without_shortcuts(edges: Edges) -> Edges:
    """Arrows without those that follow from others."""
    kept = {}
    for room, imported in edges.items():
        further: set[str] = set()
        for other in imported:
            further |= reached(edges, other)
        kept[room] = imported - further
    return kept


def reached(edges: Edges, start: str) -> set[str]:
    """Rooms that a room imports, directly or through others."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = edges[todo.pop()] - found
        found |= new
        todo.extend(new)
    return found


@dataclass(frozen=True)
class Box:
    """Place of a room in the picture, in pixels."""

    name: str
    middle: float
    top: float

    @property
    def is_waypoint(self) -> bool:
        """Whether only an arrow passes here."""
        return VIA in self.name

    @property
    def width(self) -> float:
        """Room for the name; a waypoint is a line."""
        return WAYPOINT_WIDTH if self.is_waypoint else 2 * BOX_PADDING + CHARACTER_WIDTH * len(self.name)

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.top + BOX_HEIGHT


def place_rooms(rows: list[list[str]], edges: Edges, top: float) -> dict[str, Box]:
    """Boxes of a floor's rooms, each under the middle of those that import it where there is room."""
    boxes: dict[str, Box] = {}
    for row in rows:
        wanted = {}
        for room in row:
            above = [box.middle for name, box in boxes.items() if room in edges[name]]
            wanted[room] = sum(above) / len(above) if above else (TITLE_WIDTH + WIDTH) / 2
        row.sort(key=lambda room: (wanted[room], room))
        widths = [Box(room, 0, 0).width for room in row]
        gap = min(COLUMN_GAP, (WIDTH - 2 * MARGIN - TITLE_WIDTH - sum(widths)) / len(row))
        left = (TITLE_WIDTH + WIDTH - sum(widths) - gap * (len(row) - 1)) / 2
        for room, width in zip(row, widths, strict=True):
            boxes[room] = Box(room, left + width / 2, top)
            left += width + gap
        top += ROW_HEIGHT
    return boxes


def draw(floors: dict[str, Edges]) -> str:
    """The picture as SVG."""
    parts = []
    top = float(MARGIN)
    for floor, edges in floors.items():
        color, summary = FLOORS[floor]
        rows = rows_of(edges)
        led = with_waypoints(without_shortcuts(edges), rows)
        boxes = place_rooms(rows, led, top + MARGIN)
        bottom = max(box.bottom for box in boxes.values()) + MARGIN
        parts.append(_band(floor, summary, color, top, bottom))
        for room in boxes:
            parts += [_arrow(boxes[room], boxes[other], color) for other in sorted(led[room])]
        parts += [_box(box, color) for box in boxes.values() if not box.is_waypoint]
        if floor != list(floors)[-1]:
            parts.append(_between(bottom))
        top = bottom + FLOOR_GAP
    height = top - FLOOR_GAP + MARGIN
    return HEAD.format(width=WIDTH, height=f"{height:.0f}") + "\n".join(parts) + "\n</svg>\n"


HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif">
<title>What imports what: launch, policies, data_collection, sim, from top to bottom, and the rooms of each</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 10 5 0 10z" fill="context-stroke"/></marker></defs>
<rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>
"""


def _band(floor: str, summary: str, color: str, top: float, bottom: float) -> str:
    """A floor, with its name and what is there."""
    middle = (top + bottom) / 2
    lines = _wrapped(summary)
    told = "".join(
        f'<text x="{MARGIN + 20}" y="{middle + 14 + 19 * at:.0f}" font-size="14" fill="#444">{line}</text>'
        for at, line in enumerate(lines)
    )
    return (
        f'<rect x="{MARGIN}" y="{top:.0f}" width="{WIDTH - 2 * MARGIN}" height="{bottom - top:.0f}" rx="8" '
        f'fill="{color}" fill-opacity="0.09" stroke="{color}" stroke-opacity="0.5"/>'
        f'<text x="{MARGIN + 20}" y="{middle - 10:.0f}" font-size="21" font-weight="700" fill="{color}">{floor}</text>'
        f"{told}"
    )


def _wrapped(summary: str) -> list[str]:
    """Two lines, parted after a comma near the middle."""
    words = summary.split(", ")
    half = (len(words) + 1) // 2
    return [", ".join(words[:half]) + ("," if words[half:] else ""), ", ".join(words[half:])]


def _box(box: Box, color: str) -> str:
    """A room."""
    return (
        f'<rect x="{box.middle - box.width / 2:.1f}" y="{box.top:.0f}" width="{box.width:.1f}" height="{BOX_HEIGHT}" '
        f'rx="6" fill="#fff" stroke="{color}" stroke-width="1.5"/><text x="{box.middle:.1f}" y="{box.top + 21:.0f}" '
        f'font-size="14" text-anchor="middle" fill="#222">{box.name}</text>'
    )


def _arrow(start: Box, end: Box, color: str) -> str:
    """From a room to one that it imports, or on from or to a waypoint."""
    from_top = start.top if start.is_waypoint else start.bottom
    bend = (end.top - start.bottom) / 2
    tip = "" if end.is_waypoint else ' marker-end="url(#tip)"'
    return (
        f'<path d="M{start.middle:.1f} {from_top:.0f}V{start.bottom:.0f}C{start.middle:.1f} {start.bottom + bend:.0f} '
        f'{end.middle:.1f} {end.top - bend:.0f} {end.middle:.1f} {end.top:.0f}" fill="none" stroke="{color}" '
        f'stroke-width="1.4" stroke-opacity="0.75"{tip}/>'
    )


def _between(bottom: float) -> str:
    """The arrow from a floor to the one below."""
    x = MARGIN + 60
    return (
        f'<path d="M{x} {bottom + 3:.0f}V{bottom + FLOOR_GAP - 4:.0f}" stroke="#555" stroke-width="3" '
        'marker-end="url(#tip)"/>'
    )


if __name__ == "__main__":
    main()
