"""Where settings are read from, and which source won.

In order: arguments in code, the environment, `.env.<environment>`, `.env`, the secrets directory, the default. In each
source the prefixed name (`SHOP_DATABASE_URL`) is looked up before the common one (`DATABASE_URL`), so that two services
can share a shell.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SecretsSettingsSource,
    SettingsError,
)

from ._problems import Problem

_SECRETS_DIRECTORIES = ("secrets", "/run/secrets")
# Read by others than a settings class: this module, and the command line (which service it is about).
_NO_SETTINGS = frozenset({"SECRETS_DIR", "MAINSPRING_APP", "MAINSPRING_RUN_DIRECTORY"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one setting's value came from.

    Attributes:
        key: The name it was found under, or would be looked up by.
        source: `code`, `environment`, `.env.production`, `.env`, `secrets` or `default`.
    """

    key: str
    source: str


@dataclass(slots=True)
class Reading:
    """What the sources hold for one settings class: raw values, their origins, and what is odd about the sources."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read(cls: type[BaseSettings], overrides: Mapping[str, Any], *, prefixed_only: frozenset[str]) -> Reading:
    """Look every field up in every source; the first source that has it wins."""
    prefix = cls.model_config.get("env_prefix", "")
    reading = Reading(dict(overrides), {name: Origin(name, "code") for name in overrides})
    known = _known_names(cls, prefix, prefixed_only)
    lookups = ((prefix, frozenset[str]()), ("", prefixed_only)) if prefix else (("", frozenset[str]()),)
    for layer in _layers(cls, lookups, overrides):
        reading.problems += layer.problems
        for name, value in layer.values.items():
            if name not in reading.values:
                reading.values[name] = value
                reading.origins[name] = Origin((layer.prefix + name).upper(), layer.source)
        reading.problems += _unknown(layer, prefix, known)
    reading.problems = list(dict.fromkeys(reading.problems))
    for name in cls.model_fields:
        reading.origins.setdefault(name, Origin(_canonical(name, prefix, prefixed_only), "default"))
    return reading


type _Lookups = tuple[tuple[str, frozenset[str]], ...]
"""Each prefix, and the fields that do not count under it."""


@dataclass(frozen=True, slots=True)
class _Layer:
    source: str
    prefix: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    names: Iterable[str] = ()
    problems: tuple[Problem, ...] = ()


def _layers(cls: type[BaseSettings], lookups: _Lookups, overrides: Mapping[str, Any]) -> list[_Layer]:
    process = [
        _layer("environment", prefix, EnvSettingsSource(cls, env_prefix=prefix, env_ignore_empty=True), hidden)
        for prefix, hidden in lookups
    ]
    common = list(_dotenv(cls, ".env", lookups))
    secrets = list(_secrets(cls, lookups))
    # The environment's name decides which `.env.<name>` counts, so every other source is asked for it first.
    named = [layer.values["environment"] for layer in (*process, *common, *secrets) if "environment" in layer.values]
    default = cls.model_fields["environment"].get_default(call_default_factory=True)
    environment = overrides.get("environment") or next(iter(named), default)
    return [*process, *_dotenv(cls, f".env.{environment}", lookups), *common, *secrets]


def _dotenv(cls: type[BaseSettings], path: str, lookups: _Lookups) -> Iterator[_Layer]:
    if not Path(path).is_file():
        return
    for prefix, hidden in lookups:
        try:
            reader = DotEnvSettingsSource(cls, env_file=path, env_prefix=prefix, env_ignore_empty=True)
        except (OSError, UnicodeDecodeError) as error:
            yield _Layer(path, problems=(_unreadable(path, path, error),))
        else:
            yield _layer(path, prefix, reader, hidden)


def _secrets(cls: type[BaseSettings], lookups: _Lookups) -> Iterator[_Layer]:
    chosen = os.environ.get("SECRETS_DIR")
    if chosen and not Path(chosen).is_dir():
        fix = "Create it, name another, or unset SECRETS_DIR."
        yield _Layer("", problems=(Problem("SECRETS_DIR", f"There is no directory {chosen}.", fix, "environment"),))
        return
    for directory in (chosen,) if chosen else tuple(d for d in _SECRETS_DIRECTORIES if Path(d).is_dir())[:1]:
        for prefix, hidden in lookups:
            reader = SecretsSettingsSource(cls, secrets_dir=directory, env_prefix=prefix, env_ignore_empty=True)
            yield _layer(f"secrets ({directory})", prefix, reader, hidden)


def _layer(
    source: str, prefix: str, reader: EnvSettingsSource | SecretsSettingsSource, hidden: frozenset[str]
) -> _Layer:
    # A secrets directory is mounted for this and other programs alike, so its file names prove nothing.
    names = () if isinstance(reader, SecretsSettingsSource) else tuple(reader.env_vars)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    try:
        values = reader()
    except SettingsError:
        # One value that cannot be decoded fails a whole source; the others are read all the same.
        values, problems = _one_by_one(source, prefix, reader)
    counted = {k: v for k, v in values.items() if k in reader.settings_cls.model_fields and k not in hidden}
    return _Layer(source, prefix, counted, names, tuple(problems))


def _one_by_one(
    source: str, prefix: str, reader: EnvSettingsSource | SecretsSettingsSource
) -> tuple[dict[str, Any], list[Problem]]:
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, info in reader.settings_cls.model_fields.items():
        try:
            value, _, structured = reader.get_field_value(info, name)
        except (OSError, UnicodeDecodeError) as error:
            problems.append(_unreadable((prefix + name).upper(), source, error))
            continue
        # What is not JSON is handed on as it stands; validation says what it should have been.
        with suppress(ValueError):
            value = reader.prepare_field_value(name, info, value, structured)
        if value is not None:
            values[name] = value
    return values, problems


def _unreadable(key: str, source: str, error: OSError | UnicodeDecodeError) -> Problem:
    # The error's own text would show a piece of what may be a secret.
    reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
    return Problem(key, f"It cannot be read: {reason}.", "Make it a readable text file in UTF-8.", source)


def _canonical(name: str, prefix: str, prefixed_only: frozenset[str]) -> str:
    return (prefix + name if name in prefixed_only else name).upper()


def _known_names(cls: type[BaseSettings], prefix: str, prefixed_only: frozenset[str]) -> frozenset[str]:
    bare = {name.upper() for name in cls.model_fields if name not in prefixed_only}
    return frozenset(bare | {(prefix + name).upper() for name in cls.model_fields} | _NO_SETTINGS)


def _unknown(layer: _Layer, prefix: str, known: frozenset[str]) -> Iterator[Problem]:
    """Names that look meant for us and are not: a setting that is silently not read is worse than a refusal to start.

    With our prefix every unknown name counts. Without it a file may hold other programs' variables, so only a near
    miss of a known name does; the process environment belongs to everybody, so there a near miss is none of our
    business.
    """
    for name in (raw.upper() for raw in layer.names):
        if name in known:
            continue
        ours = bool(prefix) and name.startswith(prefix.upper())
        near = get_close_matches(name, known, n=1, cutoff=0.6 if ours else 0.85)
        if ours or (near and layer.source != "environment"):
            suggestion = f"Did you mean {near[0]}?" if near else "Remove it, or add the field to the settings class."
            yield Problem(name, "No setting has this name, so it would be ignored.", suggestion, layer.source)
