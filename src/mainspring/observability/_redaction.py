"""Keeps secrets out of log lines, by the names of the fields that hold them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"
"""What a log line shows in place of a secret."""

# Whole words: `token` and `access_token` hold secrets, `input_tokens` and `tokenizer` do not.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key|authorization|cookie"
    r"|credentials?|session_?id|otp|csrf)\d*(?:$|_(?:confirm|hash|value|key))"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_URL_PASSWORD = re.compile(r"(://[^\s:/?#@]*:)[^\s/@]+(?=@)")
# What texts of errors show of the values they are about: `name='value'`, `"name": [...]` of a secret name ...
_NAME = re.compile(r"""(?<![\w.-])(?P<name>[A-Za-z_][\w.-]*)["']?\s*[:=]\s*""")
_VALUE = re.compile(r"""[brf]?"(?:[^"\\\n]|\\.)*"?|[brf]?'(?:[^'\\\n]|\\.)*'?|[\[({][^\])}\n]*[\])}]*|[^\s,;&)}\]]+""")
# ... and, whatever the name, SQLAlchemy's parameters, Pydantic's inputs and PostgreSQL's rows.
_VALUES = (
    re.compile(r"(?P<before>\[parameters: )[^\n]*"),
    re.compile(r"(?P<before>input_value=)[^\n]*?(?=, input_type=|\n|$)"),
    re.compile(r"(?P<before>Key \([^()\n]{0,200}\)=)[^\n]*"),
    re.compile(r"(?P<before>Failing row contains )[^\n]*"),
)
_MAX_DEPTH = 6
_CUT = "[too deep]"


def redact(value: Any, *, depth: int = 0) -> Any:
    """A copy of `value` in which fields that are secret by name, and credentials and passwords of URLs in texts, are
    replaced; what is nested deeper than six levels is cut off.

    It goes by names because a value does not say what it is: a password in a field called `note` is not recognised.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return _text(value)
    mapping = _as_mapping(value)
    if mapping is None and not isinstance(value, list | tuple):
        return value
    if depth >= _MAX_DEPTH:
        return _CUT
    if mapping is not None:
        return {_key(key): _field(key, item, depth) for key, item in mapping.items()}
    if isinstance(value, tuple) and len(value) == 2:
        # The form of raw headers: a list of pairs.
        return [redact(value[0], depth=depth + 1), _field(value[0], value[1], depth)]
    return [redact(item, depth=depth + 1) for item in value]


def redact_error(text: str) -> str:
    """An error's message or traceback without the values that it is about.

    Beyond what `redact` finds in a text: values that follow a secret name (`password='…'`, `{"token": …}`), the
    parameters of SQL statements, the rows that PostgreSQL cites and the inputs that Pydantic refuses. It takes several
    times as long, about 10 µs per kB, which errors are worth.
    """
    text = "".join(_without_secrets(_text(text)))
    for pattern in _VALUES:
        text = pattern.sub(rf"\g<before>{REDACTED}", text)
    return text


def _without_secrets(text: str) -> Iterator[str]:
    done = 0
    for match in _NAME.finditer(text):
        if match.start() >= done and _is_secret(match["name"]):
            value = _VALUE.match(text, match.end())
            if value is not None:
                yield text[done : match.end()]
                yield REDACTED
                done = value.end()
    yield text[done:]


def _text(value: str) -> str:
    if "earer" in value or "asic" in value:
        value = _BEARER.sub(rf"\1 {REDACTED}", value)
    if "://" in value and "@" in value:
        value = _URL_PASSWORD.sub(rf"\1{REDACTED}", value)
    return value


def _as_mapping(value: Any) -> Mapping[Any, Any] | None:
    """What has named parts, as a mapping: also dataclasses and Pydantic's models, whose text would show them all."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    if is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    names = getattr(type(value), "model_fields", None)
    return {name: getattr(value, name, None) for name in names} if isinstance(names, Mapping) else None


def _key(name: Any) -> Any:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name


def _field(name: Any, value: Any, depth: int) -> Any:
    name = _key(name)
    if isinstance(name, str) and _is_secret(name):
        return REDACTED
    return redact(value, depth=depth + 1)


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    words = _HUMP.sub("_", name).replace("-", "_").replace(".", "_")
    return _SECRET_NAME.search(words.lower()) is not None


def type_of(error: BaseException) -> str:
    """The value of `error.type` and `exception.type`: the full name of the class."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
