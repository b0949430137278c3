"""The schema as the statements seen so far have made it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ._recorded import Statement
from ._sql import Node, dotted, names, qualified, type_name, walk

type Moment = tuple[str, int]
"""A revision and a transaction in it."""


@dataclass(slots=True)
class Column:
    """A column: its type as SQL, and what is known of it."""

    type: str
    not_null: bool = False
    default: bool = False


@dataclass(slots=True)
class Constraint:
    """A constraint of a table; `proves` is the column that it shows to have no NULL."""

    kind: str
    columns: tuple[str, ...]
    valid: bool
    added: Moment
    proves: str | None = None
    node: Node = field(default_factory=dict)


@dataclass(slots=True)
class Index:
    """An index: its table, and its columns as far as they are plain."""

    table: str
    columns: tuple[str, ...]
    unique: bool


@dataclass(slots=True)
class Table:
    """A table, and in which revision it was made."""

    created: str
    partitioned: bool = False
    partitions: list[str] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    constraints: dict[str, Constraint] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)

    def never_null(self, column: str) -> bool:
        """Whether a valid constraint says so."""
        known = self.columns.get(column)
        if known and known.not_null:
            return True
        return any(c.valid and c.proves == column for c in self.constraints.values())

    def unique(self, column: str) -> bool:
        """Whether at most one row has a value of it."""
        keys = [c.columns for c in self.constraints.values() if c.kind in {"CONSTR_PRIMARY", "CONSTR_UNIQUE"}]
        return (column,) in [*keys, *(i.columns for i in self.indexes.values() if i.unique)]


class Catalog:
    """Follows statements; knows nothing that was made outside of migrations."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.indexes: dict[str, str] = {}
        self.enums: dict[str, Moment] = {}
        self.views: dict[str, str] = {}

    def is_new(self, table: str, revision: str) -> bool:
        """Whether the revision made it, so that nobody else can know it yet."""
        known = self.tables.get(table)
        return known is not None and known.created == revision

    def apply(self, statement: Statement) -> None:
        """Take in what a statement does."""
        follow = _FOLLOWED.get(statement.kind)
        if follow:
            follow(self, statement)

    def add_constraint(self, table: Table, node: Node, moment: Moment, column: str | None = None) -> None:
        """Take in a constraint of a table, or of one column of it."""
        kind = node["contype"]
        columns = tuple(names(node.get("keys") or node.get("fk_attrs")) or ([column] if column else []))
        if kind in {"CONSTR_NOTNULL", "CONSTR_PRIMARY", "CONSTR_IDENTITY"} and not node.get("skip_validation"):
            for name in columns:
                if name in table.columns:
                    table.columns[name].not_null = True
        if kind in {"CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_GENERATED"} and column:
            table.columns[column].default = True
        if kind not in _KEPT:
            return
        index = node.get("indexname")
        if index and index in table.indexes:
            columns = table.indexes[index].columns
        proves = _proved(node) if kind == "CONSTR_CHECK" else columns[0] if kind == "CONSTR_NOTNULL" else None
        name = node.get("conname") or f"{kind}:{','.join(columns)}:{len(table.constraints)}"
        used = tuple(_columns_in(node.get("raw_expr"))) if kind == "CONSTR_CHECK" else columns
        table.constraints[name] = Constraint(kind, used, not node.get("skip_validation"), moment, proves, node)


_KEPT = {
    "CONSTR_CHECK", "CONSTR_FOREIGN", "CONSTR_UNIQUE", "CONSTR_PRIMARY", "CONSTR_EXCLUSION", "CONSTR_NOTNULL",
}  # fmt: skip


def _proved(node: Node) -> str | None:
    test = node.get("raw_expr", {}).get("null_test")
    if not test or test["nulltesttype"] != "IS_NOT_NULL":
        return None
    fields = test["arg"].get("column_ref", {}).get("fields")
    return names(fields)[-1] if fields else None


def _columns_in(node: Node | None) -> list[str]:
    found = [names(r["fields"])[-1] for r in walk(node, "column_ref") if "string" in r["fields"][-1]]
    return list(dict.fromkeys(found))


def columns_of(node: Node) -> tuple[str, ...]:
    """The plain columns of an index, in order; an expression counts as one without a name."""
    return tuple(element["index_elem"].get("name", "") for element in node.get("index_params", ()))


def _create_table(catalog: Catalog, statement: Statement) -> None:
    node = statement.node
    name = qualified(node["relation"])
    if name in catalog.tables and node.get("if_not_exists"):
        return
    table = catalog.tables[name] = Table(statement.revision, partitioned="partspec" in node)
    for parent in node.get("inh_relations", ()):
        known = catalog.tables.get(qualified(parent["range_var"]))
        if known and "partbound" in node:
            known.partitions.append(name)
            table.columns = dict(known.columns)
    for element in node.get("table_elts", ()):
        if "column_def" in element:
            _add_column(catalog, table, element["column_def"], statement.moment)
    for element in node.get("table_elts", ()):
        if "constraint" in element:
            catalog.add_constraint(table, element["constraint"], statement.moment)


def _add_column(catalog: Catalog, table: Table, node: Node, moment: Moment) -> None:
    if node["colname"] in table.columns:
        return
    table.columns[node["colname"]] = Column(type_name(node["type_name"]) if "type_name" in node else "")
    for constraint in node.get("constraints", ()):
        catalog.add_constraint(table, constraint["constraint"], moment, node["colname"])


def _create_as(catalog: Catalog, statement: Statement) -> None:
    catalog.tables.setdefault(qualified(statement.node["into"]["rel"]), Table(statement.revision))


def _alter_table(catalog: Catalog, statement: Statement) -> None:
    table = catalog.tables.get(qualified(statement.node["relation"]))
    if table is None:
        table = catalog.tables[qualified(statement.node["relation"])] = Table("")
    for item in statement.node.get("cmds", ()):
        command = item["alter_table_cmd"]
        follow = _COMMANDS.get(command["subtype"])
        if follow:
            follow(catalog, table, command, statement.moment)


def _drop_column(catalog: Catalog, table: Table, command: Node, _: Moment) -> None:
    table.columns.pop(command["name"], None)
    table.constraints = {n: c for n, c in table.constraints.items() if command["name"] not in c.columns}
    table.indexes = {n: i for n, i in table.indexes.items() if command["name"] not in i.columns}


def _drop_constraint(catalog: Catalog, table: Table, command: Node, _: Moment) -> None:
    table.constraints.pop(command["name"], None)


def _set_type(catalog: Catalog, table: Table, command: Node, _: Moment) -> None:
    kind = type_name(command["def"]["column_def"]["type_name"])
    table.columns.setdefault(command["name"], Column(kind)).type = kind


def _set_null(*, not_null: bool) -> Callable[[Catalog, Table, Node, Moment], None]:
    def follow(catalog: Catalog, table: Table, command: Node, _: Moment) -> None:
        table.columns.setdefault(command["name"], Column("")).not_null = not_null

    return follow


def _set_default(catalog: Catalog, table: Table, command: Node, _: Moment) -> None:
    table.columns.setdefault(command["name"], Column("")).default = "def" in command


def _validate(catalog: Catalog, table: Table, command: Node, _: Moment) -> None:
    constraint = table.constraints.get(command["name"])
    if constraint:
        constraint.valid = True
        if constraint.kind == "CONSTR_NOTNULL" and constraint.proves in table.columns:
            table.columns[constraint.proves].not_null = True


def _attach(catalog: Catalog, table: Table, command: Node, _: Moment) -> None:
    table.partitions.append(qualified(command["def"]["partition_cmd"]["name"]))


def _detach(catalog: Catalog, table: Table, command: Node, _: Moment) -> None:
    name = qualified(command["def"]["partition_cmd"]["name"])
    table.partitions = [one for one in table.partitions if one != name]


def _index(catalog: Catalog, statement: Statement) -> None:
    node = statement.node
    name = qualified(node["relation"])
    table = catalog.tables.setdefault(name, Table(""))
    index = node.get("idxname") or f"index:{name}:{len(table.indexes)}"
    table.indexes[index] = Index(name, columns_of(node), bool(node.get("unique")))
    catalog.indexes[index] = name


def _drop(catalog: Catalog, statement: Statement) -> None:
    for item in statement.node.get("objects", ()):
        parts = names(item["list"]["items"]) if "list" in item else []
        name = dotted(parts)
        if statement.node["remove_type"] == "OBJECT_TABLE":
            catalog.tables.pop(name, None)
        elif statement.node["remove_type"] == "OBJECT_VIEW":
            catalog.views.pop(name, None)
        elif statement.node["remove_type"] == "OBJECT_INDEX":
            table = catalog.tables.get(catalog.indexes.pop(parts[-1], ""))
            if table:
                table.indexes.pop(parts[-1], None)


def _rename(catalog: Catalog, statement: Statement) -> None:
    node = statement.node
    name = qualified(node["relation"]) if "relation" in node else ""
    table = catalog.tables.get(name)
    if table is None:
        return
    if node["rename_type"] == "OBJECT_TABLE":
        catalog.tables[qualified(node["relation"] | {"relname": node["newname"]})] = catalog.tables.pop(name)
    elif node["rename_type"] == "OBJECT_COLUMN" and node["subname"] in table.columns:
        _rename_column(table, node["subname"], node["newname"])
    elif node["rename_type"] == "OBJECT_TABCONSTRAINT" and node["subname"] in table.constraints:
        table.constraints[node["newname"]] = table.constraints.pop(node["subname"])


def _rename_column(table: Table, old: str, new: str) -> None:
    table.columns[new] = table.columns.pop(old)
    for index in table.indexes.values():
        index.columns = tuple(new if column == old else column for column in index.columns)
    for constraint in table.constraints.values():
        constraint.columns = tuple(new if column == old else column for column in constraint.columns)
        if constraint.proves == old:
            constraint.proves = new


def _move(catalog: Catalog, statement: Statement) -> None:
    node = statement.node
    table = catalog.tables.pop(qualified(node["relation"]), None) if node["object_type"] == "OBJECT_TABLE" else None
    if table:
        catalog.tables[qualified(node["relation"] | {"schemaname": node["newschema"]})] = table


def _create_enum(catalog: Catalog, statement: Statement) -> None:
    catalog.enums[names(statement.node["type_name"])[-1]] = statement.moment


def _view(catalog: Catalog, statement: Statement) -> None:
    catalog.views[qualified(statement.node["view"])] = statement.revision


_COMMANDS: dict[str, Callable[[Catalog, Table, Node, Moment], None]] = {
    "AT_AddColumn": lambda catalog, table, command, moment: _add_column(
        catalog, table, command["def"]["column_def"], moment
    ),
    "AT_DropColumn": _drop_column,
    "AT_AlterColumnType": _set_type,
    "AT_SetNotNull": _set_null(not_null=True),
    "AT_DropNotNull": _set_null(not_null=False),
    "AT_ColumnDefault": _set_default,
    "AT_AddConstraint": lambda catalog, table, command, moment: catalog.add_constraint(
        table, command["def"]["constraint"], moment
    ),
    "AT_DropConstraint": _drop_constraint,
    "AT_ValidateConstraint": _validate,
    "AT_AttachPartition": _attach,
    "AT_DetachPartition": _detach,
}
_FOLLOWED: dict[str, Callable[[Catalog, Statement], None]] = {
    "alter_object_schema_stmt": _move,
    "create_stmt": _create_table,
    "create_table_as_stmt": _create_as,
    "alter_table_stmt": _alter_table,
    "index_stmt": _index,
    "drop_stmt": _drop,
    "rename_stmt": _rename,
    "create_enum_stmt": _create_enum,
    "view_stmt": _view,
}
