"""Whether row-level security holds for the role that the service connects as; looked at when it starts."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, MetaData, text

from mainspring.kernel import Registry, Resource
from mainspring.observability import get_logger
from mainspring.settings import Settings

from ._base import Base
from ._database import Database
from ._tenancy import POLICY, tenant_models

_log = get_logger(__name__)

_ROLE = text("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
_HELD = text(
    "SELECT EXISTS (SELECT FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid WHERE pg_class.oid = to_regclass(:name)"
    " AND polname = :policy AND relrowsecurity AND relforcerowsecurity)"
)


@dataclass(frozen=True, slots=True)
class RowLevelSecurity:
    """What stands behind the sessions' own narrowing.

    Attributes:
        gaps: What keeps it from holding, in sentences; none where it holds.
    """

    gaps: tuple[str, ...]


def row_level_security_resource(settings: Settings, *, metadata: MetaData | None = None) -> Resource[RowLevelSecurity]:
    """Looks at start whether every `TenantScoped` model's table has its policy, and whether the role is held by it:
    superusers are not. In production a gap stops the boot, elsewhere it is a warning in the log.

    Args:
        settings: The service's settings.
        metadata: Whose models; that of `Base` by default.
    """

    async def make(registry: Registry) -> RowLevelSecurity:
        async with registry.get(Database).read() as session:
            connection = await session.connection()
            gaps = await connection.run_sync(lambda plain: tuple(_gaps(plain, metadata or Base.metadata)))
        if gaps and settings.is_production:
            raise RuntimeError(" ".join(gaps))
        for gap in gaps:
            _log.warning("Row-level security does not hold", gap=gap)
        return RowLevelSecurity(gaps)

    return Resource(
        provides=RowLevelSecurity,
        name="row-level-security",
        make=make,
        needs=(Database,),
        advice="Connect as a role that is no superuser, and call enable_row_level_security in a migration.",
    )


def _gaps(connection: Connection, metadata: MetaData) -> Iterator[str]:
    if connection.dialect.name != "postgresql":
        yield "Row-level security is PostgreSQL's; this database has none."
        return
    role = connection.execute(_ROLE).one()
    if role.rolsuper or role.rolbypassrls:
        kind = "a superuser" if role.rolsuper else "a role with BYPASSRLS"
        yield f"{role.rolname} is {kind}, whom no policy holds."
    for model in tenant_models(metadata):
        name = connection.dialect.identifier_preparer.format_table(model.__table__)
        if not connection.scalar(_HELD, {"name": name, "policy": POLICY}):
            yield f"The table {name} has no policy."
