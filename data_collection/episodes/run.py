"""A run: a folder that belongs to one config, says so in `config.json`, and can be gone on with.

    config.json     {"verb": "dagger", "version": "0.2.0", "config": {...}}

What goes on where it was interrupted claims its folder before it begins, and notes the config once more when it is done
(settings that do not change the result may differ from one start to the next, see
`forestpilot.data_collection.episodes.config_fields`):

    run = Run.claim(config.out, "dagger", config)
    ...                               # whatever lies in run.folder already is not done again
    run.record()

What looks after its own folder, such as a dataset of labels, only notes its config when it is done or interrupted:

    with Run(Path(config.out), "relabel", config).recording():
        ...

Folders of version 0.1 had the plain config in `config.json`, and what was claimed in `dagger.json` or `study.json`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forestpilot.data_collection.episodes.bounded import read_json
from forestpilot.data_collection.episodes.config_fields import result_values
from forestpilot.data_collection.episodes.dataset import package_version
from forestpilot.data_collection.episodes.migration import migrate_config
from forestpilot.data_collection.episodes.plain import DataclassInstance, to_plain
from forestpilot.data_collection.episodes.seals import DamagedFileError, unsealed, write_sealed_json
from forestpilot.sim.errors import ForestPilotError

CONFIG_FILE = "config.json"
OLD_FILES = {"dagger": "dagger.json", "study": "study.json"}
"""Where version 0.1 kept the config of a run that was claimed, by verb."""


class RunError(ForestPilotError):
    """A folder that belongs to another run, or whose config is damaged."""


@dataclass(frozen=True)
class StoredRun:
    """Content of a folder's config.json."""

    verb: str
    """What made the folder: `train`, `dagger`, ...; empty where version 0.1 did not say."""
    version: str
    """ForestPilot's version that wrote it; empty where version 0.1 did not say."""
    config: dict[str, Any]
    """The whole config, as plain values of this version."""
    path: Path
    """The file."""


@dataclass(frozen=True)
class Run:
    """A folder and the config that it belongs to."""

    folder: Path
    """Run folder."""
    verb: str
    """What runs: the verb of the command that does the same, for example `dagger`."""
    config: DataclassInstance
    """How."""

    @classmethod
    def claim(cls, folder: str | Path, verb: str, config: DataclassInstance) -> Run:
        """Begin a run in a folder, or go on with the one that is there.

        Args:
            folder: run folder, made if it is not there.
            verb: what runs.
            config: how; a frozen dataclass.

        Raises:
            RunError: the folder is another verb's, or of a config with another result; the settings that differ are
                named. Or its config is damaged.
        """
        run = cls(Path(folder), verb, config)
        stored = read_run(run.folder, verb)
        if stored is None:
            run.record()
        else:
            run._require_same(stored)
        return run

    @property
    def path(self) -> Path:
        """Where the config stands."""
        return self.folder / CONFIG_FILE

    def record(self) -> None:
        """Write the whole config, atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        values = {"verb": self.verb, "version": package_version(), "config": to_plain(self.config)}
        write_sealed_json(self.path, values, indent=2)

    def record_first(self) -> None:
        """Write the config where none is: what is killed from here on has said what it was."""
        if read_run(self.folder, self.verb) is None:
            self.record()

    @contextmanager
    def recording(self) -> Iterator[Run]:
        """Note the config beside what the `with` block makes, when it is done, or interrupted with Ctrl-C.

        Not before: a folder that the work refuses must stay as it is, and one that was made with another config keeps
        that.

        Raises:
            RunError: the folder is another verb's.
        """
        stored = self.stored()
        try:
            yield self
        except KeyboardInterrupt:
            if self.folder.is_dir() and stored is None:
                self.record()
            raise
        self.record()

    def stored(self) -> StoredRun | None:
        """What the folder says of its run; None where it says nothing.

        Raises:
            RunError: the folder is another verb's, or its config is damaged.
        """
        stored = read_run(self.folder, self.verb)
        if stored is not None:
            self._require_own(stored)
        return stored

    def _require_own(self, stored: StoredRun) -> None:
        if stored.verb not in ("", self.verb):
            raise RunError(
                f"{self.folder} holds what `forestpilot {stored.verb}` made, not `{self.verb}`; give another --out"
            )

    def _require_same(self, stored: StoredRun) -> None:
        self._require_own(stored)
        asked = _flat(result_values(self.config))
        there = _flat(_without_asides(self.config, stored.config))
        # A setting that was not there yet when the run was begun has the value it was born with.
        born = _flat(_born(self.config, stored.config))
        different = [
            f"{key}: {there.get(key, born.get(key))} there, {asked.get(key)} asked"
            for key in {**there, **asked}
            if there.get(key, born.get(key)) != asked.get(key)
        ]
        if different:
            raise RunError(
                f"{self.folder} holds a run with another config ({'; '.join(different)}); repeat its config "
                "or give another --out"
            )


def read_run(folder: str | Path, verb: str = "") -> StoredRun | None:
    """Read what a run folder says of its run; None where it says nothing.

    Args:
        folder: run folder, of this version or of 0.1.
        verb: what the folder should be of, where somebody knows; it tells which file of version 0.1 counts.

    Raises:
        RunError: the config cannot be read.
    """
    folder = Path(folder)
    path = folder / CONFIG_FILE
    stored = _read(path)
    if stored is not None and stored.keys() == {"verb", "version", "config"}:
        return StoredRun(stored["verb"], stored["version"], migrate_config(stored["config"]), path)
    kind = verb.partition(" ")[0]
    for old_verb, name in OLD_FILES.items():
        claimed = _read(folder / name) if kind in ("", old_verb) else None
        if claimed is not None:
            return StoredRun(verb or old_verb, "", migrate_config(claimed), folder / name)
    if stored is None or kind in OLD_FILES:
        return None
    return StoredRun("", "", migrate_config(stored), path)


def config_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The config in what a file holds that somebody gives as a config: a run's config.json, or the plain config."""
    inner = values["config"] if values.keys() >= {"verb", "version", "config"} else values
    return migrate_config(inner)


def _read(path: Path) -> dict[str, Any] | None:
    """The mapping in a JSON file; None where there is no such file."""
    if not path.exists():
        return None
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}); mend it, or give another --out") from error
    if not isinstance(values, dict):
        raise RunError(f"{path} cannot be read (it holds no mapping); mend it, or give another --out")
    try:
        way_out = "give another --out; or, if it was you, remove its lines `sealed_by` and `digest`"
        return unsealed(values, path, way_out)
    except DamagedFileError as error:
        raise RunError(str(error)) from error


def _without_asides(config: DataclassInstance, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values without those that the config calls not the result."""
    values = dict(stored)
    results = result_values(config)
    for field in dataclasses.fields(config):
        if field.name not in results:
            values.pop(field.name, None)
            continue
        own = getattr(config, field.name)
        if dataclasses.is_dataclass(own) and not isinstance(own, type) and isinstance(values.get(field.name), dict):
            values[field.name] = _without_asides(own, values[field.name])
    return values


def _born(config: DataclassInstance, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a config of the same class that nobody has changed, with its parts where some are stored."""
    try:
        fresh = type(config)()
    except TypeError:  # a field without a default: nobody can have left it out
        return {}
    return _born_as(fresh, config, stored)


def _born_as(fresh: DataclassInstance, config: DataclassInstance, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The same, given the config that nobody has changed: its parts may have other parts, chosen by name."""
    values = to_plain(fresh)
    for field in dataclasses.fields(config):
        own = getattr(config, field.name)
        default = getattr(fresh, field.name)
        there = stored.get(field.name)
        if not (dataclasses.is_dataclass(own) and not isinstance(own, type) and isinstance(there, Mapping)):
            continue
        values[field.name] = _born_as(default, own, there) if type(own) is type(default) else _born(own, there)
    return values


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
