"""The study of third-person imitation: arms differ in camera and in how they see, and in nothing else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.launch.studies import third_person
from forestpilot.launch.studies.third_person import ARMS, SHARED, Config, ThirdPersonStudy
from forestpilot.policies.networks.checkpoint import describe_policy

WHOLE = (".h5", ".hdf5", ".safetensors")
CHOSEN = ("chase-multi", "chase-pixels", "chase-tuned", "first-person", "chase-reward")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ThirdPersonStudy:
    """Cells of the own view, of an embedding, of pictures as they are and of a reward, really run."""
    pytest.importorskip("stable_baselines3", reason="the extra rl is not installed")
    out = tmp_path_factory.mktemp("study") / "run"
    fast = {"speeds": (8.0, 10.0), "speed": 10.0}
    quick = dataclasses.replace(ThirdPersonStudy.quick, out=str(out), workers=1, **fast)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(third_person, "ARMS", tuple(arm for arm in ARMS if arm.name in CHOSEN))
        patched.setattr(third_person, "PAIRS", ())
        chosen = ThirdPersonStudy(quick)
        chosen.result = chosen.run()
    return chosen


def test_films_have_no_actions_and_held_out_ones_are_of_validation_worlds(study: ThirdPersonStudy) -> None:
    folder = Path(study.config.out)
    films = {path.name: Dataset.open(path) for path in (folder / "films").iterdir()}
    assert set(films) == {"films-vehicle-seed-0", "films-chase-seed-0", "held-out-chase"}
    assert all("actions" in film.lacks for film in films.values())
    assert [header.meta.seed for header in films["held-out-chase"].episodes] == [1_000_000, 1_000_001]
    seen = describe_policy(folder / "policies" / "chase-multi-seed-0")["config"]["encoder"]
    assert seen["part"] == "embedding" and seen["frozen"]


def test_embeddings_are_checked_where_there_is_another_view(study: ThirdPersonStudy) -> None:
    panels = {panel.name: panel for panel in study.result.panels}
    assert [point.arm for point in panels["alignment"].points] == list(CHOSEN[:3])
    assert 0 < panels["alignment"].points[0].value.mean < 100
    assert [point.arm for point in panels["turn_error_deg"].points] == list(CHOSEN[:4])
    assert panels["success"].curves[0].name == "blind flight"


def test_arms_of_a_viewpoint_share_own_flights_and_what_is_learned_of_them(study: ThirdPersonStudy) -> None:
    folder = Path(study.config.out) / "policies"
    for name in SHARED:
        ours, theirs = (
            {path.name: path.read_bytes() for path in (folder / arm / name).rglob("*.*") if path.suffix in WHOLE}
            for arm in ("chase-multi-seed-0", "chase-pixels-seed-0")
        )
        assert ours and ours == theirs


def test_the_reward_goes_on_from_the_policy_of_the_embedding(study: ThirdPersonStudy) -> None:
    run = Path(study.config.out) / "policies" / "chase-reward-seed-0"
    told = json.loads((run / "config.json").read_text())
    assert "chase-multi-seed-0" in json.dumps(told["config"]["start"])
    assert describe_policy(run)["config"]["encoder"]["part"] == "embedding"
    assert "chase-reward against chase-multi" not in " ".join(study.result.notes), "pairs were left out here"
    assert any(note.startswith("chase-reward against blind flight") for note in study.result.notes)


def test_all_arms_take_as_many_gradient_steps_and_own_flights() -> None:
    config = Config(rounds=1)
    chosen = ThirdPersonStudy(config)
    told = [chosen.learning(arm, 1, ("x",), Path("out")) for arm in ARMS]
    for each in told[1:]:
        assert [each.round_training(number).steps for number in range(2)] == [200, 800]
        assert [each.seeds(number) for number in range(2)] == [told[0].seeds(number) for number in range(2)]
        assert min(each.seeds(0)) >= config.first_world(1) + config.videos and len(each.seeds(1)) == config.own
        assert max(each.seeds(1)) < config.first_world(2)
    assert [each.embeds for each in told] == [arm.embedder is not None for arm in ARMS]
