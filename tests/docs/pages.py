"""The pages of the documentation, as what the tests look for in them: code blocks and commands."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted([*CHECKOUT.glob("docs/**/*.md"), CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md"])
INCLUDE = re.compile(r'^\s*--8<-- "([^":]+)')
FENCE = re.compile(r"^```(\w+)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`((?:forestpilot|make) [^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    """The file."""
    language: str
    """What stands behind the fence."""
    text: str
    """What stands in it."""

    @property
    def included(self) -> list[Path]:
        """Files that the block includes instead of having text of its own."""
        return [CHECKOUT / found[1] for line in self.text.splitlines() if (found := INCLUDE.match(line))]


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(page, found[1] or "", found[2]) for found in FENCE.finditer(page.read_text(encoding="utf-8"))]


def commands_of(page: Path) -> list[list[str]]:
    """The words of every command in the page's blocks for a shell, and of those that stand in a line of text."""
    lines = []
    for block in blocks_of(page):
        if block.language == "bash":
            lines += block.text.replace("\\\n", " ").splitlines()
    outside = FENCE.sub("", page.read_text(encoding="utf-8"))
    lines += INLINE.findall(outside)
    commands = [shlex.split(line, comments=True) for line in lines]
    return [words for words in commands if words]


def name_of(page: Path) -> str:
    """The page's path in the checkout, for messages."""
    return str(page.relative_to(CHECKOUT))
