# ruff: noqa: S608 -- the queries are made of constants
"""A database's schema as lines that can be compared: what is there, whatever order it was made in."""

from sqlalchemy import Connection, inspect

from ._digests import DIGESTS

# The last one is SQLite's own, and stays once any table had AUTOINCREMENT.
_OURS = ("alembic_version", DIGESTS, "sqlite_sequence")
_OWN = "n.nspname !~ '^(pg_|information_schema$)'"
# What belongs to an extension comes and goes with it.
_FREE = "NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.objid = {}.oid AND e.deptype = 'e')"
_POSTGRESQL = (
    f"""SELECT 'table ' || c.oid::regclass || ' ' || c.relkind::text || c.relpersistence::text FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'S', 'm', 'v') AND {_OWN}
        AND {_FREE.format("c")}""",
    f"""SELECT 'column ' || c.oid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END || ' ' || a.attidentity::text || a.attgenerated::text
        || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm', 'v') AND {_OWN} AND {_FREE.format("c")}""",
    f"""SELECT 'constraint ' || CASE WHEN k.conrelid <> 0 THEN k.conrelid::regclass::text ELSE k.contypid::regtype::text END
        || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid) FROM pg_constraint k
        JOIN pg_namespace n ON n.oid = k.connamespace WHERE {_OWN} AND {_FREE.format("k")}""",
    f"""SELECT pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' invalid' END FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OWN}""",
    f"""SELECT 'enum ' || t.oid::regtype || ' ' || string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_type t
        JOIN pg_enum e ON e.enumtypid = t.oid JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {_OWN} GROUP BY t.oid""",
    f"""SELECT 'domain ' || t.oid::regtype || ' ' || format_type(t.typbasetype, t.typtypmod) FROM pg_type t
        JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'd' AND {_OWN}""",
    f"""SELECT 'view ' || c.oid::regclass || ' ' || pg_get_viewdef(c.oid) FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND {_OWN} AND {_FREE.format("c")}""",
    f"""SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.prokind IN ('f', 'p') AND {_OWN} AND {_FREE.format("p")}""",
    f"""SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND {_OWN}""",
    f"""SELECT 'policy ' || p.polrelid::regclass || ' ' || p.polname || ' ' || p.polcmd::text || coalesce(pg_get_expr(p.polqual, p.polrelid), '')
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OWN}""",
    f"SELECT 'schema ' || n.nspname FROM pg_namespace n WHERE {_OWN}",
    "SELECT 'extension ' || extname FROM pg_extension",
)  # fmt: skip


# Not the text of the statements: a table that was altered by copying it has another one and is the same.
_SQLITE = (
    """SELECT 'column ' || t.name || '.' || c.name || ' ' || c.type || iif(c."notnull", ' not null', '') || iif(c.pk, ' key', '')
       || coalesce(' default ' || c.dflt_value, '') FROM sqlite_master t, pragma_table_xinfo(t.name) c""",
    """SELECT 'index ' || t.name || ' ' || iif(i.origin = 'c', i.name, i.origin) || iif(i."unique", ' unique', '') || ' ('
       || (SELECT group_concat(coalesce(x.name, '?')) FROM pragma_index_info(i.name) x) || ')'
       FROM sqlite_master t, pragma_index_list(t.name) i WHERE t.type = 'table'""",
    """SELECT 'foreign key ' || t.name || '.' || f."from" || ' ' || f."table" || '.' || coalesce(f."to", '') || ' '
       || f.on_delete || ' ' || f.on_update FROM sqlite_master t, pragma_foreign_key_list(t.name) f""",
    "SELECT type || ' ' || name || ' ' || sql FROM sqlite_master WHERE type IN ('view', 'trigger')",
)


def schema(connection: Connection) -> frozenset[str]:
    """One line for everything that migrations make, without what is kept about them."""
    sqlite = connection.dialect.name == "sqlite"
    found = [
        " ".join(str(line).split())
        for query in (_SQLITE if sqlite else _POSTGRESQL)
        for (line,) in connection.exec_driver_sql(query)
    ]
    if sqlite:
        inspector = inspect(connection)
        for table in inspector.get_table_names():
            found += [f"check {table} {one['name']} {one['sqltext']}" for one in inspector.get_check_constraints(table)]
    return frozenset(line for line in found if not any(name in line for name in _OURS))


def changes(before: frozenset[str], after: frozenset[str]) -> list[str]:
    """What is gone and what is new, one line each."""
    return [f"- {line}" for line in sorted(before - after)] + [f"+ {line}" for line in sorted(after - before)]
