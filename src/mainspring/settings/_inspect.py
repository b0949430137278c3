"""Looks at settings without insisting that they are sound: for `mainspring config`."""

from dataclasses import dataclass

from ._fields import masked
from ._problems import BootError, Problem
from ._settings import Settings
from ._sources import Origin, read


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting as it may be shown.

    Attributes:
        name: The field.
        value: Masked: no secret, no password.
        origin: Under which key and in which source it was found.
    """

    name: str
    value: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class SettingsReport:
    """Every setting, and what is wrong with them; `problems` is empty when the service would start."""

    lines: tuple[SettingLine, ...]
    problems: tuple[Problem, ...]


def inspect_settings(cls: type[Settings]) -> SettingsReport:
    """Read a settings class from all its sources; never raises for what they hold."""
    try:
        settings = cls()
    except BootError as error:
        reading = read(cls, {}, prefixed_only=cls.prefixed_only)
        values = {name: _given_or_default(cls, name, reading.values) for name in cls.model_fields}
        lines = (SettingLine(name, values[name], reading.origins[name]) for name in cls.model_fields)
        return SettingsReport(tuple(lines), error.problems)
    lines = (SettingLine(n, masked(getattr(settings, n)), settings.origin(n)) for n in cls.model_fields)
    return SettingsReport(tuple(lines), ())


def _given_or_default(cls: type[Settings], name: str, given: dict[str, object]) -> str:
    field = cls.model_fields[name]
    if name not in given:
        return "" if field.is_required() else masked(field.get_default(call_default_factory=True))
    # What was given is still plain text here; whether it is a secret, only the field's type says.
    secret = "Secret" in str(field.annotation)
    return "********" if secret else masked(given[name])
