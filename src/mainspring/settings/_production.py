"""What production refuses, each with its fix."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ._problems import Problem

if TYPE_CHECKING:
    from ._settings import Settings

_SECRET_LENGTH = 32
_PLACEHOLDERS = (
    "changeme",
    "changethis",
    "change-me",
    "secret",
    "placeholder",
    "example",
    "development",
    "your-",
    "xxx",
)
_MAKE_SECRET = "Set SECRET_KEY to a random value: `mainspring config secret` prints one."  # noqa: S105 -- an instruction

_MAKE_TOKEN = "Set OPERATIONS_TOKEN to a random value: `mainspring config secret` prints one."  # noqa: S105 -- as above


def refusals(settings: "Settings") -> Iterator[Problem]:
    """Everything that this environment refuses, waivers considered."""
    yield from _everywhere(settings)
    if settings.is_production:
        yield from _secrets(settings)
        yield from _exposure(settings)
        yield from _database(settings)


def _everywhere(settings: "Settings") -> Iterator[Problem]:
    yield from _connections(settings)
    if settings.cors_credentials and "*" in settings.allowed_origins:
        yield _problem(
            settings,
            "allowed_origins",
            "`*` together with CORS credentials lets every website act as the signed-in user.",
            "Name the origins, or set CORS_CREDENTIALS=false.",
        )
    if settings.metrics_port and settings.metrics_port == settings.port:
        yield _problem(
            settings, "metrics_port", "It is the port of the service itself.", "Choose another METRICS_PORT."
        )


def _connections(settings: "Settings") -> Iterator[Problem]:
    processes = settings.server_processes[0] * settings.instances
    # Two, because a request may read and write at the same time.
    if settings.database_connections is not None and settings.database_connections < 2 * processes:
        yield _problem(
            settings,
            "database_connections",
            f"{settings.database_connections} connections are too few for {processes} processes that need two each.",
            "Raise DATABASE_CONNECTIONS, lower WORKERS or INSTANCES, or put a pooler between.",
        )


def _secrets(settings: "Settings") -> Iterator[Problem]:
    if settings.origin("secret_key").source == "default":
        yield _problem(settings, "secret_key", "It is not set; the default is public.", _MAKE_SECRET)
    else:
        yield from _weakness(settings, "secret_key", settings.secret_key.get_secret_value(), _MAKE_SECRET)
    if settings.operations_token is not None:
        token = settings.operations_token.get_secret_value()
        yield from _weakness(settings, "operations_token", token, _MAKE_TOKEN)


def _weakness(settings: "Settings", name: str, secret: str, fix: str) -> Iterator[Problem]:
    if any(word in secret.lower() for word in _PLACEHOLDERS) or len(set(secret)) < _SECRET_LENGTH // 4:
        yield _problem(settings, name, "It looks like a placeholder.", fix)
    elif len(secret) < _SECRET_LENGTH:
        yield _problem(settings, name, f"It has {len(secret)} characters of at least 32.", fix)


def _exposure(settings: "Settings") -> Iterator[Problem]:
    if settings.debug:
        yield _problem(settings, "debug", "Debug answers show source code and values.", "Set DEBUG=false.")
    if settings.docs_enabled and "docs" not in settings.allow_in_production:
        yield _problem(
            settings,
            "enable_docs",
            "The API description would be public.",
            "Unset ENABLE_DOCS (`mainspring openapi` writes the document), or waive: ALLOW_IN_PRODUCTION=docs.",
        )
    if "*" in settings.allowed_hosts and "any-host" not in settings.allow_in_production:
        yield _problem(
            settings,
            "allowed_hosts",
            "Any Host header would be believed, also in links that the service sends.",
            "Set ALLOWED_HOSTS=api.example.com, or waive: ALLOW_IN_PRODUCTION=any-host.",
        )
    if "*" in settings.trusted_proxies:
        yield _problem(
            settings,
            "trusted_proxies",
            "Believing everybody's X-Forwarded-For lets anybody forge an address.",
            "Name your proxies' addresses or networks: TRUSTED_PROXIES=10.0.0.0/8.",
        )


def _database(settings: "Settings") -> Iterator[Problem]:
    if settings.origin("database_url").source == "default":
        yield _problem(
            settings,
            "database_url",
            "It is not set; the embedded default is for development.",
            "Set DATABASE_URL=postgresql://user:password@host/name, or name a SQLite file on a durable disk.",
        )
    elif (
        (settings.workers or 1) > 1
        and settings.database_url.startswith("sqlite")
        and "sqlite-workers" not in settings.allow_in_production
    ):
        yield _problem(
            settings,
            "workers",
            f"{settings.workers} processes would share one SQLite file, which takes one writer at a time.",
            "Use PostgreSQL, or one worker, or waive: ALLOW_IN_PRODUCTION=sqlite-workers.",
        )


def _problem(settings: "Settings", name: str, message: str, fix: str) -> Problem:
    origin = settings.origin(name)
    return Problem(origin.key, message, fix, origin.source)
