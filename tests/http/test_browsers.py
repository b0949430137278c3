"""What browsers are told, compared with what Starlette tells them, and judged as the Fetch standard does."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.middleware.cors import CORSMiddleware

from mainspring.errors import PermissionDenied
from mainspring.http import Cors, ErrorSeam, Pipeline, SecurityHeaders, Stage

from .conftest import call, hello, scope_of

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
HEADERS = ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "X-Request-ID", "X-CSRF-Token"]
ORIGINS = ["https://app.example.com", "http://localhost:5173"]
# Allowed without being named (Fetch standard, sections 2.2.1 and 2.2.2).
SAFE_METHODS = {"GET", "HEAD", "POST"}
SAFE_HEADERS = {"accept", "accept-language", "content-language"}


def ours(origins, *, credentials):
    return Pipeline(hello, stages=[Cors(origins, credentials=credentials)], render=ErrorSeam().render)


def theirs(origins, *, credentials):
    return CORSMiddleware(
        hello, allow_origins=origins, allow_methods=METHODS, allow_headers=HEADERS, allow_credentials=credentials
    )


def may_read(answer, origin, *, credentials):
    """The CORS check of the Fetch standard (section 4.9)."""
    allowed = [value for name, value in answer.messages[0]["headers"] if name.lower() == b"access-control-allow-origin"]
    if allowed == [b"*"] and not credentials:
        return True
    if allowed != [origin.encode()]:
        return False
    return not credentials or answer.headers.get("access-control-allow-credentials") == "true"


def listed(answer, name):
    return {item.strip() for item in answer.headers.get(name, "").split(",") if item.strip()}


def preflight_passes(answer, origin, method, headers, *, credentials):
    """The preflight of the Fetch standard (section 4.8)."""
    if not (may_read(answer, origin, credentials=credentials) and 200 <= answer.status <= 299):
        return False
    methods = listed(answer, "access-control-allow-methods")
    allowed = {name.lower() for name in listed(answer, "access-control-allow-headers")} | SAFE_HEADERS
    return method in methods | SAFE_METHODS and {name.lower() for name in headers} <= allowed


ORIGIN = st.sampled_from(
    [
        *ORIGINS,
        "https://evil.example",
        "null",
        "https://app.example.com.evil.net",
        "https://app.example.com:444",
        "http://app.example.com",
        "https://app.example.co",
        "file://",
        "",
    ]
)


class TestCors:
    @given(ORIGIN, st.booleans(), st.sampled_from(METHODS))
    def test_who_may_read_an_answer_is_as_with_starlette(self, origin, credentials, method):
        scope = {"headers": [("Origin", origin)], "method": method}
        answers = [
            asyncio.run(call(make(ORIGINS, credentials=credentials), scope_of(**scope))) for make in (ours, theirs)
        ]

        mine, reference = (may_read(answer, origin, credentials=credentials) for answer in answers)
        assert mine == reference == (origin in ORIGINS)
        assert [answer.body for answer in answers] == [b"hello", b"hello"]

    @given(
        ORIGIN,
        st.booleans(),
        st.sampled_from([*METHODS, "TRACE", "CONNECT", "put", "EVIL"]),
        st.lists(st.sampled_from([*HEADERS, "x-strange", "accept", "content-type", "AUTHORIZATION"]), unique=True),
    )
    def test_which_preflights_pass_is_as_with_starlette(self, origin, credentials, method, headers):
        asked = [("Origin", origin), ("Access-Control-Request-Method", method)]
        if headers:
            asked.append(("Access-Control-Request-Headers", ",".join(headers)))
        mine, reference = (
            preflight_passes(
                asyncio.run(call(make(ORIGINS, credentials=credentials), scope_of(method="OPTIONS", headers=asked))),
                origin,
                method,
                headers,
                credentials=credentials,
            )
            for make in (ours, theirs)
        )

        assert mine == reference

    @given(ORIGIN)
    def test_star_lets_everybody_read_as_with_starlette_and_nobody_with_cookies(self, origin):
        answers = [
            asyncio.run(call(make(["*"], credentials=False), scope_of(headers=[("Origin", origin)])))
            for make in (ours, theirs)
        ]

        for answer in answers:
            assert may_read(answer, origin, credentials=False)
            assert not may_read(answer, origin, credentials=True)

    @pytest.mark.parametrize("origins", [["*"], ["https://app.example.com", "*"]])
    def test_star_with_cookies_is_refused(self, origins):
        with pytest.raises(ValueError, match="every website"):
            Cors(origins, credentials=True)

    @pytest.mark.parametrize("configured", ["https://APP.example.com", "https://app.example.com/"])
    async def test_an_origin_may_be_written_as_people_write_it(self, behind, configured):
        answer = await call(
            behind(Cors([configured], credentials=False)), scope_of(headers=[("Origin", "https://app.example.com")])
        )

        assert may_read(answer, "https://app.example.com", credentials=False)

    async def test_the_answer_to_a_stranger_says_that_it_depends_on_who_asks(self, behind):
        for method, more in (("GET", []), ("OPTIONS", [("Access-Control-Request-Method", "PUT")])):
            headers = [("Origin", "https://evil.example"), *more]
            answer = await call(behind(Cors(ORIGINS, credentials=True)), scope_of(method=method, headers=headers))

            assert answer.headers["vary"] == "Origin"
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers

    async def test_what_the_route_varies_by_is_kept(self, behind):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"vary", b"Accept-Encoding")]})
            await send({"type": "http.response.body"})

        answer = await call(behind(Cors(ORIGINS, credentials=False), app=app), scope_of())

        assert [value for name, value in answer.messages[0]["headers"] if name == b"vary"] == [
            b"Accept-Encoding",
            b"Origin",
        ]

    async def test_a_preflight_has_no_content_and_says_so(self, behind):
        headers = [("Origin", ORIGINS[0]), ("Access-Control-Request-Method", "PUT")]
        answer = await call(behind(Cors(ORIGINS, credentials=False)), scope_of(method="OPTIONS", headers=headers))

        assert (answer.status, answer.body) == (204, b"")
        assert "content-length" not in answer.headers  # RFC 9110 section 8.6

    async def test_options_without_an_origin_is_a_request_like_any_other(self, behind):
        headers = [("Access-Control-Request-Method", "PUT")]
        answer = await call(behind(Cors(ORIGINS, credentials=False)), scope_of(method="OPTIONS", headers=headers))

        assert answer.body == b"hello"

    async def test_errors_of_other_stages_can_be_read_too(self, behind):
        class Refuses(Stage):
            def request(self, exchange):
                raise PermissionDenied

        answer = await call(
            behind(Cors(ORIGINS, credentials=True), Refuses()), scope_of(headers=[("Origin", ORIGINS[0])])
        )

        assert answer.status == 403
        assert may_read(answer, ORIGINS[0], credentials=True)

    async def test_a_websocket_is_no_preflight(self, behind):
        async def app(scope, receive, send):
            await send({"type": "websocket.accept", "headers": []})

        headers = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "GET")]
        scope = {key: value for key, value in scope_of(kind="websocket", headers=headers).items() if key != "method"}

        assert (await call(behind(Cors(ORIGINS, credentials=False), app=app), scope)).messages[0]["type"] == (
            "websocket.accept"
        )


def answering(*headers):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body"})

    return app


class TestSecurityHeaders:
    @pytest.mark.parametrize(
        "own",
        [
            (b"Strict-Transport-Security", b"max-age=0"),
            (b"X-Frame-Options", b"SAMEORIGIN"),
            (b"referrer-policy", b"no-referrer"),
            (b"Permissions-Policy", b"camera=(self)"),
            (b"Cross-Origin-Opener-Policy", b"unsafe-none"),
            (b"X-Content-Type-Options", b"nosniff"),
            (b"Content-Security-Policy", b"default-src 'none'"),
        ],
    )
    async def test_each_header_that_the_route_has_set_is_sent_once_and_as_it_was_set(self, behind, own):
        app = answering(own, (b"content-type", b"text/html"))
        answer = await call(behind(SecurityHeaders(strict_transport=True), app=app), scope_of(scheme="https"))

        sent = [value for name, value in answer.messages[0]["headers"] if name.lower() == own[0].lower()]
        assert sent == [own[1]]

    @pytest.mark.parametrize(
        ("content_type", "page"),
        [
            (b"text/html", True),
            (b"text/html; charset=utf-8", True),
            (b"Text/HTML", True),
            (b"application/json", False),
            (b"text/plain", False),
            (b"text/event-stream", False),
        ],
    )
    async def test_a_policy_for_pages_is_sent_with_pages_only(self, behind, content_type, page):
        app = answering((b"content-type", content_type))
        answer = await call(behind(SecurityHeaders(strict_transport=False), app=app), scope_of())

        assert ("content-security-policy" in answer.headers) == page

    @pytest.mark.parametrize("strict", [True, False])
    @pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True), ("ws", False), ("wss", True)])
    async def test_strict_transport_is_for_secure_requests_of_a_service_in_production(
        self, behind, strict, scheme, secure
    ):
        answer = await call(behind(SecurityHeaders(strict_transport=strict)), scope_of(scheme=scheme))

        assert ("strict-transport-security" in answer.headers) == (strict and secure)

    async def test_errors_and_preflights_carry_them_too(self, behind):
        async def broken(scope, receive, send):
            raise RuntimeError

        stages = SecurityHeaders(strict_transport=False), Cors(ORIGINS, credentials=False)
        preflight = [("Origin", ORIGINS[0]), ("Access-Control-Request-Method", "PUT")]
        for scope in (scope_of(), scope_of(method="OPTIONS", headers=preflight)):
            answer = await call(behind(*stages, app=broken), scope)
            assert answer.headers["x-content-type-options"] == "nosniff"
