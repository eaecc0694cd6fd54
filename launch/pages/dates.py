"""Dates and times in words, in UTC wherever a page or a table names one."""

from __future__ import annotations

import time


def utc_words(seconds: float | None = None) -> str:
    """`2026-11-21 16:15 UTC` for seconds since 1970, now by default."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
