"""The study of few labels: arms learn from the same drives, nobody is told who drove the heap, and gaps are counted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.launch.studies import few_labels
from forestpilot.launch.studies.cells import Cell
from forestpilot.launch.studies.few_labels import ARMS, Config, FewLabels
from forestpilot.launch.studies.few_labels_tables import gaps_closed, roads_alone, share_closed, weights_in
from forestpilot.sim.errors import InvalidArgumentError


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> FewLabels:
    """Pseudo-labels and the weighted heap, really run."""
    out = tmp_path_factory.mktemp("study") / "run"
    quick = dataclasses.replace(FewLabels.quick, out=str(out), workers=1, seeds=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(few_labels, "ARMS", (ARMS[1], ARMS[5]))
        patched.setattr(few_labels, "gaps_closed", lambda cells, most: [])
        patched.setattr(few_labels, "weighing", lambda cells, good: [])
        chosen = FewLabels(quick)
        chosen.result = chosen.run()
    return chosen


def test_videos_have_no_actions_and_their_copies_go(study: FewLabels) -> None:
    folder = Path(study.config.out)
    seen = Dataset.open(folder / "videos" / "videos")
    done = Dataset.open(folder / "demonstrations" / "videos")
    assert seen.lacks == ("actions",) and [h.meta.seed for h in seen.episodes] == [h.meta.seed for h in done.episodes]
    assert not (folder / "policies" / "pseudo-labels-2-seed-0" / "beside").exists()
    errors = next(panel for panel in study.result.panels if panel.name == "turn_error_deg")
    assert [point.arm for point in errors.points] == ["pseudo-labels"] and errors.points[0].value.mean > 0


def test_whoever_drove_the_heap_is_weighed(study: FewLabels) -> None:
    folder = Path(study.config.out)
    weights = weights_in(folder / "policies" / "weighted-2-seed-0")
    assert {who: len(each) for who, each in weights.items()} == {"labelled": 2, "expert": 2, "late": 2}
    assert study.draw(study.result, folder)[1].read_bytes()[1:4] == b"PNG"


def test_arms_are_where_they_are_asked_and_no_world_is_used_twice() -> None:
    config = Config()
    places = {(place.arm.name, int(place.x)) for place in FewLabels(config).plan()}
    assert {x for name, x in places if name == "cloning"} == set(config.labels)
    assert {x for name, x in places if name == "masked"} == set(config.labels[:-1])
    assert {x for name, x in places if name in ("heap", "weighted")} == {config.good}
    with pytest.raises(InvalidArgumentError, match="good is 64"):
        dataclasses.replace(config, good=64)
    with pytest.raises(InvalidArgumentError, match="each once, ascending"):
        dataclasses.replace(config, labels=(8, 4))


def cell(arm: str, x: float, interventions: int) -> Cell:
    rows = [
        {"seed": road, "outcome": "success", "distance_m": 500.0, "time_s": 60.0, "interventions": interventions}
        for road in range(4)
    ]
    return Cell(arm, x, 0, rows)


def test_the_share_of_the_gap_is_that_of_interventions_per_km() -> None:
    cells = [cell("cloning", 8, 10), cell("cloning", 64, 2), cell("pseudo-labels", 8, 4)]
    (told,) = gaps_closed(cells, 64)
    assert "pseudo-labels, 8 labelled drives: -12.0 (-12.0 to -12.0) interventions per km" in told
    assert "it is 16.0, of which it closes 75 % (75 to 75)" in told
    means = np.array([[10.0, 0.5, 4.0, 0.5, 2.0, 0.5]])
    assert share_closed(means) == pytest.approx([0.75])
    assert roads_alone(cells[:1]).mean == 0.0 and roads_alone([cell("cloning", 8, 0)]).mean == 100.0
