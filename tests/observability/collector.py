"""A collector and a Sentry of one's own, on a real socket."""

import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Received:
    """What has been posted so far.

    Attributes:
        url: Where to post.
        bodies: The payloads, unpacked.
        headers: Of each request.
        status: What is answered.
    """

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.paths, self.bodies, self.headers = [], [], []
        self.status = 200
        self.held = threading.Event()
        self.held.set()

    @property
    def raw(self):
        return b"".join(self.bodies)

    @property
    def spans(self):
        """Every span, decoded by OpenTelemetry's own classes, with its attributes as `values` and resource beside it."""
        return [
            Decoded(span, resource.resource, scope.scope)
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def span(self, name):
        (found,) = [span for span in self.spans if span.name == name]
        return found

    @property
    def events(self):
        """Sentry's events, without the envelopes around them."""
        found = []
        for body in self.bodies:
            lines = body.split(b"\n")
            found += [json.loads(lines[i + 1]) for i, line in enumerate(lines[:-1]) if b'"type":"event"' in line]
        return found


class Decoded:
    """A span as the collector has understood it."""

    def __init__(self, span, resource, scope):
        self.name, self.message, self.scope = span.name, span, scope
        self.trace_id, self.span_id = span.trace_id.hex(), span.span_id.hex()
        self.parent_id = span.parent_span_id.hex()
        self.values = values(span.attributes)
        self.resource = values(resource.attributes)
        self.failed = span.status.code == 2


def values(attributes):
    return {item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value") for item in attributes}


@contextmanager
def listening():
    """A server that takes whatever is posted."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.held.wait(30)
            received.paths.append(self.path)
            received.headers.append({name.lower(): value for name, value in self.headers.items()})
            received.bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(received.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args):
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    received = Received(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        received.held.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
