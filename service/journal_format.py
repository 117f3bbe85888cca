"""What stands in a flight: every message of the bus as JSON under a schema of ours, exact to the last bit.

A flight is an MCAP file (https://mcap.dev/spec). One message of the bus is one message of the file, in the order of the
bus; `log_time` is when the bus took it, `publish_time` when it happened. Beside them lie the same things in Foxglove's
schemas (`service.foxglove`), for eyes; replay does not read those, except the pictures when it detects again.

Floats are written as their shortest exact decimal, float32 arrays as base64 of little endian numbers, so that what is
read equals what was written. The JSON Schema of each kind is made from the dataclass itself; `FORMAT` counts up when a
reader of before could misunderstand.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from fusion.types import Heartbeat, Scan
from models.types import CLASSES, Detections
from service.types import (
    CameraUpdate,
    Envelope,
    Message,
    SensorHealth,
    StageTimes,
    TracksEnded,
    WorldUpdate,
)
from simulation.truth import PictureTruth
from tracking.types import ImageTracks

FORMAT = 1
PROFILE = "deeplomatics"

Floats = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]


class FormatError(Exception):
    """A message that is not what its schema says; the sentence names the fault."""


@dataclass(frozen=True, slots=True)
class _Detections:
    """`Detections` on disk: arrays as base64 of little endian float32, row by row."""

    sensor_id: str
    time_ns: int
    sequence: int
    width: int
    height: int
    boxes: Floats
    scores: Floats
    class_scores: Floats


@dataclass(frozen=True, slots=True)
class _CameraUpdate:
    detections: _Detections
    tracks: ImageTracks
    timing: StageTimes


@dataclass(frozen=True, slots=True)
class Kind:
    """How one type of message is written.

    Attributes:
        name: of its schema, with the version.
        topic: of its channel; `{}` is the sensor.
        adapter: checks and builds what was read; gives the JSON Schema.
    """

    name: str
    topic: str
    adapter: TypeAdapter[Any]
    to_wire: Callable[[Any], Any]
    from_wire: Callable[[Any], Any]

    def schema(self) -> bytes:
        """JSON Schema of a whole message."""
        body = self.adapter.json_schema()
        definitions = body.pop("$defs", {})
        properties = {"seq": {"type": "integer"}, "subject": {"type": "string"}, "message": body}
        whole = {"title": self.name, "type": "object", "properties": properties, "required": list(properties)}
        return orjson.dumps(whole | {"$defs": definitions})


def _same(value: Any) -> Any:
    return value


def _update_to_wire(update: CameraUpdate) -> _CameraUpdate:
    found = update.detections
    arrays = (_encoded(found.boxes), _encoded(found.scores), _encoded(found.class_scores))
    wire = _Detections(found.sensor_id, found.time_ns, found.sequence, found.width, found.height, *arrays)
    return _CameraUpdate(wire, update.tracks, update.timing)


def _update_from_wire(wire: _CameraUpdate) -> CameraUpdate:
    found = wire.detections
    scores = _decoded(found.scores)
    boxes, class_scores = _decoded(found.boxes), _decoded(found.class_scores)
    if len(boxes) != 4 * len(scores) or len(class_scores) != len(CLASSES) * len(scores):
        raise FormatError("boxes, scores and class scores do not fit each other")
    detections = Detections(
        found.sensor_id,
        found.time_ns,
        found.sequence,
        found.width,
        found.height,
        boxes.reshape(-1, 4),
        scores,
        class_scores.reshape(-1, len(CLASSES)),
    )
    return CameraUpdate(detections, wire.tracks, wire.timing)


def _encoded(values: NDArray[np.float32]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode("ascii")


def _decoded(text: str) -> NDArray[np.float32]:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
    except (binascii.Error, ValueError):
        raise FormatError("an array is not base64 of float32") from None


#: Where each type of message lies; `{}` is its sensor.
_TOPICS: dict[type, str] = {
    CameraUpdate: "/camera/{}/update",
    TracksEnded: "/camera/{}/ended",
    SensorHealth: "/sensor/{}/health",
    Scan: "/scan/{}",
    Heartbeat: "/clock",
    WorldUpdate: "/world/tracks",
    PictureTruth: "/camera/{}/truth",
}


def _kind(type_: type) -> Kind:
    name, topic = f"deeplomatics.{type_.__name__}.v{FORMAT}", _TOPICS.get(type_, f"/{type_.__name__.lower()}")
    if type_ is CameraUpdate:
        return Kind(name, topic, TypeAdapter(_CameraUpdate), _update_to_wire, _update_from_wire)
    return Kind(name, topic, TypeAdapter(type_), _same, _same)


KINDS: dict[type, Kind] = {type_: _kind(type_) for type_ in get_args(Message)}
BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS.values()}


def is_ours(schema_name: str) -> bool:
    """Whether a schema is one that replay reads."""
    return schema_name.startswith("deeplomatics.")


def topic_of(message: Message) -> str:
    return KINDS[type(message)].topic.format(getattr(message, "sensor_id", ""))


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be recorded")


def encode(envelope: Envelope) -> bytes:
    """The body of one message of the file."""
    wire = KINDS[type(envelope.message)].to_wire(envelope.message)
    body = {"seq": envelope.seq, "subject": envelope.subject, "message": wire}
    return orjson.dumps(body, _plain, orjson.OPT_SERIALIZE_NUMPY)


def canonical(message: Message | ImageTracks) -> bytes:
    """A message without its place on the bus; equal messages have equal bytes."""
    if isinstance(message, CameraUpdate):
        message = message.tracks  # the rest is its input
    return orjson.dumps(message, _plain, orjson.OPT_SERIALIZE_NUMPY)


def decode(schema_name: str, data: bytes, log_time_ns: int) -> Envelope:
    """The envelope that was written.

    Raises:
        FormatError: an unknown schema, or a body that does not fit it.
    """
    kind = BY_NAME.get(schema_name)
    if kind is None:
        raise FormatError(f"the schema {schema_name[:80]!r} is not known here: a newer version may have written it")
    try:
        body = orjson.loads(data)
        seq, subject = body["seq"], body["subject"]
        message = kind.from_wire(kind.adapter.validate_python(body["message"]))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise FormatError(f"a message is not {schema_name}") from None
    except ValidationError as error:
        raise FormatError(f"a message is not {schema_name}: {error.errors()[0]['msg'].lower()}") from None
    if type(seq) is not int or type(subject) is not str:
        raise FormatError(f"a message is not {schema_name}")
    return Envelope(seq, subject, log_time_ns, message)


def event_time_ns(message: Message) -> int:
    """When it happened; health has no time of its own."""
    return int(getattr(message, "time_ns", 0))
