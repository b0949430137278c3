"""Types that settings are made of."""

import re
from typing import Annotated, override

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

# Drivers take passwords with unescaped `/`, `?`, `#` and `@` too, so the password is what they take for it; a port before
# an address with an `@` in its path is hidden along with it, which is the better mistake.
_PASSWORD_IN_URL = re.compile(r"(?P<before>://[^:/?#@\s]*:)[^@\s]+(?:@[^@/?#\s]*)*(?P<after>@)")
_PASSWORD_IN_QUERY = re.compile(r"(?P<before>[?&]password=)[^&#\s]+", re.IGNORECASE)
_MASK = "********"


class _ConnectionUrl(str):
    """A URL whose `repr` hides the password, so that logs and tracebacks do not carry it."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return repr(masked(self))


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(item for part in value.split(",") if (item := part.strip()))
    return value


ConnectionUrl = Annotated[str, AfterValidator(_ConnectionUrl)]
"""A URL that may carry a password: `str()` gives it whole, `repr()` and `config show` hide the password."""

CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A list given as one variable: `ALLOWED_ORIGINS=https://a.example, https://b.example`."""


def masked(value: object) -> str:
    """A value as it may be shown to an operator: secrets and passwords in URLs are replaced by asterisks."""
    if isinstance(value, SecretStr):
        return _MASK if value.get_secret_value() else ""
    if isinstance(value, tuple | list):
        return ", ".join(masked(item) for item in value)
    text = "" if value is None else str(value)
    return _PASSWORD_IN_QUERY.sub(rf"\g<before>{_MASK}", _PASSWORD_IN_URL.sub(rf"\g<before>{_MASK}\g<after>", text))
