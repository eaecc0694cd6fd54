"""Names from outside: what may be a file's name, and what a spreadsheet must not take for a formula.

A policy's name becomes the name of files (its episodes, its films) and a cell of tables. One that somebody gives is
refused where it could not be both; one that follows from a folder's name is made safe.
"""

from __future__ import annotations

MOST_BYTES = 100
"""Longest name; a file's may have 255, and what is put before and behind it needs room."""
FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes for the beginning of a formula."""
_QUOTE = "'"


def problem_of_name(name: str) -> str:
    """What is wrong with a name that somebody gives, in words; empty where it is a good one."""
    if problem := problem_of_file_name(name):
        return problem
    if name.startswith((*FORMULA, ".", _QUOTE)):
        return f"it begins with {name[0]!r}"
    if len(name.encode()) > MOST_BYTES:
        return f"it is longer than {MOST_BYTES} bytes"
    return ""


def problem_of_file_name(name: str) -> str:
    """Why a name cannot begin a file's name, in words; empty where it can."""
    if not name or name in (".", ".."):
        return "it names no file"
    for character in name:
        if character in "/\\":
            return f"it has {character!r} in it, which would be another folder"
        if not (character.isprintable() or character == " "):
            return f"it has the character {character!r} in it"
    return ""


def safe_name(text: str) -> str:
    """A name as `problem_of_name` wants it, the text itself where it is one already."""
    if not problem_of_name(text):
        return text
    name = "".join("_" if problem_of_file_name(f"a{character}") else character for character in text)
    while len(name.encode()) > MOST_BYTES:
        name = name[:-1]
    if problem_of_name(name):
        name = f"_{name[1:]}"
    return name


def table_cell(text: str) -> str:
    """A text as a cell of a CSV file: a spreadsheet must take it for text; `text_of_cell` undoes it."""
    if text.startswith((*FORMULA, "\t", "\r", _QUOTE)):
        return _QUOTE + text
    return text


def text_of_cell(cell: str) -> str:
    """The text that `table_cell` made a cell of."""
    return cell.removeprefix(_QUOTE)
