"""Typed settings, read once at start: where each value came from, and what production refuses."""

from ._describe import SettingDescription, describe_settings
from ._fields import CommaSeparated, ConnectionUrl, masked
from ._inspect import SettingLine, SettingsReport, inspect_settings
from ._problems import BootError, Problem
from ._settings import DEVELOPMENT_SECRET_KEY, Environment, Settings
from ._sources import Origin

__all__ = [
    "DEVELOPMENT_SECRET_KEY",
    "BootError",
    "CommaSeparated",
    "ConnectionUrl",
    "Environment",
    "Origin",
    "Problem",
    "SettingDescription",
    "SettingLine",
    "Settings",
    "SettingsReport",
    "describe_settings",
    "inspect_settings",
    "masked",
]
