"""What a feature hands to the application."""

from dataclasses import dataclass
from typing import Any

from ._resource import Resource


@dataclass(frozen=True, slots=True)
class Migrations:
    """Where a module keeps its schema history.

    Attributes:
        package: Importable package holding the revision files, e.g. `"shop.catalog.migrations"`.
        models: Package whose mapped classes this history owns, e.g. `"shop.catalog"`; autogenerate looks at no
            other tables.
    """

    package: str
    models: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One feature, as a value: what it brings to the application, built explicitly.

    Nothing registers itself on import; what is not in a module handed to `create_app` does not exist at run time.

    Attributes:
        name: Unique within the application; also the label of its schema history.
        summary: One line for `mainspring explain` and the API description.
        routers: `fastapi.APIRouter` objects mounted under the API prefix (`/api/v1`).
        pages: `fastapi.APIRouter` objects mounted at the root: pages and files for browsers.
        resources: Infrastructure it needs, started and closed with the application.
        migrations: Its schema history, if it has tables.
        settings: The settings section that must be part of the application's settings class.
        errors: The error classes it can answer with, for the error catalogue.
    """

    name: str
    summary: str = ""
    routers: tuple[Any, ...] = ()
    pages: tuple[Any, ...] = ()
    resources: tuple[Resource[Any], ...] = ()
    migrations: Migrations | None = None
    settings: type[Any] | None = None
    errors: tuple[type[Exception], ...] = ()
