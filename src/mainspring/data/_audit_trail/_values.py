"""What an entry shows of a value: enough to know what changed, nothing that must not be kept."""

import enum
import math
from collections.abc import Mapping
from datetime import date, time
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Table
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.elements import ClauseElement

from mainspring.data._confidential import is_confidential
from mainspring.observability import REDACTED, redact

from ._models import canonical

LONGEST = 2_000
"""Characters of a value that are kept; of a longer one the beginning and a digest."""
_BEGINNING = 200


def is_hidden(name: str, column: ColumnElement[Any]) -> bool:
    """Whether values of an attribute are never shown: confidential ones, and those that are secret by their name."""
    return is_confidential(column) or any(redact({each: 0})[each] == REDACTED for each in (name, column.key or name))


def shown(value: Any) -> Any:
    """A value as JSON. Secrets inside of it are replaced as they are in log lines; what is long is cut."""
    match value:
        case None | bool() | int() if not isinstance(value, enum.Enum):
            return value
        case enum.Enum():
            return shown(value.value)
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            text = redact(value)
            return text if len(text) <= LONGEST else _cut(text, value.encode("utf-8", "surrogatepass"))
        case bytes() | bytearray() | memoryview():
            return {"$bytes": len(value), "sha256": sha256(value).hexdigest()}
        case date() | time():
            return value.isoformat()
        case ClauseElement():
            return {"$computed": True}
        case Mapping() | list() | tuple():
            return _nested(redact(value))
        case _:
            # Dataclasses and Pydantic's models become mappings, of everything else there is the text.
            parts = redact(value)
            return shown(str(value)) if parts is value else _nested(parts)


def identity_of(mapper: Mapper[Any], instance: Any, identity: tuple[Any, ...] | None) -> str:
    """A row's primary key as text."""
    values = identity if identity is not None else tuple(mapper.primary_key_from_instance(instance))
    return str(values[0]) if len(values) == 1 else canonical([str(value) for value in values])


def table_name(mapper: Mapper[Any]) -> str:
    """What entries call the model."""
    table = mapper.local_table
    return table.fullname if isinstance(table, Table) else str(table)


def _nested(value: Any) -> Any:
    plain = _jsonable(value)
    text = canonical(plain)
    return plain if len(text) <= LONGEST else _cut(text, text.encode("utf-8", "surrogatepass"))


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return value if isinstance(value, str) else shown(value)


def _cut(text: str, whole: bytes) -> dict[str, Any]:
    return {"$beginning": text[:_BEGINNING], "length": len(text), "sha256": sha256(whole).hexdigest()}
