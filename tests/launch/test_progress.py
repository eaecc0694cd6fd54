"""Progress: lines in a log, bars on a terminal, nothing in a library."""

from __future__ import annotations

import io
import time

import pytest

from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.launch.terminal.progress import AwakeClock, BarProgress, PlainProgress, format_fields, make_progress


def test_a_log_gets_lines_with_counts_and_fields() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, interval_s=0.0).stage("collect", total=3) as stage:
        for i in range(3):
            stage.advance(success=i / 2)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("collect 1/3")
    assert lines[0].endswith("success 0")
    assert lines[-1].startswith("collect: 3 in ")


def test_a_quiet_interval_leaves_only_the_summary() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, interval_s=60.0, first_s=60.0).stage("train", total=100) as stage:
        for _ in range(100):
            stage.advance(loss=0.5)
    assert stream.getvalue().count("\n") == 1


def test_a_stage_that_finishes_nothing_is_not_silent() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, interval_s=0.05, first_s=0.01).stage("compile", total=9):
        while stream.getvalue().count("compile 0/9") < 3:
            time.sleep(0.01)
    assert stream.getvalue().splitlines()[-1].startswith("compile: 0 in ")


def test_the_first_line_does_not_wait_for_the_interval() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, interval_s=3600.0, first_s=0.01).stage("roll out", total=9):
        while not stream.getvalue():
            time.sleep(0.01)
    assert stream.getvalue().startswith("roll out 0/9")


def test_what_is_no_terminal_gets_no_bars() -> None:
    assert isinstance(make_progress(io.StringIO()), PlainProgress)


def test_nested_bars_end_with_the_summary_of_the_outer_one(capsys: pytest.CaptureFixture[str]) -> None:
    progress = BarProgress()
    with progress.stage("dagger", total=2) as outer:
        for _ in range(2):
            with progress.stage("fly", total=1) as inner:
                inner.advance()
            outer.advance(round=1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "dagger: 2 in" in shown.err


def test_a_stage_ends_also_when_its_work_fails() -> None:
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), PlainProgress(stream).stage("x", total=1):
        raise ZeroDivisionError
    assert stream.getvalue().startswith("x: 0 in")


def test_silent_progress_takes_the_same_calls(capsys: pytest.CaptureFixture[str]) -> None:
    with SilentProgress().stage("x", total=None) as stage:
        stage.advance(2, loss=1.0)
    SilentProgress().note("hello")
    assert capsys.readouterr() == ("", "")


def test_floats_are_short() -> None:
    assert format_fields({"loss": 0.123456, "round": 2}) == "loss 0.123  round 2"


def test_time_in_which_the_process_was_stopped_does_not_count() -> None:
    told = iter([100.0, 100.0, 102.0, 104.0, 7304.0, 7305.0])
    clock = AwakeClock(lambda: next(told))
    assert [clock.now() - 100.0 for _ in range(5)] == [0.0, 2.0, 4.0, 4.0, 5.0]
