"""Base classes: what lacks a method that its base asks for cannot be made."""

from __future__ import annotations

import importlib
import inspect
from abc import ABCMeta
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("sim", "data_collection", "policies", "launch")


def modules_with_abstract_methods() -> list[str]:
    found = []
    for floor in FLOORS:
        for path in sorted((ROOT / floor).rglob("*.py")):
            if "@abstractmethod" in path.read_text(encoding="utf-8"):
                found.append(".".join(("forestpilot", *path.relative_to(ROOT).with_suffix("").parts)))
    return found


@pytest.mark.parametrize("name", modules_with_abstract_methods())
def test_abstract_methods_are_enforced(name: str) -> None:
    asking = []
    for _, candidate in inspect.getmembers(importlib.import_module(name), inspect.isclass):
        own = candidate.__module__ == name
        if own and any(getattr(member, "__isabstractmethod__", False) for member in vars(candidate).values()):
            asking.append(candidate)
    assert asking
    assert all(isinstance(candidate, ABCMeta) for candidate in asking), "its base classes must hold ABC"
