"""The settings every service has."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, ClassVar, Literal, override

from pydantic import Field, PrivateAttr, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ._cores import usable_cores
from ._fields import CommaSeparated, ConnectionUrl
from ._problems import BootError, Problem
from ._production import refusals
from ._sources import Origin, Reading, read

type Environment = Literal["development", "test", "staging", "production"]

DEVELOPMENT_SECRET_KEY = "development-only-secret-key-refused-in-production"  # noqa: S105 -- it is public on purpose
"""Signs tokens until `SECRET_KEY` is set; refused in staging and production."""


class Settings(BaseSettings):
    """Frozen, typed, read once; a service subclasses it and adds its own fields.

    `Settings()` reads the environment, `.env.<environment>`, `.env` and a secrets directory. Give a subclass its own
    prefix with `model_config = SettingsConfigDict(env_prefix="SHOP_")`: `SHOP_DATABASE_URL` then wins over
    `DATABASE_URL`, and an unknown `SHOP_…` is an error instead of a silent default.

    Raises:
        BootError: A value is missing or malformed, a name is unknown, or production refuses the configuration. One
            report lists all of it.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="MAINSPRING_", validate_default=True, hide_input_in_errors=True
    )

    prefixed_only: ClassVar[frozenset[str]] = frozenset({"host", "workers"})
    """Fields whose plain name (`HOST`) other programs set for reasons of their own; only the prefixed name counts."""

    environment: Environment = "development"
    """Where the service runs; decides log format, docs, and what is refused."""
    debug: bool = False
    """Tracebacks in answers. Refused in staging and production."""
    secret_key: SecretStr = SecretStr(DEVELOPMENT_SECRET_KEY)
    """Signs tokens and cursors. At least 32 characters; `mainspring config secret` makes one."""

    api_prefix: str = "/api/v1"
    """Where modules' routers are mounted."""
    error_format: Literal["problem", "envelope"] = "problem"
    """`problem` is RFC 9457 `application/problem+json`; `envelope` is `{"success": false, "error": {…}}`."""
    enable_docs: bool | None = None
    """Serve `/docs` and `/openapi.json`. Unset means: outside production only."""

    host: str = "127.0.0.1"
    """Address to listen on. Loopback by default: opening a port to the network is a decision."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 picks a free one."""
    workers: int | None = Field(default=None, ge=1, le=512)
    """Server processes of `mainspring serve`. Unset means: in staging and production one per core that the container
    may use, and one elsewhere and on SQLite, which takes one writer at a time."""
    worker_max_requests: int = Field(default=0, ge=0)
    """Requests after which a worker is replaced, give or take a tenth, so that not all are at once. 0 for never, the
    default: it is a crutch for a library that leaks, and throws warm caches away. The new one is ready before the old
    one lets go."""
    worker_max_lifetime: float = Field(default=0, ge=0)
    """Seconds after which a worker is replaced, give or take a tenth. 0 for never, the default."""
    worker_timeout: float = Field(default=60, ge=0)
    """Seconds that a worker's event loop may stand still before the worker is killed and replaced; 0 for ever. 60 by
    default: every request of the worker has missed its deadline by then."""
    drain_grace_seconds: float | None = Field(default=None, ge=0, le=3600)
    """Seconds after SIGTERM in which requests are still accepted, while readiness answers 503 and clients are told to
    move over. Unset means: 5 in staging and production, which is what load balancers take to notice, and 0 elsewhere."""
    drain_timeout_seconds: float = Field(default=20, ge=0, le=3600)
    """Seconds that requests in flight get after that; then they are cancelled. 20 by default: with 5 of grace and 4 for
    closing what is left, the service ends before the 30 seconds are over that orchestrators grant."""
    allowed_hosts: CommaSeparated = ("*",)
    """Host headers that are answered; `*.example.com` matches subdomains. Production wants them named."""
    allowed_origins: CommaSeparated = ()
    """Origins whose pages may call the API (CORS). None by default: same origin only."""
    cors_credentials: bool = False
    """Let those pages send cookies. Never together with `*`."""
    trusted_proxies: CommaSeparated = ()
    """Addresses or networks of proxies whose forwarding headers are believed. None by default: believing a stranger's
    header lets anybody forge an address."""
    forwarding_header: Literal["x-forwarded", "forwarded"] = "x-forwarded"
    """Which of them the proxies write: `X-Forwarded-For` and `-Proto`, or RFC 7239's `Forwarded`. The other kind is
    ignored, because proxies pass on what a client has written there."""
    compress_responses: bool | None = None
    """Compress responses for clients that take it, except event streams. Unset means: when no trusted proxy is named,
    since that would do it."""
    max_body_bytes: int = Field(default=10 * 1024 * 1024, ge=0)
    """Largest request body, in bytes. 10 MiB by default."""
    request_timeout: float = Field(default=60.0, ge=0)
    """Seconds from a request's arrival to the start of its response; then the answer is 504 and the work is cancelled.
    0 for no limit. 60 is what proxies wait by default; a route sets its own with `mainspring.http.deadline`."""

    database_url: ConnectionUrl = "sqlite:///.mainspring/data.db"
    """`sqlite:///path` or `postgresql://user:password@host/name`; the driver is chosen for you."""
    database_replica_url: ConnectionUrl = ""
    """A PostgreSQL replica for read sessions. Unset, the database itself is read."""
    database_sticky_seconds: float = Field(default=5.0, ge=0, le=3600)
    """With a replica: how long a client that has written reads from the database itself. A little more than the replica
    is usually behind."""
    database_pool_size: int | None = Field(default=None, ge=1, le=1000)
    """Connections kept open per process, and to a replica as many. Unset means: a share of `DATABASE_CONNECTIONS`, or
    10."""
    database_connections: int | None = Field(default=None, ge=1, le=100_000)
    """Connections that this service may hold in all, over its instances and their workers; each process gets an equal
    share. PostgreSQL allows 100 by default, those of migrations and people included."""
    instances: int = Field(default=1, ge=1, le=10_000)
    """How many machines or pods run this service at most. Only for sharing out `DATABASE_CONNECTIONS`; during a rolling
    deployment there is one more."""
    database_pool_timeout: float = Field(default=5.0, gt=0)
    """Seconds to wait for a free connection before answering 503."""
    database_statement_timeout: float = Field(default=60.0, ge=0)
    """Seconds that one statement may take on PostgreSQL; then the answer is 504. 0 for no limit. 60, as long as a request
    may take by default: what nobody waits for any more should not run on."""
    database_lock_timeout: float = Field(default=10.0, ge=0)
    """Seconds that a statement waits for a lock on PostgreSQL; then the answer is 409. 0 for no limit."""
    database_idle_timeout: float = Field(default=60.0, ge=0)
    """Seconds that a transaction may stand idle on PostgreSQL before its connection is closed: a forgotten one keeps
    locks and holds back vacuum. 0 for no limit."""
    database_behind_pooler: bool = False
    """Whether a pooler that hands out connections by transaction stands before PostgreSQL (PgBouncer's `pool_mode =
    transaction`)."""
    migrate_on_start: bool | None = None
    """Apply pending migrations at start. Unset means: outside staging and production, where pending ones stop the
    boot instead."""
    migration_lock_timeout: float = Field(default=3.0, gt=0)
    """Seconds that a migration waits for a lock on PostgreSQL. Others that want the table wait behind it, so this is the
    longest stall it causes; then it is tried again."""
    migration_statement_timeout: float = Field(default=3600.0, ge=0)
    """Seconds that one statement of a migration may take on PostgreSQL. 0 for no limit."""
    migration_retries: int = Field(default=10, ge=0, le=1000)
    """How often a migration that did not get its lock is tried again, after pauses that grow to 30 seconds."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    """Least severe level that is written."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto` is `console` on a terminal in development and `json` otherwise."""

    metrics_enabled: bool | None = None
    """Count requests for Prometheus and serve `/metrics`. Unset means: when prometheus-client is installed."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """A port of its own for scrapes, without a token: keep it from strangers. Unset means none; 0 picks a free one,
    which the log names. It answers for all workers, also while an event loop is stuck."""
    metrics_host: str = "127.0.0.1"
    """Address of that port. Loopback by default, as for `HOST`."""
    operations_token: SecretStr | None = None
    """What operators send as a bearer token, for `/metrics` and `/operations/log-level`. At least 32 characters. Unset
    means that these answer to this machine only, and in production to nobody."""
    slow_loop_seconds: float = Field(default=0.5, ge=0, le=60)
    """How long one call may block the event loop before the log names it, with its stack; 0 for never. Half of the
    second that a health check commonly waits, and more than a start or a garbage collection takes."""
    otel_exporter_otlp_endpoint: ConnectionUrl = ""
    """Where spans are sent, by OTLP over HTTP: `http://collector:4318`. Unset, nothing is traced. Needs
    `mainspring[otel]`. The SDK's other variables (`OTEL_EXPORTER_OTLP_TIMEOUT`, `OTEL_BSP_…`) count as it documents them,
    in the process environment only."""
    otel_exporter_otlp_headers: SecretStr = SecretStr("")
    """Sent to it along with the spans: `authorization=Bearer …,x-team=shop`."""
    otel_traces_sampler_arg: float = Field(default=1.0, ge=0, le=1)
    """Share of the traces begun here that are recorded. A caller that has decided (`traceparent`) is followed."""
    otel_sdk_disabled: bool = False
    """Trace nothing, whatever the endpoint."""
    sentry_dsn: SecretStr = SecretStr("")
    """Where defects are reported, by Sentry's protocol. Unset, nowhere. Needs `mainspring[sentry]`."""

    allow_in_production: CommaSeparated = ()
    """Refusals waived on purpose, by name: `docs`, `sqlite-workers`, `any-host`, and those of modules
    (`caught-mail`, `scripted-ai`). Secrets cannot be waived."""

    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)

    def __init__(self, **overrides: Any) -> None:
        reading = read(type(self), overrides, prefixed_only=self.prefixed_only)
        problems = list(reading.problems)
        try:
            super().__init__(**reading.values)
        except ValidationError as error:
            problems += _problems(error, reading)
            problems += _partial_refusals(type(self), reading, error)
            raise BootError(problems) from None
        self._origins = reading.origins
        problems += self.refusals()
        if problems:
            raise BootError(problems)

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the values handed to the constructor: `__init__` has read the sources already, with their origins."""
        return (init_settings,)

    @property
    def is_production(self) -> bool:
        """Whether strangers may be on the other side: production and its rehearsal, staging."""
        return self.environment in {"staging", "production"}

    @property
    def docs_enabled(self) -> bool:
        """Whether `/docs` and `/openapi.json` are served."""
        return self.enable_docs if self.enable_docs is not None else not self.is_production

    @property
    def compresses_responses(self) -> bool:
        """Whether responses are compressed here."""
        return self.compress_responses if self.compress_responses is not None else not self.trusted_proxies

    @property
    def migrates_on_start(self) -> bool:
        """Whether pending migrations are applied at start instead of stopping the boot."""
        return self.migrate_on_start if self.migrate_on_start is not None else not self.is_production

    @property
    def server_processes(self) -> tuple[int, str]:
        """How many processes `mainspring serve` runs, and why."""
        if self.workers is not None:
            return self.workers, self.origin("workers").key
        if not self.is_production:
            return 1, f"ENVIRONMENT={self.environment}"
        if self.database_url.startswith("sqlite"):
            return 1, "SQLite takes one writer at a time"
        return usable_cores()

    @property
    def connections_per_process(self) -> tuple[int, str]:
        """How many database connections a process keeps, and why.

        A share is at most 2 per core and 32: more do not make PostgreSQL quicker, and idle ones cost it memory.
        """
        if self.database_pool_size is not None:
            return self.database_pool_size, self.origin("database_pool_size").key
        if self.database_connections is None:
            return 10, "default"
        processes = self.server_processes[0] * self.instances
        share = self.database_connections // processes
        most = max(2, min(32, 2 * usable_cores()[0]))
        return max(2, min(share, most)), f"{self.database_connections} for {processes} processes"

    @property
    def drain_grace(self) -> float:
        """Seconds in which requests are still accepted after SIGTERM."""
        if self.drain_grace_seconds is not None:
            return self.drain_grace_seconds
        return 5.0 if self.is_production else 0.0

    def origin(self, name: str) -> Origin:
        """Where the value of a field came from."""
        return self._origins.get(name) or Origin(name.upper(), "default")

    def refusals(self) -> Iterable[Problem]:
        """What may not be in this environment. A subclass adds its own: `yield from super().refusals()`, then more."""
        return refusals(self)


def _problems(error: ValidationError, reading: Reading) -> Iterator[Problem]:
    for detail in error.errors(include_input=False, include_url=False):
        name = str(detail["loc"][0]) if detail["loc"] else "settings"
        origin = reading.origins.get(name) or Origin(name.upper(), "code")
        yield Problem(
            origin.key, detail["msg"], _fix(detail["type"], origin.key, reading.values.get(name)), origin.source
        )


def _fix(kind: str, key: str, given: object) -> str:
    if kind == "missing":
        return f"Set {key}."
    if kind == "extra_forbidden":
        return "Remove the argument, or add the field to the settings class."
    # A list or an object that is still text could not be decoded.
    undecoded = kind.endswith("_type") and isinstance(given, str)
    return f"Write {key} as JSON." if undecoded else f"Give {key} a valid value."


def _partial_refusals(cls: type[Settings], reading: Reading, error: ValidationError) -> Iterator[Problem]:
    """What production would refuse of the settings as far as they are sound, so that one report can say that too."""
    bad = {str(detail["loc"][0]) for detail in error.errors(include_url=False) if detail["loc"]}
    sound: dict[str, Any] = dict.fromkeys(cls.model_fields.keys() & bad)
    for name in (reading.values.keys() & cls.model_fields.keys()) - bad:
        adapter: TypeAdapter[Any] = TypeAdapter(cls.model_fields[name].rebuild_annotation())
        try:
            sound[name] = adapter.validate_python(reading.values[name])
        except ValidationError:
            # A validator of the class makes it sound, and the class cannot be asked about one field.
            sound[name] = None
    partial = cls.model_construct(**sound)
    partial._origins = reading.origins  # noqa: SLF001 -- our own private attribute
    # A service's own checks may trip over the values that are missing; the report goes out all the same.
    with suppress(Exception):
        yield from partial.refusals()
