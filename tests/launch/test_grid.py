"""The grid: every cell finished, tabled and drawn; the demo's choice of episodes to film."""

import csv
from pathlib import Path

from forestpilot.launch.verbs.demo import choose_to_film
from forestpilot.launch.verbs.grid import GridConfig, run
from forestpilot.policies.evaluation.outcome_rows import OutcomeRow


def test_every_cell_is_flown_tabled_and_drawn(tmp_path: Path, capsys) -> None:
    run(GridConfig(policy="expert", out=str(tmp_path), speeds=(8.0, 12.0), densities=(0.02,), episodes=2, workers=1))
    table = capsys.readouterr().out
    assert "8 m/s" in table and "12 m/s" in table and "1/50" in table and "2 (34-100)" in table
    cells = sorted(tmp_path.glob("density-*/outcomes.csv"))
    assert len(cells) == 2
    assert {row["speed"] for cell in cells for row in csv.DictReader(cell.open())} == {"8.0", "12.0"}
    assert (tmp_path / "success_grid.png").stat().st_size > 5000 and (tmp_path / "config.json").exists()


def outcome(policy: str, seed: int, end: str, clearance: float) -> OutcomeRow:
    return OutcomeRow(policy, seed, end, 30.0, 6.0, clearance, 5.0)


def test_the_demo_films_tight_successes_and_failures_of_dagger_first() -> None:
    episodes = [
        outcome("bc", 1, "collision", 0.0), outcome("bc", 2, "timeout", 0.2), outcome("bc", 3, "success", 0.1),
        outcome("dagger", 1, "success", 0.5), outcome("dagger", 2, "success", 0.1),
        outcome("dagger", 3, "collision", 0.0),
        outcome("blind", 1, "collision", 0.0),
    ]  # fmt: skip
    chosen = choose_to_film(episodes, 2)
    assert [(o.policy, o.seed) for o in chosen] == [("dagger", 2), ("dagger", 1), ("dagger", 3), ("bc", 1)]
