"""Parquet tables in LeRobot's folders: `chunk-000/file-000.parquet`, the next file where one is large enough."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from forestpilot.sim.extras import require

FILES_A_CHUNK = 1000


class ParquetFiles:
    """Tables of the same columns.

    Args:
        folder: what holds the chunks.
        file_bytes: a file of this size is the last of its rows.
        rows_together: least rows of a row group but the last. Of each row group and column a kilobyte stays in memory
            until the file is closed.
    """

    def __init__(self, folder: Path, file_bytes: int, rows_together: int = 1) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._rows_together = rows_together
        self._waiting: list[Any] = []
        self._number = 0
        self._writer: Any = None
        self._path = Path()

    @property
    def next_file(self) -> tuple[int, int]:
        """(chunk, file) that the next rows go to."""
        if not self._waiting and self._writer is not None and self._path.stat().st_size >= self._file_bytes:
            self._close()
            self._number += 1
        return divmod(self._number, FILES_A_CHUNK)

    def write(self, columns: Mapping[str, Any]) -> tuple[int, int]:
        """Append rows, columns (n, ...) by name; returns (chunk, file) where they lie."""
        arrow = require("pyarrow")
        place = self.next_file
        table = arrow.table({name: _column(arrow, values) for name, values in columns.items()})
        self._waiting.append(table)
        if sum(len(waiting) for waiting in self._waiting) >= self._rows_together:
            self._flush()
        return place

    def _flush(self) -> None:
        """Write the rows that wait, as one row group."""
        if not self._waiting:
            return
        table = require("pyarrow").concat_tables(self._waiting).combine_chunks()
        self._waiting.clear()
        if self._writer is None:
            chunk, number = divmod(self._number, FILES_A_CHUNK)
            self._path = self._folder / f"chunk-{chunk:03d}" / f"file-{number:03d}.parquet"
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = require("pyarrow.parquet").ParquetWriter(self._path, table.schema, compression="snappy")
        self._writer.write_table(table, row_group_size=len(table))

    def _close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> ParquetFiles:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()


def _column(arrow: Any, values: Any) -> Any:
    """A column of numbers, or of lists of numbers."""
    if not isinstance(values, np.ndarray):
        return arrow.array(values)
    if values.ndim == 1 or values.shape[1:] == (1,):
        return arrow.array(values.reshape(-1))
    flat = arrow.array(np.ascontiguousarray(values).reshape(-1))
    return arrow.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))


def write_tasks(path: Path, tasks: Mapping[str, int]) -> None:
    """Write meta/tasks.parquet: numbers of tasks, by sentence, as pandas would write them with the sentences as index.

    Args:
        path: the file.
        tasks: number of each sentence.
    """
    arrow = require("pyarrow")
    index = "task"
    table = arrow.table({"task_index": arrow.array(list(tasks.values()), arrow.int64()), index: list(tasks)})
    columns = [_pandas_column("task_index", "int64", "int64"), _pandas_column(index, "unicode", "object")]
    told = {"index_columns": [index], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    path.parent.mkdir(parents=True, exist_ok=True)
    require("pyarrow.parquet").write_table(table.replace_schema_metadata({"pandas": json.dumps(told)}), path)


def _pandas_column(name: str, kind: str, numpy_kind: str) -> dict[str, Any]:
    """How pandas describes a column."""
    return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_kind, "metadata": None}
