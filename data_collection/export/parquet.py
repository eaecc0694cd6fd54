"""Parquet tables as LeRobot has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from forestpilot.sim.extras import require


class ParquetFile:
    """A table, open for writing.

    Args:
        path: the file; folders are made.
        rows_together: least rows of a row group but the last. Of each row group and column a kilobyte stays in memory
            until the file is closed.
    """

    def __init__(self, path: Path, rows_together: int = 1) -> None:
        self._path = path
        self._rows_together = rows_together
        self._waiting: list[Any] = []
        self._writer: Any = None

    @property
    def num_bytes(self) -> int:
        """Size of the file, without the rows that wait."""
        return self._path.stat().st_size if self._writer is not None else 0

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows, columns (n, ...) by name."""
        arrow = require("pyarrow")
        table = arrow.table({name: _column(arrow, values) for name, values in columns.items()})
        self._waiting.append(table)
        if sum(len(waiting) for waiting in self._waiting) >= self._rows_together:
            self._flush()

    def close(self) -> None:
        """Write what waits, and complete the file; called twice it does nothing more."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        """Write the rows that wait, as one row group."""
        if not self._waiting:
            return
        table = require("pyarrow").concat_tables(self._waiting).combine_chunks()
        self._waiting.clear()
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = require("pyarrow.parquet").ParquetWriter(self._path, table.schema, compression="snappy")
        self._writer.write_table(table, row_group_size=len(table))


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
