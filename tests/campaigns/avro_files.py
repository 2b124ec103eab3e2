"""A reader of Avro object container files (Avro 1.11 specification): records of strings and nulls, deflated."""

import json
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any


def number(data: BytesIO) -> int:
    """A long: variable-length, zig-zag."""
    value = shift = 0
    while True:
        byte = data.read(1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1)
        shift += 7


def text(data: BytesIO) -> bytes:
    return data.read(number(data))


def value(data: BytesIO, kind: Any) -> Any:
    """A value of a type of the schema."""
    if isinstance(kind, list):
        return value(data, kind[number(data)])
    if kind == "null":
        return None
    assert kind == "string", kind
    return text(data).decode()


def records(content: bytes) -> Iterator[dict[str, Any]]:
    """The records of a file."""
    data = BytesIO(content)
    assert data.read(4) == b"Obj\x01"
    head: dict[str, bytes] = {}
    while count := number(data):
        for _ in range(count):
            name = text(data).decode()
            head[name] = text(data)
    assert head["avro.codec"] == b"deflate"
    fields = json.loads(head["avro.schema"])["fields"]
    sync = data.read(16)
    while data.tell() < len(content):
        count = number(data)
        block = BytesIO(zlib.decompress(text(data), wbits=-15))
        for _ in range(count):
            yield {field["name"]: value(block, field["type"]) for field in fields}
        assert data.read(16) == sync
