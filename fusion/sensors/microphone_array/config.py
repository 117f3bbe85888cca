"""What a person says about a microphone array so that it can be heard and its directions told."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fusion.sensors.address import SCHEMES, SourceAddress
from fusion.sensors.microphone_array.measure import check_geometry
from fusion.sensors.microphone_array.pcm import FORMATS, Pcm

Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]

#: What carries samples that say nothing of themselves, with the format meant where none is written.
RAW = {"tcp": "s16le", "udp": "s16le", "rtp": "s16be"}


class SoundAddress(SourceAddress):
    """Where sound comes from: a file, the number of a sound device, or a URL.

    `tcp://HOST:PORT` is called, `udp://HOST:PORT` and `rtp://HOST:PORT` are listened on (a multicast group is joined).
    Behind them stands what the samples are: `?rate=48000&channels=8&format=s16le`. `device://NAME` is a sound device.
    """

    __slots__ = ()
    schemes: ClassVar[tuple[str, ...]] = (*SCHEMES, *RAW, "device")

    @property
    def scheme(self) -> str:
        """Of a URL in small letters; `file` or `device` otherwise."""
        if self.kind == "url":
            return urlsplit(self.reveal()).scheme.lower()
        return "device" if self.kind == "device" else "file"

    @property
    def query(self) -> dict[str, str]:
        """What stands behind the `?` of a URL."""
        if self.kind != "url":
            return {}
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.reveal()).query).items()}


class ArrayConfig(BaseModel):
    """One array: `array.yaml`, or a sensor of kind `microphone_array` in a site file.

    Attributes:
        microphones: places in metres, ENU around anything; in the order of the recording's channels.
        sample_rate_hz: of the recording; where given, another rate is an error.
        temperature: of the air, degrees Celsius; sets the speed of sound.
        id, kind, source, position: as in a site file; not needed for a recording.
        loop: a file starts again when it ends.
        transport: how RTSP carries the sound.
        open_timeout_s: how long a live source may take to answer.
        latency_s, latency_sigma_s: from capture to the earliest arrival here, and its standard deviation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    microphones: tuple[tuple[Finite, Finite, Finite], ...]
    sample_rate_hz: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=-60.0, le=60.0, allow_inf_nan=False)] = 15.0
    id: str = Field(default="array", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    kind: str = "microphone_array"
    source: SoundAddress | None = None
    position: dict[str, Any] | None = None
    loop: bool = False
    transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_s: float = Field(default=5.0, gt=0.0, le=60.0, allow_inf_nan=False)
    latency_s: Seconds = 0.02
    latency_sigma_s: Seconds = 0.02

    @field_validator("microphones")
    @classmethod
    def _tells_directions(
        cls, places: tuple[tuple[float, float, float], ...]
    ) -> tuple[tuple[float, float, float], ...]:
        check_geometry(places)
        return places

    @model_validator(mode="after")
    def _says_what_raw_samples_are(self) -> ArrayConfig:
        if self.source is not None and self.source.scheme in RAW:
            self.raw()
        return self

    @property
    def says_format(self) -> bool:
        """Behind the address stands what the samples are: nothing that is secret."""
        return self.source is not None and self.source.scheme in (*RAW, "device") and "@" not in self.source.reveal()

    @property
    def speed_mps(self) -> float:
        """Speed of sound at this temperature."""
        return 331.3 * float((1.0 + self.temperature / 273.15) ** 0.5)

    def raw(self) -> Pcm:
        """What the samples of a source in `RAW` are, or those wanted of a device: by its URL, else by the array.

        Raises:
            ValueError: one plain sentence.
        """
        assert self.source is not None
        said = self.source.query
        unknown = sorted(set(said) - {"rate", "channels", "format"})
        if unknown:
            raise ValueError(f"{self.source}: {unknown[0]!r} is not known there; write rate, channels and format")
        rate_hz = _count(said, "rate", self.sample_rate_hz)
        channels = _count(said, "channels", len(self.microphones))
        form = said.get("format", RAW.get(self.source.scheme, "f32le"))
        if rate_hz is None or channels is None:
            raise ValueError(
                f"{self.source} does not say what its samples are: write ?rate=48000&channels=8&format=s16le behind it"
            )
        if form not in FORMATS:
            raise ValueError(f"{self.source}: format must be one of {', '.join(FORMATS)}")
        if self.sample_rate_hz not in (None, rate_hz):
            raise ValueError(f"{self.source} says rate={rate_hz} but sample_rate_hz is {self.sample_rate_hz}: mend one")
        count = len(self.microphones)
        if channels != count:
            raise ValueError(f"{self.source} says channels={channels} but the array has {count} microphones: mend one")
        return Pcm(rate_hz, channels, form)


def _count(said: dict[str, str], name: str, otherwise: int | None) -> int | None:
    text = said.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 1_000_000):
        raise ValueError(f"{name} behind the address of the source must be a whole number above zero")
    return int(text)
