"""GPX 1.0 and 1.1 (https://www.topografix.com/GPX/1/1/): the points of all tracks.

`ele` is above mean sea level as receivers give it; where a point has `geoidheight`, its height above the ellipsoid
follows from both.
"""

from __future__ import annotations

import io
from xml.etree import ElementTree

from service.flight_logs.log import Clock, FlightLog, Heights, LogError, log_of
from service.flight_logs.times import utc_s

Fix = tuple[float, float, float, float | None]


def read(data: bytes) -> FlightLog:
    """The log; of a file that is cut off what comes before the cut.

    Raises:
        LogError: no XML, or no point with a time in it.
    """
    fixes: list[Fix] = []
    on_ellipsoid: list[bool] = []
    untimed, cut = 0, False
    try:
        for _, element in ElementTree.iterparse(io.BytesIO(data)):
            if _name(element) != "trkpt":
                continue
            fix, ellipsoid = _point(element)
            untimed += fix is None
            if fix is not None:
                fixes.append(fix)
                on_ellipsoid.append(ellipsoid)
            element.clear()
    except ElementTree.ParseError as error:
        if not fixes:
            raise LogError(f"it is damaged: {error}") from None
        cut = True
    above = Heights.ELLIPSOID if on_ellipsoid and all(on_ellipsoid) else Heights.SEA
    skipped = [(untimed, "no time or no place in them"), (int(cut), "the file is cut off or damaged behind them")]
    return log_of("GPX", Clock.UTC, above, fixes, skipped=skipped)


def _point(element: ElementTree.Element) -> tuple[Fix | None, bool]:
    texts = {_name(child): (child.text or "").strip() for child in element}
    try:
        time_s, height = utc_s(texts["time"]), float(texts["ele"]) if texts.get("ele") else None
        above = float(texts["geoidheight"]) if texts.get("geoidheight") else None
        place = float(element.attrib["lat"]), float(element.attrib["lon"])
    except (KeyError, ValueError):
        return None, False
    whole = None if height is None else height + (above or 0.0)
    return (time_s, *place, whole), above is not None


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
