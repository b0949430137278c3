"""Row-level security in migrations: PostgreSQL itself keeps to the tenant, for statements that no guard can see too."""

from alembic import op

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

    The traps: superusers and roles with BYPASSRLS are not held by it (`row_level_security_resource` finds them), and later
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


def _is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"
