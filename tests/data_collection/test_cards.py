"""Cards of exports: what they tell, and where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.data_collection.export import EXPORTERS, ExportError
from forestpilot.data_collection.export.card import CARD, CardFacts, front_matter
from forestpilot.sim.errors import InvalidArgumentError
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A success, and a crash in a world of validation."""
    dataset = Dataset.create(tmp_path_factory.mktemp("data") / "dataset", small_spec(), ENV_ID)
    dataset.add(make_episode(0, 12))
    dataset.add(make_episode(1_000_000, 8, outcome="collision"))
    return dataset


def card_of(text: str) -> tuple[dict[str, Any], str]:
    """The YAML in front, and the rest."""
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


@pytest.mark.parametrize("name", EXPORTERS.names())
def test_every_export_has_a_card(dataset: Dataset, tmp_path: Path, name: str) -> None:
    facts = CardFacts(licence="cc-by-4.0", command=f"forestpilot export {name} datasets/x")
    out = EXPORTERS.get(name)().export(dataset, tmp_path / "out", facts=facts)
    path = out / CARD if out.is_dir() else tmp_path / "out.md"
    head, body = card_of(path.read_text())
    assert head["license"] == "cc-by-4.0"
    assert head["task_categories"] == ["robotics"] and head["size_categories"] == ["n<1K"]
    assert {"forestpilot", "drone"} < set(head["tags"])
    assert facts.command in body and "CC-BY-4.0" in body
    assert "| episodes, steps | 2, 20 (2 s at 10 Hz) |" in body
    assert "seeds 0 to 1000000: 1 train, 1 validation" in body
    assert "1 success, 1 collision" in body and "expert 100%" in body


def test_without_a_licence_the_card_says_so(dataset: Dataset, tmp_path: Path) -> None:
    out = EXPORTERS.get("minari")().export(dataset, tmp_path / "out")
    head, body = card_of((out / CARD).read_text())
    assert "license" not in head
    assert "None is stated" in body and "A call of ForestPilot's library" in body


def test_licences_are_spdx() -> None:
    assert CardFacts(licence="apache-2.0 or mit").licence == "Apache-2.0 OR MIT"
    assert yaml.safe_load(front_matter({}, "MIT").strip("-\n")) == {"license": "mit"}
    own = yaml.safe_load(front_matter({}, "LicenseRef-Own").strip("-\n"))
    assert own == {"license": "other", "license_name": "LicenseRef-Own"}
    with pytest.raises(InvalidArgumentError, match="licence is 'free', no SPDX expression"):
        CardFacts(licence="free")


def test_a_card_takes_the_place_of_nothing(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out.md").write_text("mine")
    with pytest.raises(ExportError, match=r"out\.md already"):
        EXPORTERS.get("robomimic")().export(dataset, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out.md"]
    EXPORTERS.get("minari")().export(dataset, tmp_path / "out")
    assert (tmp_path / "out.md").read_text() == "mine"
