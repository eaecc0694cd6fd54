"""Seals: any change of a sealed file is noticed, and a kill at any moment is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forestpilot.data_collection.episodes import seals
from forestpilot.data_collection.episodes.seals import (
    DamagedFileError,
    digest_of_values,
    read_sealed,
    read_sealed_json,
    seal,
    sealed,
    set_aside,
    unsealed,
    write_sealed,
    write_sealed_json,
)
from tests.helpers.damage import damages, json_of

VALUES = {"rows": [{"time_s": 12.5, "outcome": "success"}, {"time_s": 0.1, "outcome": "timeout"}], "n": 2, "é": None}
TABLE = b"round,success\n0,0.5\n1,0.75\n"


def test_a_mapping_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    write_sealed_json(tmp_path / "a.json", VALUES)
    assert read_sealed_json(tmp_path / "a.json", is_required=True) == VALUES
    assert unsealed(sealed({"pair": (1, 2)}), tmp_path) == {"pair": (1, 2)}


def test_no_damaged_mapping_is_read_as_another(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed_json(path, VALUES, indent=2)
    noticed = 0
    for data in damages(path.read_bytes(), 400):
        path.write_bytes(data)
        try:
            read = read_sealed_json(path)
        except DamagedFileError:
            noticed += 1
        else:
            assert read == VALUES  # a blank more is no other content
    assert noticed > 300


def test_a_mapping_without_digest_is_of_an_older_version_where_that_may_be(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(VALUES))
    assert read_sealed_json(path) == VALUES
    with pytest.raises(DamagedFileError, match="digest does not fit"):
        read_sealed_json(path, is_required=True)


def test_the_digest_does_not_depend_on_layout_and_order() -> None:
    assert digest_of_values({"a": 1, "b": [2.0]}) == digest_of_values(json.loads('{"b":\n[2.0], "a": 1}'))
    assert digest_of_values({"a": 1}) != digest_of_values({"a": 1.0})


def test_no_damaged_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rounds.csv"
    write_sealed(path, TABLE)
    assert read_sealed(path) == TABLE
    for data in damages(TABLE, 200):
        path.write_bytes(data)
        with pytest.raises(DamagedFileError, match=r"rounds\.csv has been cut or altered"):
            read_sealed(path)


def test_damaged_checksums_are_named_and_begin_anew(tmp_path: Path) -> None:
    write_sealed(tmp_path / "rounds.csv", TABLE)
    checksums = tmp_path / seals.CHECKSUMS_FILE
    whole = checksums.read_bytes()
    for data in damages(whole, 200):
        checksums.write_bytes(data)
        if json_of(data) != json_of(whole):
            with pytest.raises(DamagedFileError, match=r"checksums\.json has been damaged"):
                read_sealed(tmp_path / "rounds.csv")
    checksums.write_bytes(whole[:-9])
    write_sealed(tmp_path / "rounds.csv", TABLE)
    assert read_sealed(tmp_path / "rounds.csv") == TABLE
    assert (tmp_path / "checksums.json.damaged").read_bytes() == whole[:-9]


def test_a_table_may_grow_behind_its_seal(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(TABLE)
    seal(path, TABLE, grows=True)
    path.write_bytes(TABLE + b"2,0.875\n")
    assert read_sealed(path).endswith(b"2,0.875\n")
    path.write_bytes(TABLE[:-1])
    with pytest.raises(DamagedFileError):
        read_sealed(path)
    seal(path, TABLE, grows=False)
    path.write_bytes(TABLE + b"2,0.875\n")
    with pytest.raises(DamagedFileError):
        read_sealed(path)


def test_a_kill_while_a_table_is_replaced_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rounds.csv"
    write_sealed(path, TABLE)
    longer = TABLE + b"2,0.875\n"
    real = seals.write_new_file
    for writes in range(3):
        left = iter([real] * writes)

        def killed(*arguments: object, left: object = left) -> None:
            next(left)(*arguments)  # type: ignore[call-overload]

        monkeypatch.setattr(seals, "write_new_file", killed)
        with pytest.raises(StopIteration):
            write_sealed(path, longer)
        monkeypatch.setattr(seals, "write_new_file", real)
        assert read_sealed(path) == (longer if writes == 2 else TABLE)
    write_sealed(path, longer)
    assert len(json.loads((tmp_path / seals.CHECKSUMS_FILE).read_bytes())["rounds.csv"]) == 1


def test_what_is_set_aside_is_kept(tmp_path: Path) -> None:
    for content in ("first", "second"):
        (tmp_path / "a.json").write_text(content)
        set_aside(tmp_path / "a.json")
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["first", "second"]
    assert all(path.suffix == ".damaged" for path in tmp_path.iterdir())
