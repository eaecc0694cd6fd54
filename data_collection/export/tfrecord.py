"""TensorFlow's record files of examples, without TensorFlow: framing and checksums, and the message in each record.

A record is its length (8 bytes), a checksum of that, the bytes, and a checksum of those (tensorflow/core/lib/io/
record_writer.h); the bytes are a `tensorflow.Example` (tensorflow/core/example/example.proto): lists of bytes, floats
or integers by name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from forestpilot.data_collection.export.exporter import ExportError
from forestpilot.sim.extras import require

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_PACKAGE = "forestpilot_example"
RECORD_BYTES = 2**31 - 1
"""Largest message."""


class BrokenRecordError(ValueError):
    """A record file that was cut off or altered."""


class Record(NamedTuple):
    """Where a record lies."""

    path: Path
    """The file."""
    offset: int
    """Where its bytes begin."""
    length: int
    """How many they are."""


class RecordFile:
    """A record file, open for writing.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115  (open from call to call)
        self.count = 0
        """Records by now."""
        self.num_bytes = 0
        """Of all records."""

    def write(self, values: Mapping[str, Any]) -> None:
        """Append an example: lists of bytes, or arrays of numbers, by name."""
        data = _packed(values)
        length = _LENGTH.pack(len(data))
        self._file.write(b"".join((length, _checksum(length), data, _checksum(data))))
        self.count += 1
        self.num_bytes += len(data)

    def close(self) -> None:
        """Complete the file; called twice it does nothing more."""
        self._file.close()


def records_of(path: Path) -> Iterator[Record]:
    """Where the records of a file lie.

    Raises:
        BrokenRecordError: the file ends inside one, or a length is not as it was written.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        offset = 0
        while offset < size:
            file.seek(offset)
            head = file.read(_LENGTH.size + _CHECKSUM.size)
            if len(head) < _LENGTH.size + _CHECKSUM.size:
                raise BrokenRecordError(f"{path} is cut off after {size} bytes")
            length = _LENGTH.unpack_from(head)[0]
            if _checksum(head[: _LENGTH.size]) != head[_LENGTH.size :]:
                raise BrokenRecordError(f"{path} was altered at byte {offset}")
            offset += len(head)
            if offset + length + _CHECKSUM.size > size:
                raise BrokenRecordError(f"{path} is cut off after {size} bytes")
            yield Record(path, offset, length)
            offset += length + _CHECKSUM.size


def read_record(record: Record) -> Any:
    """The example in a record; `.features.feature[name]` has `bytes_list`, `float_list` or `int64_list`.

    Raises:
        BrokenRecordError: it is not as it was written.
    """
    if record.length > RECORD_BYTES:
        raise BrokenRecordError(f"{record.path} has a record of {record.length:,} bytes")
    with open(record.path, "rb") as file:
        file.seek(record.offset)
        data = file.read(record.length)
        checksum = file.read(_CHECKSUM.size)
    if _checksum(data) != checksum:
        raise BrokenRecordError(f"{record.path} was altered after byte {record.offset}")
    message = _example_class()()
    try:
        message.ParseFromString(data)
    except ValueError as error:  # DecodeError is one
        raise BrokenRecordError(f"{record.path} holds no example at byte {record.offset}: {error}") from error
    return message


def _checksum(data: bytes) -> bytes:
    """CRC-32C, masked as TensorFlow does: sums of bytes that hold sums would come out badly."""
    crc = require("google_crc32c").value(data)
    return _CHECKSUM.pack((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _packed(values: Mapping[str, Any]) -> bytes:
    message = _example_class()()
    for name, own in values.items():
        feature = message.features.feature[name]
        if not isinstance(own, np.ndarray):
            feature.bytes_list.value.extend(own)
        elif own.dtype.kind == "f":
            feature.float_list.value.extend(own.ravel().tolist())
        else:
            feature.int64_list.value.extend(own.astype(np.int64).ravel().tolist())
    size = message.ByteSize()
    if size > RECORD_BYTES:
        raise ExportError(f"an episode takes {size:,} bytes; a record holds {RECORD_BYTES:,}: export smaller pictures")
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def _field(name: str, number: int, kind: str, many: bool = False) -> dict[str, Any]:
    """A field of a message, as its descriptor has it in JSON."""
    label = "LABEL_REPEATED" if many else "LABEL_OPTIONAL"
    if kind.isupper():
        return {"name": name, "number": number, "label": label, "type": f"TYPE_{kind}"}
    return {"name": name, "number": number, "label": label, "type": "TYPE_MESSAGE", "typeName": f".{_PACKAGE}.{kind}"}


def _messages() -> list[dict[str, Any]]:
    """What stands in example.proto and feature.proto of TensorFlow."""
    lists = ("BytesList", "FloatList", "Int64List")
    kinds = ("BYTES", "FLOAT", "INT64")
    names = ("bytes_list", "float_list", "int64_list")
    fields = [_field(name, number, kind) for number, (name, kind) in enumerate(zip(names, lists), start=1)]
    entry = {
        "name": "FeatureEntry",
        "field": [_field("key", 1, "STRING"), _field("value", 2, "Feature")],
        "options": {"mapEntry": True},
    }
    own = _field("feature", 1, "Features.FeatureEntry", many=True)
    return [
        *({"name": name, "field": [_field("value", 1, kind, many=True)]} for name, kind in zip(lists, kinds)),
        {"name": "Feature", "oneofDecl": [{"name": "kind"}], "field": [field | {"oneofIndex": 0} for field in fields]},
        {"name": "Features", "field": [own], "nestedType": [entry]},
        {"name": "Example", "field": [_field("features", 1, "Features")]},
    ]


@cache
def _example_class() -> Any:
    """The class of `tensorflow.Example`."""
    told = {"name": f"{_PACKAGE}.proto", "package": _PACKAGE, "syntax": "proto3", "messageType": _messages()}
    file = require("google.protobuf.descriptor_pb2").FileDescriptorProto()
    pool = require("google.protobuf.descriptor_pool").DescriptorPool()
    pool.Add(require("google.protobuf.json_format").ParseDict(told, file))
    return require("google.protobuf.message_factory").GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Example"))
