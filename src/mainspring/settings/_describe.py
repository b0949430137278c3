"""What each setting means, read from the class itself: for `.env.example` and the reference."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel, SecretStr

from ._settings import Settings


@dataclass(frozen=True, slots=True)
class SettingDescription:
    """One setting of a class.

    Attributes:
        name: The field.
        key: The name it is set by.
        default: As it would be written; empty for secrets and where there is none.
        required: Whether it has no default.
        meaning: The text that stands under the field in the class, on one line.
    """

    name: str
    key: str
    default: str
    required: bool
    meaning: str


def describe_settings(cls: type[Settings]) -> list[SettingDescription]:
    """Every setting of a class, in the order of declaration."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Settings) and base is not BaseModel:
            texts |= dict(_texts(base))
    return [_described(cls, name, texts.get(name, "")) for name in cls.model_fields]


def _described(cls: type[Settings], name: str, meaning: str) -> SettingDescription:
    field = cls.model_fields[name]
    prefix = str(cls.model_config.get("env_prefix", "")) if name in cls.prefixed_only else ""
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return SettingDescription(name, (prefix + name).upper(), _written(default), field.is_required(), meaning)


def _written(value: object) -> str:
    if value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _texts(cls: type) -> Iterator[tuple[str, str]]:
    # Python keeps no docstrings of attributes; the source does.
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return
    assert isinstance(definition, ast.ClassDef)
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                yield name, " ".join(text.split())
