"""A span per request."""

from functools import lru_cache
from typing import override

from mainspring.http._exchange import Exchange, Reply
from mainspring.http._pipeline import Stage
from mainspring.observability import REDACTED, Tracing, new_trace_id, redact, type_of

from ._metrics import METHODS, OTHER_METHOD
from ._probes import is_probe
from ._trace_context import join

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class TracingStage(Stage):
    """Takes the caller's trace, or begins one, and makes a span of the request, by OpenTelemetry's conventions for HTTP.

    Whether a trace is sampled is decided here, by the caller's flag or by the trace id, before anything is made for it;
    what is not sampled costs the decision. Probes are not traced: they come every few seconds and tell nothing.

    The query string is left out, and so is a path whose template has a parameter that is secret by name.

    Args:
        tracing: Where spans go. Before it is started this stage only names the trace, as `TraceContext` does.
    """

    name = "tracing"
    purpose = "a span per sampled request, sent by OTLP; trace id from traceparent, or a new one"
    cost = "over 5 µs if sampled, else 1 to 5 µs"

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    @override
    def request(self, exchange: Exchange) -> Reply | None:
        parent = join(exchange)
        spans = self._tracing.spans
        if spans is None:
            return None
        log = exchange.log
        trace_id = log.trace_id
        if trace_id is None:
            trace_id = log.trace_id = new_trace_id()
        if is_probe(exchange.scope["path"]):
            exchange.span = spans.pass_over()
        elif parent is None:
            exchange.span = spans.begin(trace_id)
        else:
            exchange.span = spans.join(parent, exchange.header(b"tracestate"))
        return None

    @override
    def finish(self, exchange: Exchange) -> None:
        begun = exchange.span
        if begun is None:
            return
        exchange.span = None
        spans, span, token = begun
        if span is not None:
            error = _error_of(exchange)
            attributes = _attributes(exchange)
            if error is not None:
                attributes["error.type"] = error
            span.close(_name_of(exchange), attributes, failed=error is not None)
        spans.end(span, token)


def _name_of(exchange: Exchange) -> str:
    method, route = exchange.method, exchange.route
    if method not in METHODS and method != "WS":
        method = "HTTP"
    # Never the path: names are what a backend groups by.
    return f"{method} {route}" if route is not None else method


def _attributes(exchange: Exchange) -> dict[str, str | int]:
    scope, header = exchange.scope, exchange.header
    route, scheme = exchange.route, scope["scheme"]
    address, port = _authority(header(b"host"), scheme)
    said: dict[str, str | int] = {
        "http.request.method": (method := scope.get("method", "GET")),
        "url.scheme": scheme,
        "url.path": scope["path"],
        "network.protocol.version": scope.get("http_version", "1.1"),
        "server.address": address,
        "server.port": port,
    }
    if method not in METHODS:
        said["http.request.method"], said["http.request.method_original"] = OTHER_METHOD, method
    if route is not None:
        said["http.route"] = route
        if "{" in route and _hides_secret(route):
            said["url.path"] = route
    if exchange.status:
        said["http.response.status_code"] = exchange.status
    peer = scope.get("client")
    if peer:
        said["client.address"] = peer[0]
    agent = header(b"user-agent")
    if agent is not None:
        said["user_agent.original"] = agent.decode("latin-1")
    if scope["type"] == "websocket":
        said["network.protocol.name"] = "websocket"
    return said


def _error_of(exchange: Exchange) -> str | None:
    """The value of `error.type`, None where nothing has failed; a refusal (4xx) is the caller's failure, not ours."""
    if exchange.error is not None:
        return type_of(exchange.error)
    if exchange.status >= 500:
        return str(exchange.status)
    return "client_closed_request" if exchange.status == 0 else None


@lru_cache(maxsize=256)
def _authority(host: bytes | None, scheme: str) -> tuple[str, int]:
    """Name and port of the server, as the client has called it."""
    name, colon, port = (host or b"").decode("latin-1").rpartition(":")
    if not colon or "]" in port:
        name, port = f"{name}{colon}{port}", ""
    return name, int(port) if port.isdecimal() and len(port) < 6 else _PORTS.get(scheme, 80)


@lru_cache(maxsize=1024)
def _hides_secret(route: str) -> bool:
    names = [part.partition("}")[0].partition(":")[0] for part in route.split("{")[1:]]
    return REDACTED in redact(dict.fromkeys(names, "")).values()
