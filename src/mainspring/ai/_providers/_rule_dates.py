"""Finds questions about dates and times."""

import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from ._rule import Match

_MONTHS = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
_MONTH = rf"(?:{'|'.join(_MONTHS)})"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_DATE = rf"(?:\d{{4}}-\d{{2}}-\d{{2}}|{_DAY}\s+(?:of\s+)?{_MONTH},?\s+\d{{4}}|{_MONTH}\s+{_DAY},?\s+\d{{4}})\b"
_AMOUNT = r"(?P<number>\d{1,6})\s+(?P<unit>days?|weeks?)"
_ON = r"(?:the\s+)?"

_DIFFERENCE = re.compile(
    rf"(?<!business )(?<!working )\bdays\b[^.?!\n]{{0,40}}?\b(?:between|from)\s+{_ON}(?P<start>{_DATE})"
    rf"\s+(?:and|to|until|till)\s+{_ON}(?P<end>{_DATE})",
    re.IGNORECASE,
)
_LATER = (
    re.compile(rf"\b(?P<back>subtract|take)\s+{_AMOUNT}\s+(?:away\s+)?from\s+{_ON}(?P<date>{_DATE})", re.IGNORECASE),
    re.compile(rf"\badd\s+{_AMOUNT}\s+to\s+{_ON}(?P<date>{_DATE})", re.IGNORECASE),
    re.compile(rf"\b{_AMOUNT}\s+(?:after|from|past|(?P<back>before))\s+{_ON}(?P<date>{_DATE})", re.IGNORECASE),
    re.compile(rf"(?P<date>{_DATE})\s*(?:\+|plus|(?P<back>-|\u2212|minus))\s*{_AMOUNT}\b", re.IGNORECASE),
)
_WEEKDAY = re.compile(
    rf"\b(?:weekday|day\s+of\s+the\s+week|(?:what|which)\s+day)\b[^.?!\n]{{0,40}}?\b(?P<date>{_DATE})", re.IGNORECASE
)
_NOW = re.compile(
    r"(?:\bwhat\s+(?:time|day|date)\s+(?:is\s+it|it\s+is)\b"
    r"|\b(?:what(?:['\u2019]s|\s+is)\s+)?the\s+(?:current\s+|local\s+)?time(?=\s+(?:now|right|in|at|there)\b|\s*(?:[.?!,]|$))"
    r"|\bcurrent\s+(?:local\s+)?(?:date|time)\b|\btoday['\u2019]s\s+date\b|\bwhat\s+(?:day|date)\s+is\s+today\b"
    r"|\bthe\s+date\s+today\b)(?:\s+(?:right\s+now|now|today))?"
    r"(?:\s+in\s+(?:the\s+)?(?P<place>[^\W\d]+(?:[/ _+\-]\w+)*))?",
    re.IGNORECASE,
)
_AREAS = ("Europe", "America", "Asia", "Africa", "Australia", "Pacific", "Atlantic", "Indian")


def differences(text: str, end: int) -> Iterator[Match]:
    """Days between two dates."""
    for found in _DIFFERENCE.finditer(text, 0, end):
        first, last = _iso(found["start"]), _iso(found["end"])
        arguments = {"operation": "difference", "start": first, "end": last}
        yield Match((found.span(),), f"From {first} to {last}", arguments)


def additions(text: str, end: int) -> Iterator[Match]:
    """A date some days or weeks before or after another."""
    taken: set[int] = set()
    for pattern in _LATER:
        for found in pattern.finditer(text, 0, end):
            if not taken.isdisjoint(range(*found.span())):
                continue
            taken.update(range(*found.span()))
            back = "back" in pattern.groupindex and found["back"] is not None
            days = int(found["number"]) * (7 if found["unit"].lower().startswith("week") else 1)
            date, word = _iso(found["date"]), "before" if back else "after"
            arguments = {"operation": "add", "date": date, "days": -days if back else days}
            yield Match((found.span(),), f"{found['number']} {found['unit']} {word} {date}", arguments)


def weekdays(text: str, end: int) -> Iterator[Match]:
    """The day of the week of a date."""
    for found in _WEEKDAY.finditer(text, 0, end):
        date = _iso(found["date"])
        yield Match((found.span(),), date, {"operation": "weekday", "date": date})


def times(text: str, end: int) -> Iterator[Match]:
    """The present date and time somewhere; in UTC where no place is named."""
    for found in _NOW.finditer(text, 0, end):
        zone = _zone(found["place"]) if found["place"] else "UTC"
        if zone is not None:
            yield Match((found.span(),), zone, {"operation": "now", "timezone": zone})


def _iso(written: str) -> str:
    """As ISO 8601; whether there is such a day is the tool's to say."""
    words = re.findall(r"\d+|[a-z]+", re.sub(r"(?<=\d)(?:st|nd|rd|th)\b|\bof\b", "", written.lower()))
    month = next((word for word in words if word in _MONTHS), None)
    if month is None:
        return written
    day, year = (int(word) for word in words if word.isdigit())
    return f"{year:04}-{_MONTHS.index(month) + 1:02}-{day:02}"


def _zone(place: str) -> str | None:
    """The time zone of `Europe/Madrid`, `Madrid`, `New York`; words that follow the place are dropped until one fits."""
    words = place.replace("_", " ").split()
    for length in range(min(len(words), 4), 0, -1):
        name = "_".join(words[:length])
        if name.upper() in {"UTC", "GMT"}:
            return "UTC"
        candidates = [name] if "/" in name else [f"{area}/{name}" for area in _AREAS]
        for candidate in (form for name in candidates for form in (name, _titled(name))):
            if _exists(candidate):
                return candidate
    # A zone spelt like one is passed on: that it is unknown is an answer too, and the tool gives it.
    return place.split(maxsplit=1)[0] if "/" in place else None


def _titled(name: str) -> str:
    small = {"of", "es", "au"}  # Port_of_Spain, Dar_es_Salaam, Port-au-Prince
    return re.sub(r"[^\W\d_]+", lambda word: word[0] if word[0] in small else word[0].capitalize(), name)


def _exists(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return False
    return True
