"""An attribute that was not loaded says so with its name, the line that looked at it, and what to write instead."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import InstanceState, LoaderCallableStatus, Mapper, PassiveFlag
from sqlalchemy.orm.exc import DetachedInstanceError
from sqlalchemy.util.concurrency import in_greenlet

from ._places import own_place

# What SQLAlchemy calls for the value of an attribute that it has not.
type _Loader = Callable[[InstanceState[Any], PassiveFlag], Any]


class LazyLoad(InvalidRequestError):
    """An attribute was looked at that the statement had not loaded, which would take a query for each row.

    Attributes:
        attribute: Which, as `Model.attribute`.
        place: The line of the service's code that looked at it, as `file:line`; None where that was the framework, while
            it made the response.
    """

    def __init__(self, attribute: str, advice: str) -> None:
        self.attribute = attribute
        self.place = own_place()
        where = self.place or "the serialization of the response, after the handler had returned,"
        super().__init__(
            f"{attribute} was not loaded, and {where} looks at it. That would be a query for each row, and no query can "
            f"be sent by looking at an attribute. {advice}"
        )


def explain_lazy_loads(mapper: Mapper[Any]) -> None:
    """Make the attributes of a model raise `LazyLoad`, where SQLAlchemy raises something that names no line.

    It costs nothing until an attribute is missing: what is wrapped is called only then. What a single statement leaves
    out by `defer()` or `raiseload()` is not known to the model, and raises what SQLAlchemy raises.
    """
    model, manager = mapper.class_.__name__, mapper.class_manager
    for name, prop in mapper.relationships.items():
        option = f"selectinload({model}.{name})"
        advice = f"Load it in the statement: .options({option}), or in the store: loads = ({option},)."
        _explain(manager[name].impl, f"{model}.{name}", advice, refuses=str(prop.lazy).startswith("raise"))
    for name, column in mapper.column_attrs.items():
        if column.deferred:
            advice = f"Load it in the statement: .options(undefer({model}.{name}))."
            _explain(manager[name].impl, f"{model}.{name}", advice, refuses=False)
    manager.expired_attribute_loader = _expired(model, manager.expired_attribute_loader)


def _explain(impl: Any, attribute: str, advice: str, *, refuses: bool) -> None:
    load: _Loader | None = impl.callable_
    if load is None:
        return
    refusals = (DetachedInstanceError, InvalidRequestError) if refuses else (DetachedInstanceError,)

    def loaded(state: InstanceState[Any], passive: PassiveFlag) -> Any:
        try:
            if not _is_out_of_reach(state):
                return load(state, passive)
            # What the session has already may be had without a query.
            value = load(state, passive if refuses else passive & ~PassiveFlag.SQL_OK)
        except refusals as error:
            raise LazyLoad(attribute, advice) from error
        if value is LoaderCallableStatus.PASSIVE_NO_RESULT and passive & PassiveFlag.SQL_OK:
            raise LazyLoad(attribute, advice)
        return value

    impl.callable_ = loaded


def _expired(model: str, load: Callable[..., Any]) -> Callable[..., Any]:
    advice = "It has expired: read it before that, or ask for it again with `await session.refresh(row)`."

    def loaded(state: InstanceState[Any], names: set[str], passive: PassiveFlag) -> Any:
        if state.session is None or _is_out_of_reach(state):
            raise LazyLoad(f"{model}.{', '.join(sorted(names))}", advice)
        return load(state, names, passive)

    return loaded


def _is_out_of_reach(state: InstanceState[Any]) -> bool:
    """Whether a query would need an `await`. Trying it would leave coroutines behind that nobody awaits."""
    return state.async_session is not None and not in_greenlet()
