"""KML with Google's `gx:Track` (https://developers.google.com/kml/documentation/kmlreference#gxtrack).

Of several tracks the longest is taken. Heights of `absolute` are above the sea, of `relativeToGround` above take-off.
"""

from __future__ import annotations

from xml.etree import ElementTree

from service.flight_logs.log import Clock, FlightLog, Heights, LogError, log_of
from service.flight_logs.times import utc_s


def read(data: bytes) -> FlightLog:
    """The log.

    Raises:
        LogError: no XML, or no track with times.
    """
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise LogError(f"it is damaged: {error}") from None
    tracks = [element for element in root.iter() if _name(element) == "Track"]
    if not tracks:
        raise LogError("it holds no gx:Track, and a line without times says where but not when")
    track = max(tracks, key=len)
    modes = [(child.text or "").strip() for child in track if _name(child) == "altitudeMode"]
    above = Heights.SEA if modes[:1] == ["absolute"] else Heights.TAKEOFF
    when = [(child.text or "") for child in track if _name(child) == "when"]
    where = [(child.text or "").split() for child in track if _name(child) == "coord"]
    fixes, bad = [], abs(len(when) - len(where))
    for text, numbers in zip(when, where, strict=False):
        try:
            longitude, latitude, height = (float(n) for n in (*numbers, "nan")[:3])
            fixes.append((utc_s(text), latitude, longitude, height))
        except ValueError:
            bad += 1
    others = (len(tracks) - 1, "of other tracks of the file")
    return log_of("KML", Clock.UTC, above, fixes, skipped=((bad, "no time or place in them"), others))


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
