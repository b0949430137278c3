"""Each stage, by what clients see."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from mainspring.http import (
    AccessLog,
    Cors,
    ErrorSeam,
    Pipeline,
    RequestId,
    SecurityHeaders,
    Stage,
    TraceContext,
    TrustedHosts,
    TrustedProxies,
)

from .conftest import call, hello, scope_of


class TestRequestId:
    @pytest.mark.parametrize("header", ["X-Request-ID", "X-Correlation-ID"])
    @pytest.mark.parametrize("given", ["0af7651916cd43dd", "a" * 128, "req-1:2/3+4=5@6.7_8", "01a1fb2a-f157-7381"])
    async def test_a_well_formed_id_is_kept(self, behind, header, given):
        answer = await call(behind(RequestId()), scope_of(headers=[(header, given)]))

        assert answer.headers["x-request-id"] == given

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "short",
            "a" * 129,
            "with space",
            "line\r\nbreak: x",
            "tab\tin it",
            "été-1234567",
            "-leading-dash",
            '<script>"',
        ],
    )
    async def test_a_malformed_id_is_replaced_by_one_of_our_own(self, behind, given):
        answer = await call(behind(RequestId()), scope_of(headers=[("X-Request-ID", given)]))

        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])

    async def test_the_request_id_wins_over_the_correlation_id(self, behind):
        headers = [("X-Correlation-ID", "correlation-1"), ("X-Request-ID", "request-one")]

        assert (await call(behind(RequestId()), scope_of(headers=headers))).headers["x-request-id"] == "request-one"

    async def test_two_requests_never_share_an_id(self, behind):
        pipeline = behind(RequestId())

        ids = {(await call(pipeline, scope_of())).headers["x-request-id"] for _ in range(1000)}

        assert len(ids) == 1000


TRACE = "0af7651916cd43dd8448eb211c80319c"


class TestTraceContext:
    async def seen(self, *headers):
        found = []

        class Notes(Stage):
            def finish(self, exchange):
                found.append((exchange.log.request_id, exchange.log.trace_id))

        stages = [RequestId(), TraceContext(), Notes()]
        await call(Pipeline(hello, stages=stages, render=ErrorSeam().render), scope_of(headers=headers))
        return found[0]

    @pytest.mark.parametrize("version", ["00-{}-b7ad6b7169203331-01", "01-{}-b7ad6b7169203331-00-later-fields"])
    async def test_the_callers_trace_goes_on(self, version):
        assert (await self.seen(("traceparent", version.format(TRACE))))[1] == TRACE

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "00",
            f"ff-{TRACE}-b7ad6b7169203331-01",
            f"00-{'0' * 32}-b7ad6b7169203331-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"00-{TRACE.upper()}-b7ad6b7169203331-01",
            f"00-{TRACE}-b7ad6b7169203331",
            f"00-{TRACE}\n-b7ad6b7169203331-01",
        ],
    )
    async def test_a_malformed_header_begins_a_trace_anew(self, given):
        request_id, trace_id = await self.seen(("traceparent", given))

        assert trace_id == request_id != TRACE

    async def test_a_callers_request_id_that_is_no_trace_id_is_not_made_one(self):
        assert await self.seen(("X-Request-ID", "request-one")) == ("request-one", None)


class TestTrustedProxies:
    async def seen(self, trusted, *, headers=(), client=("10.0.0.1", 80), kind="http"):
        async def app(scope, receive, send):
            found.append((scope["client"], scope["scheme"]))
            await hello(scope, receive, send)

        found = []
        pipeline = Pipeline(app, stages=[TrustedProxies(trusted)], render=ErrorSeam().render)
        scheme = "ws" if kind == "websocket" else "http"
        await call(pipeline, scope_of(headers=headers, client=client, kind=kind, scheme=scheme))
        return found[0]

    async def test_a_strangers_headers_are_not_believed(self):
        forged = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https")]

        assert await self.seen(["10.0.0.1"], headers=forged, client=("203.0.113.9", 9)) == (("203.0.113.9", 9), "http")

    @pytest.mark.parametrize(
        ("forwarded", "client"),
        [
            ("198.51.100.7", "198.51.100.7"),
            ("6.6.6.6, 198.51.100.7", "198.51.100.7"),
            ("198.51.100.7, 10.0.0.9, 10.0.0.8", "198.51.100.7"),
            ("10.0.0.7, 10.0.0.8", "10.0.0.7"),
            ("198.51.100.7:4711", "198.51.100.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("unknown", "unknown"),
        ],
    )
    async def test_the_last_hop_that_is_no_proxy_is_the_client(self, forwarded, client):
        found, _ = await self.seen(["10.0.0.0/8"], headers=[("X-Forwarded-For", forwarded)])

        assert found[0] == client

    async def test_several_headers_of_one_name_are_one_list(self):
        headers = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "198.51.100.7, 10.0.0.2")]

        assert (await self.seen(["10.0.0.0/8"], headers=headers))[0][0] == "198.51.100.7"

    @pytest.mark.parametrize(("kind", "scheme"), [("http", "https"), ("websocket", "wss")])
    async def test_the_scheme_is_the_proxys(self, kind, scheme):
        assert (await self.seen(["*"], headers=[("X-Forwarded-Proto", "https")], kind=kind))[1] == scheme

    async def test_a_scheme_that_is_none_is_ignored(self):
        assert (await self.seen(["*"], headers=[("X-Forwarded-Proto", "gopher")]))[1] == "http"

    async def test_a_unix_socket_has_no_peer_and_nothing_changes(self):
        assert (await self.seen(["10.0.0.0/8"], client=None))[0] is None

    def test_an_entry_that_is_no_address_is_refused_at_once(self):
        with pytest.raises(ValueError, match=r"proxy\.internal"):
            TrustedProxies(["proxy.internal"])

    @given(st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "198.51.100.7", "203.0.113.9"]), min_size=1, max_size=6))
    def test_it_agrees_with_uvicorns_middleware_on_every_chain(self, hops):
        import asyncio

        async def app(scope, receive, send):
            found.append(scope["client"][0])
            await hello(scope, receive, send)

        found: list[str] = []
        headers = [("X-Forwarded-For", ", ".join(hops))]
        ours = Pipeline(app, stages=[TrustedProxies(["10.0.0.0/8"])], render=ErrorSeam().render)
        theirs = ProxyHeadersMiddleware(app, trusted_hosts=["10.0.0.0/8"])
        for one in (ours, theirs):
            asyncio.run(call(one, scope_of(headers=headers, client=("10.0.0.1", 1))))

        assert found[0] == found[1]


class TestTrustedHosts:
    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("shop.example.com", 200),
            ("SHOP.example.com:8443", 200),
            ("api.example.org", 200),
            ("a.b.example.org", 200),
            ("example.org", 400),
            ("evilexample.org", 400),
            ("shop.example.com.evil.net", 400),
            ("", 400),
            ("[2001:db8::1]:80", 200),
            ("[2001:db8::2]", 400),
        ],
    )
    async def test_only_our_own_names_are_answered(self, behind, host, status):
        stage = TrustedHosts(["shop.example.com", "*.example.org", "[2001:db8::1]"])

        assert (await call(behind(stage), scope_of(headers=[("Host", host)]))).status == status

    async def test_no_host_header_is_refused_and_a_probe_is_answered_under_any_name(self, behind):
        pipeline = behind(TrustedHosts(["shop.example.com"]))

        assert (await call(pipeline, scope_of())).status == 400
        assert (await call(pipeline, scope_of("/health/ready", headers=[("Host", "10.1.2.3")]))).status == 200


def page(content_type="text/html; charset=utf-8", extra=()):
    async def app(scope, receive, send):
        headers = [(b"Content-Type", content_type.encode()), *extra]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return app


class TestSecurityHeaders:
    async def test_every_answer_carries_them(self, behind):
        headers = (await call(behind(SecurityHeaders(strict_transport=False)), scope_of())).headers

        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "camera=()" in headers["permissions-policy"]
        assert {"x-xss-protection", "expect-ct", "content-security-policy", "strict-transport-security"}.isdisjoint(
            headers
        )

    async def test_a_page_gets_a_policy_and_data_does_not(self, behind):
        stage = SecurityHeaders(strict_transport=False)

        assert (
            "default-src 'self'"
            in (await call(behind(stage, app=page()), scope_of())).headers["content-security-policy"]
        )
        shown = (await call(behind(stage, app=page()), scope_of())).headers
        assert shown["cross-origin-opener-policy"] == "same-origin"
        assert (
            "content-security-policy"
            not in (await call(behind(stage, app=page("application/json")), scope_of())).headers
        )

    async def test_what_the_route_has_set_is_left_alone(self, behind):
        own = [(b"Content-Security-Policy", b"default-src *"), (b"X-Frame-Options", b"SAMEORIGIN")]
        answer = await call(behind(SecurityHeaders(strict_transport=False), app=page(extra=own)), scope_of())

        names = [name.lower() for name, _ in answer.messages[0]["headers"]]
        assert names.count(b"content-security-policy") == names.count(b"x-frame-options") == 1
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"

    @pytest.mark.parametrize(
        ("strict", "scheme", "sent"), [(True, "https", True), (True, "http", False), (False, "https", False)]
    )
    async def test_hsts_is_sent_on_secure_requests_in_production_only(self, behind, strict, scheme, sent):
        answer = await call(behind(SecurityHeaders(strict_transport=strict)), scope_of(scheme=scheme))

        assert ("strict-transport-security" in answer.headers) == sent


ORIGIN = "https://app.example.com"
PREFLIGHT = [("Origin", ORIGIN), ("Access-Control-Request-Method", "PUT")]


class TestCors:
    async def test_an_allowed_origin_may_read_the_answer(self, behind):
        headers = (await call(behind(Cors([ORIGIN], credentials=True)), scope_of(headers=[("Origin", ORIGIN)]))).headers

        assert headers["access-control-allow-origin"] == ORIGIN
        assert headers["access-control-allow-credentials"] == "true"
        assert "X-Request-ID" in headers["access-control-expose-headers"]

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "https://app.example.com.evil.net", "http://app.example.com"]
    )
    async def test_a_strange_origin_may_not(self, behind, origin):
        for headers in ([("Origin", origin)], [("Origin", origin), ("Access-Control-Request-Method", "PUT")]):
            method = "OPTIONS" if len(headers) == 2 else "GET"
            answer = await call(behind(Cors([ORIGIN], credentials=True)), scope_of(method=method, headers=headers))
            assert "access-control-allow-origin" not in answer.headers

    async def test_a_preflight_is_answered_without_the_application(self, behind):
        answer = await call(behind(Cors([ORIGIN], credentials=False)), scope_of(method="OPTIONS", headers=PREFLIGHT))

        assert (answer.status, answer.body) == (204, b"")
        assert "PUT" in answer.headers["access-control-allow-methods"]
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers

    async def test_options_that_is_no_preflight_reaches_the_application(self, behind):
        answer = await call(behind(Cors([ORIGIN], credentials=False)), scope_of(method="OPTIONS"))

        assert answer.body == b"hello"

    @pytest.mark.parametrize("headers", [[], [("Origin", ORIGIN)], [("Origin", "https://evil.example")]])
    async def test_every_answer_varies_by_origin(self, behind, headers):
        answer = await call(behind(Cors([ORIGIN], credentials=False)), scope_of(headers=headers))

        assert answer.headers["vary"] == "Origin"

    async def test_star_lets_everybody_read_and_needs_no_vary(self, behind):
        answer = await call(behind(Cors(["*"], credentials=False)), scope_of(headers=[("Origin", "https://x.example")]))

        assert answer.headers["access-control-allow-origin"] == "*"
        assert "vary" not in answer.headers

    def test_star_with_credentials_is_refused(self):
        with pytest.raises(ValueError, match="name the origins"):
            Cors(["*"], credentials=True)

    @pytest.mark.parametrize("headers", [[("Origin", ORIGIN)], [("Origin", "https://evil.example")], []])
    async def test_it_agrees_with_starlettes_middleware_on_who_may_read(self, behind, headers):
        ours = await call(behind(Cors([ORIGIN], credentials=True)), scope_of(headers=headers))
        theirs = await call(
            CORSMiddleware(hello, allow_origins=[ORIGIN], allow_credentials=True), scope_of(headers=headers)
        )

        name = "access-control-allow-origin"
        assert ours.headers.get(name) == theirs.headers.get(name)


class TestAccessLog:
    async def lines(self, behind, caplog, scope, app=hello):
        with caplog.at_level("DEBUG", logger="mainspring.access"):
            await call(behind(AccessLog(), RequestId(), app=app), scope)
        return [record for record in caplog.records if record.name == "mainspring.access"]

    async def test_a_request_is_one_line_with_its_facts(self, behind, caplog):
        (line,) = await self.lines(behind, caplog, scope_of("/orders", method="POST"))

        assert line.levelname == "INFO"
        assert "POST /orders 200" in line.getMessage()

    async def test_the_query_string_is_not_written(self, behind, caplog):
        scope = scope_of("/reset") | {"query_string": b"token=s3cret"}

        (line,) = await self.lines(behind, caplog, scope)

        assert "s3cret" not in line.getMessage()

    async def test_a_probe_is_written_at_debug(self, behind, caplog):
        (line,) = await self.lines(behind, caplog, scope_of("/health/live"))

        assert line.levelname == "DEBUG"

    async def test_a_server_error_is_written_as_one(self, behind, caplog):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        (line,) = await self.lines(behind, caplog, scope_of(), app)

        assert line.levelname == "ERROR"

    async def test_a_client_that_left_before_the_answer_is_499(self, behind, caplog):
        async def app(scope, receive, send):
            return

        (line,) = await self.lines(behind, caplog, scope_of("/slow"), app)

        assert "/slow 499" in line.getMessage()
