"""Which changes of a column's type need no rewrite of its table."""

import re

_SPANS = {"timestamp", "timestamptz", "time", "timetz", "interval"}
_MOST = 6


def needs_rewrite(old: str, new: str, *, indexed: bool = False) -> bool:
    """Whether changing a column from one type to another reads or writes its rows; what is unknown does.

    Mainspring's connections have UTC as their time zone, so a timestamp becomes a timestamptz without a rewrite.
    """
    if not old:
        return True
    (before, had), (after, has) = _split(old), _split(new)
    if before == after == "":
        return True
    if before in {"varchar", "text"} and after in {"varchar", "text"}:
        return _narrower(had, has) if after == "varchar" else False
    if {before, after} <= {"citext", "text", "varchar"} and not has:
        return indexed
    if before == after == "numeric":
        return bool(has) and (not had or has[0] < had[0] or has[1:] != had[1:])
    if {before, after} == {"timestamp", "timestamptz"} or (before == after and before in _SPANS):
        return (has or (_MOST,)) < (had or (_MOST,))
    if before == after in {"varbit", "bit varying"}:
        return _narrower(had, has)
    return not (before == after and had == has) and (before, after) != ("cidr", "inet")


def _narrower(had: tuple[int, ...], has: tuple[int, ...]) -> bool:
    return bool(has) and (not had or has < had)


def _split(kind: str) -> tuple[str, tuple[int, ...]]:
    found = re.fullmatch(r'"?([a-z_ ]+?)"?\s*(?:\(([\d, ]+)\))?((?: with(?:out)? time zone)?)', kind.strip().lower())
    if not found:
        return kind, ()
    name = {"character varying": "varchar", "decimal": "numeric", "integer": "int"}.get(found[1], found[1])
    if found[3] == " with time zone" or name.endswith(" with time zone"):
        name = name.removesuffix(" with time zone") + "tz"
    name = name.removesuffix(" without time zone")
    return name, tuple(int(part) for part in found[2].split(",")) if found[2] else ()
