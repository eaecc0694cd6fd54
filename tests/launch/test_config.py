"""Configs: defaults, then a file, then flags; unknown keys are refused by name; what ran can be read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from forestpilot.data_collection.episodes.run import Run
from forestpilot.launch.config import ConfigError, parse_config


@dataclass(frozen=True)
class Net:
    """A small part."""

    kind: Literal["none", "lstm"] = "none"
    """Kind of kind."""
    channels: tuple[int, ...] = (16, 32)
    """Channels of each layer."""

    def __post_init__(self) -> None:
        if not self.channels:
            raise ValueError("the network needs a layer")


@dataclass(frozen=True)
class Job:
    """Do a job."""

    data: tuple[Path, ...]
    """Folders to read."""
    rate: float = 1e-3
    """Learning rate per step."""
    limit_s: float | None = None
    """Time limit in seconds."""
    flip: bool = True
    """Whether to flip."""
    size: tuple[int, int] = (4, 3)
    """Width and height in pixels."""
    net: Net = field(default_factory=Net)
    """The network."""

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"rate is {self.rate}, but must be positive")


def parse(*args: str) -> Job:
    return parse_config(Job, args, "forestpilot job")


def test_flags_override_the_file_which_overrides_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("data: [a, b]\nrate: 1e-4\nlimit-s: 3\nnet: {kind: lstm, channels: [8]}\n")
    job = parse("--config", str(file), "--net.channels", "4", "5", "--no-flip")
    assert job == Job((Path("a"), Path("b")), 1e-4, 3.0, False, (4, 3), Net("lstm", (4, 5)))
    assert parse(f"--config={file}").net.channels == (8,)


def test_a_required_value_may_come_from_the_file_or_a_flag_but_must_come(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("rate: 0.5\n")
    assert parse("--config", str(file), "--data", "x").rate == 0.5
    with pytest.raises(ConfigError, match="--data"):
        parse("--config", str(file))


def test_repeated_sequence_flags_add_up() -> None:
    assert parse("--data", "a", "--rate", "2", "--data", "b", "c", "--data=d").data == tuple(map(Path, "abcd"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("datta: [a]", "did you mean 'data'"),
        ("data: [a]\nnet: {knd: lstm}", "net.knd"),
        ("data: [a]\nnet: {kind: lst}", "'none', 'lstm'"),
        ("data: [a]\nrate: fast", "rate must be float"),
        ("data: [a]\nflip: 1", "flip must be bool"),
        ("data: a", "data must be a list"),
        ("data: [a]\nsize: [1, 2, 3]", "2 entries"),
        ("data: [a]\nnet: 3", "must be a mapping"),
        ("- 1\n- 2", "mapping"),
        ("data: [a", "not valid YAML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=named.replace("(", r"\(")) as error:
        parse("--config", str(file))
    assert str(file) in str(error.value)


def test_a_missing_file_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        parse("--config", "nowhere.yaml")


def test_unknown_flags_are_refused_with_the_closest_one() -> None:
    with pytest.raises(ConfigError, match=r"--nett\.kind.*; perhaps you meant --net\.kind") as error:
        parse("--data", "a", "--nett.kind", "lstm")
    assert "\n" not in str(error.value)


def test_help_shows_defaults_and_the_docstrings_of_fields(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse("--help")
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert "Learning rate per step" in text
    assert "0.001" in text
    assert "--config FILE" in text


def test_what_a_run_has_saved_repeats_it(tmp_path: Path) -> None:
    job = Job((Path("a"),), limit_s=2.0, net=Net("lstm", (8,)))
    Run(tmp_path / "run", "job", job).record()
    assert parse("--config", str(tmp_path / "run" / "config.json")) == job


def test_a_preset_gives_the_defaults_that_files_and_flags_override(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    presets = {"small": Job((Path("s"),)), "full": Job((Path("f"),), rate=0.5, net=Net("lstm", (1, 2, 3)))}
    file = tmp_path / "job.yaml"
    file.write_text("net: {channels: [7]}\n")
    assert parse_config(Job, [], "job", presets) == presets["small"]
    job = parse_config(Job, ["--preset", "full", "--config", str(file), "--limit-s", "1"], "job", presets)
    assert job == Job((Path("f"),), 0.5, 1.0, True, (4, 3), Net("lstm", (7,)))
    with pytest.raises(ConfigError, match="did you mean 'full'"):
        parse_config(Job, ["--preset", "ful"], "job", presets)
    with pytest.raises(SystemExit):
        parse_config(Job, ["--preset=full", "--help"], "job", presets)
    assert "(default: 0.5)" in capsys.readouterr().out


def test_a_value_that_the_config_refuses_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        parse("--data", "a", "--rate", "-1")
    (tmp_path / "job.yaml").write_text("data: [a]\nnet: {channels: []}\n")
    with pytest.raises(ConfigError, match="needs a layer"):
        parse("--config", str(tmp_path / "job.yaml"))
