"""The page that a browser shows: one answer with everything in it, which may fetch nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import dataclass
from pathlib import Path

from forestpilot.data_collection.people.console import COMMANDS, STEERING

_FOLDER = Path(__file__).parent
_LABELS = {"ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓", "Escape": "Esc", "Backspace": "⌫"}


@dataclass(frozen=True)
class Page:
    """The page and what a browser is told about it."""

    html: bytes
    """The document, UTF-8."""
    policy: str
    """Content-Security-Policy, but for where its WebSocket may go."""

    def headers(self, host: str) -> dict[str, str]:
        """Headers for a request with this `Host`, which must have been checked."""
        return {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": f"{self.policy}; connect-src ws://{host}",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }


def compose_page(title: str, width: int, height: int) -> Page:
    """The page with its style, its script and the help for the keys; pictures are `width` x `height` pixels."""
    style = _read("web_page.css")
    script = _read("web_page.js")
    parts = {
        "title": html.escape(title),
        "width": str(width),
        "height": str(height),
        "steering": _key_buttons({code: key.name or "" for code, key in STEERING.items()}, "hold"),
        "commands": _key_buttons({code: command.value for code, command in COMMANDS.items()}, "tap"),
        "style": style,
        "script": script,
    }
    document = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read("web_page.html"))
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",  # the icon in the tab
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    return Page(document.encode(), policy)


def key_label(code: str) -> str:
    """Label of a key, for its `KeyboardEvent.code` on an English keyboard: `KeyW` is W."""
    return _LABELS.get(code, code.removeprefix("Key"))


def _key_buttons(meanings: dict[str, str], kind: str) -> str:
    """A button for each thing that keys do, with the keys that do it: help and touch control in one."""
    codes: dict[str, list[str]] = {}
    for code, meaning in meanings.items():
        codes.setdefault(meaning, []).append(code)
    buttons = []
    for meaning, names in codes.items():
        keys = "".join(f'<kbd data-code="{name}">{key_label(name)}</kbd>' for name in names)
        # What follows a comma explains; it is there for who stays on it with the mouse.
        short, _, _ = meaning.lower().partition(",")
        buttons.append(
            f'<button type="button" tabindex="-1" class="{kind} {names[0]}" title="{html.escape(meaning.lower())}" '
            f'data-code="{names[0]}">{keys}<span>{html.escape(short)}</span></button>'
        )
    return "\n".join(buttons)


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
