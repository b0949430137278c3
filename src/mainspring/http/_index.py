"""Finds a request's route without walking the tree of routers.

FastAPI tries one route after the other, and twice on every level of `include_router`: the last of 500 routes at depth
two takes it 2 ms. The index looks a route up by the literal segments of its path, and takes the very one that the walk
would have taken, the first that matches path and method. What it does not decide is left to the walk: no match, another
method, redirects, mounts, forms, WebSockets.
"""

from collections.abc import Awaitable, Iterable, Iterator
from re import Match as Matched
from re import Pattern
from typing import Any, NamedTuple

from fastapi import params
from fastapi.routing import APIRoute, APIRouter, APIWebSocketRoute, RouteContext, iter_route_contexts
from starlette.convertors import PathConvertor
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from ._exchange import SCOPE_KEY

# How a mount's template ends.
_REST = "/{path}"


class _Entry(NamedTuple):
    """One route, with what a request needs of it at hand.

    Attributes:
        order: Its place in the walk.
        methods: What it answers to; empty for everything.
        app: What serves it; None where that is left to the walk.
    """

    order: int
    regex: Pattern[str]
    methods: frozenset[str]
    template: str
    app: ASGIApp | None
    route: BaseRoute
    endpoint: Any
    convertors: dict[str, Any]


type _Found = tuple[_Entry, Matched[str]]


class RouteIndex:
    """A router's routes, found by the literal segments of their paths.

    A route that is added later is found by the walk, until the number of the router's own routes has changed; the order
    is FastAPI's in any case, since what is added comes last.

    Args:
        router: Whose routes.
        walk: What serves every other request: the router's own way.
    """

    def __init__(self, router: APIRouter, walk: ASGIApp) -> None:
        self._router = router
        self._walk = walk
        self._indexed = -1
        # By number of segments and positions of the literal ones: the routes by what stands there.
        self._shapes: dict[int, dict[tuple[int, ...], dict[tuple[str, ...], list[_Entry]]]] = {}
        # Those that take any number of segments.
        self._open: list[_Entry] = []
        # Answers for paths without parameters; there are as many as such routes.
        self._known: dict[tuple[str, str], _Found] = {}

    # Not a coroutine of its own, which would be one more to step through on each way in and out.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve a request by the route that is found for it."""
        if scope["type"] == "http" and not scope.get("root_path"):
            found = self._find(scope["method"], scope["path"])
            if found is not None:
                entry, matched = found
                if entry.app is not None:
                    self._select(scope, entry, matched)
                    return entry.app(scope, receive, send)
                if isinstance(entry.route, Mount) and SCOPE_KEY in scope:
                    # The mounted application leaves its own route in the scope, if any, and not where it is mounted.
                    scope[SCOPE_KEY].mount = entry.template.removesuffix(_REST)
        return self._walk(scope, receive, send)

    def _find(self, method: str, path: str) -> _Found | None:
        if self._indexed != len(self._router.routes):
            self._build()
        known = self._known.get((method, path))
        if known is not None:
            return known
        if path.endswith("\n"):
            # `$` in the routes' expressions also matches before a line break at the end, which segments know nothing of.
            return None
        segments = path.split("/")
        best = _first(self._open, method, path, None)
        for positions, routes in self._shapes.get(len(segments), {}).items():
            candidates = routes.get(tuple([segments[position] for position in positions]))
            if candidates is not None:
                best = _first(candidates, method, path, best)
        if best is not None and best[0].methods and not best[0].convertors:
            self._known[method, path] = best
        return best

    def _select(self, scope: Scope, entry: _Entry, matched: Matched[str]) -> None:
        """Leave in the scope what the walk would have left there."""
        values = dict(scope.get("path_params", ()))
        for name, convertor in entry.convertors.items():
            values[name] = convertor.convert(matched[name])
        scope.setdefault("router", self._router)
        scope["route"] = entry.route
        scope["endpoint"] = entry.endpoint
        scope["path_params"] = values
        exchange = scope.get(SCOPE_KEY)
        if exchange is not None:
            exchange.template = entry.template

    def _build(self) -> None:
        self._indexed = len(self._router.routes)
        self._shapes, self._open, self._known = {}, [], {}
        contexts = list(iter_route_contexts(self._router.routes))
        if not all(_goes_by_path(context) for context in contexts):
            return
        for entry in _entries(contexts):
            if any(isinstance(item, PathConvertor) for item in entry.convertors.values()):
                self._open.append(entry)
                continue
            segments = entry.template.split("/")
            literal = tuple(place for place, segment in enumerate(segments) if "{" not in segment)
            routes = self._shapes.setdefault(len(segments), {}).setdefault(literal, {})
            routes.setdefault(tuple(segments[place] for place in literal), []).append(entry)


def _first(entries: Iterable[_Entry], method: str, path: str, best: _Found | None) -> _Found | None:
    """The first of the entries that matches, unless the best one so far comes before it."""
    for entry in entries:
        if best is not None and best[0].order < entry.order:
            return best
        if not entry.methods or method in entry.methods:
            matched = entry.regex.match(path)
            if matched is not None:
                return entry, matched
    return best


def _goes_by_path(context: RouteContext) -> bool:
    """Whether path and method alone decide if a route matches; a `Host` or a class of the user's may look elsewhere."""
    kind: Any = type(context.original_route)
    if issubclass(kind, APIRoute):
        return kind.matches is APIRoute.matches and kind.handle is APIRoute.handle
    return kind in {Mount, Route, WebSocketRoute, APIWebSocketRoute}


def _entries(contexts: Iterable[RouteContext]) -> Iterator[_Entry]:
    for order, context in enumerate(contexts):
        route = context.original_route
        if isinstance(route, WebSocketRoute):
            continue
        served = isinstance(route, APIRoute) and not _takes_form(context)
        yield _Entry(
            order=order,
            regex=context.path_regex,
            methods=frozenset(context.methods or ()),
            template=context.path_format or "",
            app=context.app if served else None,
            route=route,
            endpoint=context.endpoint,
            convertors=context.param_convertors,
        )


def _takes_form(context: RouteContext) -> bool:
    # The walk collects the limits of forms from the routers on its way.
    return context.body_field is not None and isinstance(context.body_field.field_info, params.Form)
