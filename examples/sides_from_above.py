"""A demonstrator with habits from above: one that is undecided flies through the same forests several times.

    python examples/sides_from_above.py --flights 10 --out runs/sides

Each flight is another draw of its habits (`--mix.expert.draw` of the commands), so that it passes other trunks on the
left, and flies through other gaps. Whoever learns the mean of its answers flies into the trunk between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import gymnasium
import numpy as np
import tyro

from forestpilot.launch.pictures.world_map import MarkedPath, WorldMap
from forestpilot.sim.seeds import seeds_of
from forestpilot.sim.worlds.world import World

FOREST = "forestpilot:ForestPilot/Drone-v0"
LEFT = (250, 190, 80)
RIGHT = (90, 180, 255)
"""Colours of flights that pass the first trunk on either side."""
STRIP_X_M = (45.5, -1.5)
STRIP_Y_M = (9.0, -9.0)
"""What is drawn, in metres: from top to bottom, and from left to right."""
PLACES: tuple[dict[str, int], ...] = ({"gaps": 0}, {"gaps": 3})
"""Forests side by side in a picture: an ordinary one, and one of rows with gaps."""


@dataclass(frozen=True)
class Args:
    """Fly, and draw the ways from above."""

    out: Path = Path("runs/sides")
    """Folder of the pictures, one for each forest."""
    flights: int = 10
    """Flights through each forest, each with other habits."""
    test_flights: int = 1
    """Number of test forests."""
    expert: str = "undecided"
    """Who flies: `undecided`, `moody` or `playful`."""
    scale: int = 14
    """Pixels per metre."""


def fly(seed: int, expert: str, draw: int, place: dict[str, int]) -> tuple[World, np.ndarray, bool]:
    """One flight: the forest, the way (T, 3) through it, and whether it led to the goal."""
    advisor = {"part": expert, "draw": draw}
    env = gymnasium.make(FOREST, disable_env_checker=True, expert=True, advisor=advisor, width=32, height=24, **place)
    drone = env.unwrapped
    drone.draw_only(())
    _, info = env.reset(seed=seed)
    way = [drone.pose()[0]]
    over = False
    while not over:
        _, _, terminated, truncated, info = env.step(info["expert_action"][1])
        way.append(drone.pose()[0])
        over = terminated or truncated
    world = drone.world
    env.close()
    return world, np.array(way), bool(info["is_success"])


def color_of(way: np.ndarray) -> tuple[int, int, int]:
    """One colour for ways that are left of the middle over the first 12 m, another for the others."""
    return LEFT if way[way[:, 0] < 12.0, 1].mean() > 0 else RIGHT


def draw(ways: list[np.ndarray], world: World, scale: int) -> np.ndarray:
    """Ways (T, 3) through a forest from above, the strip in which they are."""
    x_min, x_max, y_min, y_max = world.bounds_m
    room = (round(scale * (y_max - y_min)), round(scale * (x_max - x_min)))
    drawn = WorldMap(cv2, world, room, text_size=9.0, follow=False)
    picture = drawn.paint_episodes([MarkedPath(way, color_of(way)) for way in ways])
    top, bottom = (round(scale * (x_max - x)) for x in STRIP_X_M)
    left, right = (round(scale * (y_max - y)) for y in STRIP_Y_M)
    return picture[top:bottom, left:right]


def main(args: Args) -> None:
    """Fly through each forest several times."""
    args.out.mkdir(parents=True, exist_ok=True)
    crossed = 0
    for seed in seeds_of("test", args.test_flights):
        maps = []
        arrived = True
        for place in PLACES:
            flown = [fly(seed, args.expert, draw, place) for draw in range(args.flights)]
            arrived &= all(success for *_, success in flown)
            world = flown[0][0]
            maps.append(draw([way for _, way, _ in flown], world, args.scale))
        crossed += arrived
        # OpenCV writes blue first.
        cv2.imwrite(str(args.out / f"{args.expert}-{seed}.png"), np.concatenate(maps, axis=1)[..., ::-1])
    print(f"{crossed} of {args.test_flights} test forests crossed in all of {args.flights} flights: see {args.out}")


if __name__ == "__main__":
    main(tyro.cli(Args))
