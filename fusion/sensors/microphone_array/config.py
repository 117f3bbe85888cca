"""What a person says about a microphone array so that it can be heard and its directions told."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fusion.sensors.microphone_array.measure import check_geometry

Finite = Annotated[float, Field(allow_inf_nan=False)]


class ArrayConfig(BaseModel):
    """One array: `array.yaml`, or a sensor of kind `microphone_array` in a site file.

    Attributes:
        microphones: places in metres, ENU around anything; in the order of the recording's channels.
        sample_rate_hz: of the recording; where given, another rate is an error.
        temperature: of the air, degrees Celsius; sets the speed of sound.
        id, kind, source, position: as in a site file; not needed for a recording.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    microphones: tuple[tuple[Finite, Finite, Finite], ...]
    sample_rate_hz: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=-60.0, le=60.0, allow_inf_nan=False)] = 15.0
    id: str = "array"
    kind: str = "microphone_array"
    source: str | None = None
    position: dict[str, Any] | None = None

    @field_validator("microphones")
    @classmethod
    def _tells_directions(
        cls, places: tuple[tuple[float, float, float], ...]
    ) -> tuple[tuple[float, float, float], ...]:
        check_geometry(places)
        return places

    @property
    def speed_mps(self) -> float:
        """Speed of sound at this temperature."""
        return 331.3 * float((1.0 + self.temperature / 273.15) ** 0.5)
