"""Is an ONNX file only what it says? Read before anybody loads it: no data outside the file, no absurd size.

An ONNX file is a protocol buffer (`onnx.proto`, ONNX 1.x). A tensor in it may name another file, anywhere on the disk,
that holds its data; a runtime would open it. Such files are refused here, whoever wrote them. The walk looks only at
the few fields that lead to tensors, and copies nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

MOST_BYTES = 512 * 2**20
_MOST_DEPTH = 32

#: For each message: the fields that hold messages which may hold tensors, by number (onnx.proto).
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor


class OnnxError(ValueError):
    """The file is not to be loaded; the message says why."""


def refuse_hostile(content: bytes) -> None:
    """Pass a self-contained ONNX model.

    Raises:
        OnnxError: too large, no protocol buffer, no model with a graph, or data outside the file.
    """
    if len(content) > MOST_BYTES:
        raise OnnxError(f"it has more than {MOST_BYTES // 2**20} MiB")
    if 7 not in {number for number, _ in _fields(memoryview(content))}:
        raise OnnxError("it holds no ONNX graph")
    _walk(memoryview(content), "model", 0)


def _walk(message: memoryview, kind: str, depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise OnnxError("its graphs are nested too deeply")
    for number, value in _fields(message):
        if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value)):
            raise OnnxError("a tensor of it lies in another file (external data): save the model as one file")
        inner = _INSIDE[kind].get(number)
        if inner is not None:
            if not isinstance(value, memoryview):
                raise OnnxError("it is no ONNX model")
            _walk(value, inner, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of each field: a view for those with a length, the number for varints, 0 for fixed ones."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
        elif wire == 2:
            length, at = _varint(message, at)
            if length > end - at:
                raise OnnxError("it is cut short")
            yield number, message[at : at + length]
            at += length
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
            yield number, 0
        else:
            raise OnnxError("it is no protocol buffer")
    if at != end:
        raise OnnxError("it is cut short")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise OnnxError("it is cut short")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise OnnxError("it is no protocol buffer")
