"""Row-level security in migrations: PostgreSQL itself keeps to the tenant, for statements that no guard can see too."""

from alembic import op
from sqlalchemy import Connection, text

from ._scope import ACROSS_SETTING, TENANT_SETTING

POLICY = "mainspring_tenant"
"""The name of the policy on each table."""

# After a transaction that has told a setting, it is empty and not NULL; both compare with no row.
_OWN = (
    f"tenant_id = nullif(current_setting('{TENANT_SETTING}', true), '')::uuid"
    f" OR current_setting('{ACROSS_SETTING}', true) = 'on'"
)


def enable_row_level_security(table: str) -> None:
    """Let PostgreSQL show and take only rows of the tenant that a transaction was told, in a migration; its opposite,
    for `downgrade`, is `disable_row_level_security`. On SQLite it does nothing.

    It holds for the owner of the table too. A transaction that was told nothing sees no row and can add none: sessions
    tell it with `row_level_security=True`, and so must every other client.

    The traps: superusers and roles with BYPASSRLS are not held by it (`row_level_security_gaps` finds them), and later
    migrations that change rows of the table see none unless they say
    `SELECT set_config('mainspring.across_tenants', 'on', true)` first.

    Args:
        table: Its name, with the schema if need be. It has a column `tenant_id`.
    """
    if _is_postgresql():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY {POLICY} ON {table} USING ({_OWN}) WITH CHECK ({_OWN})")


def disable_row_level_security(table: str) -> None:
    """Undo `enable_row_level_security`."""
    if _is_postgresql():
        op.execute(f"DROP POLICY {POLICY} ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


def row_level_security_gaps(connection: Connection, tables: list[str]) -> list[str]:
    """What keeps row-level security from holding on this connection, in sentences; none on a sound database.

    Args:
        connection: Connected as the role that the service uses.
        tables: Names of the tables that should have it.
    """
    if connection.dialect.name != "postgresql":
        return ["Row-level security is PostgreSQL's; this database has none."]
    role = connection.execute(_ROLE).one()
    gaps = []
    if role.rolsuper or role.rolbypassrls:
        kind = "a superuser" if role.rolsuper else "a role with BYPASSRLS"
        gaps.append(f"The role {role.rolname} is {kind}, whom no policy holds. Connect as an ordinary role.")
    held = set(connection.execute(_HELD, {"policy": POLICY}).scalars())
    gaps += [
        f"The table {table} has no policy. Call enable_row_level_security." for table in tables if table not in held
    ]
    return gaps


_ROLE = text("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
_HELD = text(
    "SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid"
    " WHERE polname = :policy AND relrowsecurity AND relforcerowsecurity AND pg_table_is_visible(pg_class.oid)"
)


def _is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"
