"""One contract for lists: what a client may filter, sort and search by, declared beside the model and nowhere else."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from inspect import Parameter as Argument
from inspect import Signature
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.dependencies.models import Dependant
from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema
from sqlalchemy import ColumnElement, inspect, or_

from mainspring.errors import FieldError, ValidationFailed
from mainspring.http import Text

from ._base import Base
from ._cursors import CursorCodec, Position
from ._filters import Attribute, Filter, Parameter, value_type
from ._keyset import SortTerm, parsed
from ._planning import is_plain_column

_LONGEST_SEARCH = 200
_LONGEST_CURSOR = 4_096
# Beyond it an OFFSET reads and discards a million rows; whoever needs more walks by cursor.
_LAST_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Template:
    """The filters that a client uses, without their values: what a plan is made from.

    Attributes:
        form: Which ones.
        criteria: Makes the conditions, with placeholders.
        values: What takes their places this time.
        query: The criteria and the order that it was made for. Those of a query that was changed since are others.
    """

    form: Hashable
    criteria: Callable[[], Sequence[ColumnElement[bool]]]
    values: Mapping[str, Any]
    query: tuple[Sequence[ColumnElement[bool]], Sequence[SortTerm]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery[M: Base]:
    """What a client asked a list for, parsed and within what the list declares.

    Attributes:
        criteria: All of them have to hold.
        terms: The order, the primary key at its end, so that it leaves nothing to chance.
        page_size: Rows at most.
        template: The same criteria without their values; None where the text of the statement depends on them.
    """

    criteria: Sequence[ColumnElement[bool]]
    terms: Sequence[SortTerm]
    page_size: int
    template: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorQuery[M: Base](ListQuery[M]):
    """A list that is walked by cursor, in both directions.

    Attributes:
        position: Where the page begins; None for the first one.
        total: Whether the client wants to know how many rows there are in all.
        cursor_at: Writes a cursor for a position of this very list.
    """

    position: Position | None
    total: bool
    cursor_at: Callable[[Position], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery[M: Base](ListQuery[M]):
    """A list in numbered pages.

    Attributes:
        page: Which one, from 1.
    """

    page: int


class Listing[M: Base]:
    """Declares how a list of a model may be asked for. A parameter that it does not declare is refused by name: a filter
    that is misspelt and ignored would show everything.

        AGENTS = Listing(
            Agent,
            filters=[Filter(Agent.is_active), Filter(Agent.created_at, ("gte", "lt"))],
            sorts=[Agent.created_at, Agent.name],
            default="-created_at",
            search=[Agent.name, Agent.description],
        )
        AgentQuery = Annotated[CursorQuery[Agent], Depends(AGENTS.by_cursor)]

    Args:
        model: Whose rows.
        filters: What clients may filter by.
        sorts: What they may sort by. Each wants an index over it and the primary key, in this order.
        default: The order without a `sort`: names, a minus before those that run downwards.
        search: Texts that `search` looks into. It reads every row that the filters leave, unless the database has an
            index for it.
        page_size: Rows per page unless the client says.
        largest_page: The most that it may say.

    Raises:
        TypeError: A filter, sort or search is on a column whose values cannot be written down, or are confidential.
        ValueError: `default` names what `sorts` does not hold, or two filters have one name.
    """

    def __init__(
        self,
        model: type[M],
        *,
        sorts: Sequence[Attribute],
        default: str,
        filters: Sequence[Filter] = (),
        search: Sequence[Attribute] = (),
        page_size: int = 20,
        largest_page: int = 100,
    ) -> None:
        self.model = model
        self._sorts = {attribute.key: attribute for attribute in sorts}
        self._key = [inspect(model).get_property_by_column(c).class_attribute for c in inspect(model).primary_key]
        for attribute in (*sorts, *search, *self._key):
            value_type(attribute)
        self._parameters = [parameter for each in filters for parameter in each.parameters()]
        names = [parameter.identifier for parameter in self._parameters]
        if len(set(names)) < len(names):
            raise ValueError(f"Two filters of {model.__name__} have the same name and operator.")
        self._search = tuple(search)
        self._checked_sort(default)
        shared = [*map(_argument_of, self._parameters), *self._common(default, page_size, largest_page)]
        self.by_cursor = _dependency(self._cursor_query, [*shared, *_CURSOR_ARGUMENTS])
        """A dependency that gives a `CursorQuery`."""
        self.by_page = _dependency(self._page_query, [*shared, _PAGE_ARGUMENT])
        """A dependency that gives a `PageQuery`."""

    def _common(self, default: str, page_size: int, largest_page: int) -> list[Argument]:
        names = "|".join(self._sorts)
        pattern = f"^-?({names})(,-?({names}))*$"
        sort = Annotated[
            str, AfterValidator(self._checked_sort), WithJsonSchema({"type": "string", "pattern": pattern})
        ]
        says = f"Names separated by commas, a minus before those that run downwards: {', '.join(self._sorts)}."
        size = Annotated[int, Query(ge=1, le=largest_page, description="Items per page.")]
        common = [
            _argument("sort", Annotated[sort, Query(description=says)], default),
            _argument("page_size", size, page_size),
        ]
        if self._search:
            text = Annotated[Text, Field(max_length=_LONGEST_SEARCH)]
            where = ", ".join(attribute.key for attribute in self._search)
            common.append(_argument("search", Annotated[text | None, Query(description=f"Part of: {where}.")], None))
        return common

    def _checked_sort(self, sort: str) -> str:
        names = [name.removeprefix("-") for name in sort.split(",")]
        unknown = [name for name in names if name not in self._sorts]
        if unknown:
            raise ValueError(f"there is no order by {unknown[0]!r}; there is {', '.join(self._sorts)}")
        if len(set(names)) < len(names):
            raise ValueError("a name comes twice")
        return sort

    def _cursor_query(self, request: Request, *, cursor: str | None, total: bool, **given: Any) -> CursorQuery[M]:
        terms, criteria = self._terms(given["sort"]), self._criteria(given)
        belongs_to = self._described(given)
        codec = CursorCodec(request.app.state.settings.secret_key.get_secret_value())
        position = None
        if cursor is not None:
            read = codec.read(cursor, belongs_to=belongs_to)
            position = replace(read, values=parsed(terms, read.values))
        return CursorQuery(
            criteria=criteria,
            terms=terms,
            page_size=given["page_size"],
            template=self._template(given, criteria, terms),
            position=position,
            total=total,
            cursor_at=lambda position: codec.write(position, belongs_to=belongs_to),
        )

    def _page_query(self, _: Request, *, page: int, **given: Any) -> PageQuery[M]:
        terms, criteria = self._terms(given["sort"]), self._criteria(given)
        return PageQuery(criteria=criteria, terms=terms, page_size=given["page_size"], page=page)

    def _terms(self, sort: str) -> list[SortTerm]:
        named = [SortTerm(self._sorts[name.removeprefix("-")], name.startswith("-")) for name in sort.split(",")]
        # The tie-break runs the way of the last name, so that one index serves both.
        rest = [key for key in self._key if key.key not in {term.attribute.key for term in named}]
        return [*named, *(SortTerm(key, named[-1].descending) for key in rest)]

    def _criteria(self, given: Mapping[str, Any]) -> list[ColumnElement[bool]]:
        criteria = [
            parameter.criterion(given[parameter.identifier])
            for parameter in self._parameters
            if given[parameter.identifier] is not None
        ]
        text = given.get("search")
        if text:
            criteria.append(or_(*(attribute.icontains(text, autoescape=True) for attribute in self._search)))
        return criteria

    def _template(
        self, given: Mapping[str, Any], made: Sequence[ColumnElement[bool]], terms: Sequence[SortTerm]
    ) -> Template | None:
        used = [each for each in self._parameters if given[each.identifier] is not None]
        asked_by = [*(each.filter.attribute for each in used), *(term.attribute for term in terms)]
        plain = all(is_plain_column(self.model, attribute) for attribute in asked_by)
        if given.get("search") or not plain or not all(each.is_plannable for each in used):
            return None
        values = {each.identifier: given[each.identifier] for each in used}
        # Whether there is to be a value is asked with other words, not with another value.
        asked = {each.identifier: given[each.identifier] for each in used if each.operator == "null"}

        def criteria() -> Sequence[ColumnElement[bool]]:
            return [each.criterion(asked.get(each.identifier, each.placeholder)) for each in used]

        return Template((self, tuple(values), tuple(asked.items())), criteria, values, (made, terms))

    def _described(self, given: Mapping[str, Any]) -> str:
        """What a cursor is bound to. The size of a page is not part of it: it may change on the way."""
        chosen = {name: value for name, value in given.items() if name != "page_size" and value is not None}
        table: Any = inspect(self.model).local_table
        return f"{table.name} {sorted((name, repr(value)) for name, value in chosen.items())}"


def _argument(name: str, annotation: Any, default: Any) -> Argument:
    return Argument(name, Argument.KEYWORD_ONLY, annotation=annotation, default=default)


def _argument_of(parameter: Parameter) -> Argument:
    query = Query(alias=parameter.alias, description=parameter.description)
    return _argument(parameter.identifier, Annotated[parameter.annotation | None, query], None)


_CURSOR_ARGUMENTS = (
    _argument(
        "cursor",
        Annotated[str | None, Query(max_length=_LONGEST_CURSOR, description="`next_cursor` of the page before.")],
        None,
    ),
    _argument("total", Annotated[bool, Query(description="Whether to count all items as well.")], False),
)
_PAGE_ARGUMENT = _argument("page", Annotated[int, Query(ge=1, le=_LAST_PAGE, description="Which page, from 1.")], 1)


def _dependency[Q](make: Callable[..., Q], arguments: Sequence[Argument]) -> Callable[..., Q]:
    """A dependency with a signature of its own, which FastAPI parses and documents."""

    def dependency(request: Request, **given: Any) -> Q:
        _refuse_unknown(request)
        return make(request, **given)

    asked = Argument("request", Argument.POSITIONAL_OR_KEYWORD, annotation=Request)
    dependency.__signature__ = Signature([asked, *arguments])  # type: ignore[attr-defined]
    return dependency


def _refuse_unknown(request: Request) -> None:
    given = request.query_params.keys()
    known = set(_declared(request.scope["route"].dependant))
    unknown = sorted(given - known)
    if unknown:
        raise ValidationFailed(
            "The list does not know a parameter; `errors` says which.",
            errors=[FieldError(("query", name), _advice(name, known), "extra_forbidden") for name in unknown],
        )


def _advice(name: str, known: set[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"There is no parameter of this name; did you mean {near[0]}?" if near else "There is no such parameter."


def _declared(dependant: Dependant) -> Sequence[str]:
    """Every query parameter of a route, those of its dependencies included."""
    names: list[str] = []
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            names += [inner.alias or name for name, inner in model.model_fields.items()]
        names.append(field.alias)
    security = getattr(getattr(dependant.call, "model", None), "in_", None)
    if security is not None and security.value == "query":
        names.append(dependant.call.model.name)  # type: ignore[union-attr]
    for inner in dependant.dependencies:
        names += _declared(inner)
    return names
