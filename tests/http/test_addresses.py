"""Who asks, by which name, and under which id: what strangers may say about themselves, and what they may not."""

import asyncio
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from mainspring.http import AccessLog, ErrorSeam, Pipeline, RequestId, TrustedHosts, TrustedProxies

from .conftest import call, hello, scope_of

MADE = re.compile("[0-9a-f]{32}")
WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{7,127}")


def run(app, scope):
    return asyncio.run(call(app, scope))


class TestRequestId:
    @given(st.sampled_from([b"x-request-id", b"x-correlation-id"]), st.binary(max_size=140))
    def test_no_header_makes_an_answer_with_an_ill_formed_id(self, name, value):
        scope = scope_of() | {"headers": [(name, value)]}
        answer = run(Pipeline(hello, stages=[RequestId()], render=ErrorSeam().render), scope)

        ((_, given_back),) = [h for h in answer.messages[0]["headers"] if h[0] == b"x-request-id"]
        assert given_back == value or MADE.fullmatch(given_back.decode())
        assert WELL_FORMED.fullmatch(given_back.decode("ascii"))

    @given(st.from_regex(WELL_FORMED, fullmatch=True))
    def test_every_well_formed_id_is_kept(self, value):
        answer = run(
            Pipeline(hello, stages=[RequestId()], render=ErrorSeam().render),
            scope_of(headers=[("X-Request-ID", value)]),
        )

        assert answer.headers["x-request-id"] == value

    async def test_a_malformed_request_id_does_not_hide_a_correlation_id(self, behind):
        headers = [("X-Request-ID", "no"), ("X-Correlation-ID", "correlation-1")]

        assert (await call(behind(RequestId()), scope_of(headers=headers))).headers["x-request-id"] == "correlation-1"

    def test_two_processes_that_share_a_stage_make_different_ids(self):
        script = """
import asyncio, os, sys
sys.path[:0] = ["."]
from mainspring.http import ErrorSeam, Exchange, RequestId
from tests.http.conftest import scope_of
stage = RequestId()
child = os.fork()
exchange = Exchange(scope_of(), print)
stage.request(exchange)
if child:
    os.waitpid(child, 0)
print(exchange.log.request_id, flush=True)
"""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True, timeout=30
        )

        assert len(set(done.stdout.split())) == 2


V4 = st.one_of(st.sampled_from(["10.0.0.1", "10.9.9.9", "192.0.2.1", "198.51.100.7"]), st.ip_addresses(v=4).map(str))
V6 = st.one_of(st.sampled_from(["2001:db8::1", "::1", "fd00::7"]), st.ip_addresses(v=6).map(str))
PORT = st.integers(1, 65535)
HOP = st.one_of(
    V4,
    V6,
    st.builds("{}:{}".format, V4, PORT),
    st.builds("[{}]:{}".format, V6, PORT),
    st.builds("[{}]".format, V6),
    st.sampled_from(["unknown", "_hidden", "proxy.internal"]),
)
TRUSTED = st.sampled_from(
    [["10.0.0.0/8"], ["10.0.0.1", "192.0.2.1"], ["2001:db8::/32", "10.0.0.0/8"], ["*"], ["::/0"], ["127.0.0.1"]]
)
PEER = st.sampled_from(["10.0.0.1", "203.0.113.9", "2001:db8::1", "::1"])


def found_by(make, scope):
    """What an application behind a middleware is told."""
    found = {}

    async def app(scope, receive, send):
        found.update(client=scope["client"] and scope["client"][0], scheme=scope["scheme"])
        await hello(scope, receive, send)

    run(make(app), scope)
    return found


def ours(trusted):
    return lambda app: Pipeline(app, stages=[TrustedProxies(trusted)], render=ErrorSeam().render)


class TestTrustedProxies:
    @given(TRUSTED, PEER, st.lists(st.lists(HOP, min_size=1, max_size=4), max_size=3))
    def test_it_finds_the_client_that_uvicorns_middleware_finds(self, trusted, peer, headers):
        lines = [("X-Forwarded-For", ", ".join(hops)) for hops in headers]

        def scope():
            return scope_of(headers=lines, client=(peer, 80))

        theirs = found_by(lambda app: ProxyHeadersMiddleware(app, trusted_hosts=trusted), scope())
        assert found_by(ours(trusted), scope()) == theirs

    @given(
        st.sampled_from(["http", "https", "ws", "wss", "gopher", "", "HTTPS"]),
        st.sampled_from(["http", "websocket"]),
        PEER,
    )
    def test_it_finds_the_scheme_that_uvicorns_middleware_finds(self, scheme, kind, peer):
        def scope():
            return scope_of(
                headers=[("X-Forwarded-Proto", scheme)],
                client=(peer, 80),
                kind=kind,
                scheme="ws" if kind == "websocket" else "http",
            )

        if (kind == "http" and scheme in {"ws", "wss"}) or scheme == "HTTPS":
            return  # theirs would tell the application of a request that its scheme is `ws`, and knows no upper case
        theirs = found_by(lambda app: ProxyHeadersMiddleware(app, trusted_hosts=["10.0.0.0/8"]), scope())
        assert found_by(ours(["10.0.0.0/8"]), scope()) == theirs

    @pytest.mark.parametrize(
        ("reported", "kind", "scheme"),
        [
            ("wss", "websocket", "wss"),
            ("wss", "http", "https"),
            ("HTTPS", "http", "https"),
            ("https, http", "http", "http"),
            ("http", "websocket", "ws"),
        ],
    )
    def test_a_scheme_is_told_in_the_words_of_the_protocol(self, reported, kind, scheme):
        scope = scope_of(headers=[("X-Forwarded-Proto", reported)], client=("10.0.0.1", 80), kind=kind)

        assert found_by(ours(["10.0.0.0/8"]), scope)["scheme"] == scheme

    @given(st.binary(max_size=60), st.binary(max_size=20))
    def test_no_header_breaks_it(self, forwarded, scheme):
        headers = [(b"x-forwarded-for", forwarded), (b"x-forwarded-proto", scheme)]
        scope = scope_of(client=("10.0.0.1", 80)) | {"headers": headers}

        found = found_by(ours(["10.0.0.0/8"]), scope)
        assert found["client"]
        assert found["scheme"] in {"http", "https"}

    @given(st.binary(max_size=60))
    def test_a_stranger_is_who_he_is_whatever_he_says(self, forwarded):
        scope = scope_of(client=("203.0.113.9", 80)) | {"headers": [(b"x-forwarded-for", forwarded)]}

        assert found_by(ours(["10.0.0.0/8"]), scope)["client"] == "203.0.113.9"

    @pytest.mark.parametrize("header", ["", " ", ",", " , ,"])
    def test_an_empty_header_says_nothing(self, header):
        scope = scope_of(headers=[("X-Forwarded-For", header)], client=("10.0.0.1", 80))

        assert found_by(ours(["10.0.0.0/8"]), scope)["client"] == "10.0.0.1"

    def test_a_proxy_is_known_by_its_ipv4_address_on_a_dual_stack_listener_too(self):
        scope = scope_of(headers=[("X-Forwarded-For", "198.51.100.7, ::ffff:10.2.2.2")], client=("::ffff:10.0.0.1", 0))

        assert found_by(ours(["10.0.0.0/8"]), scope)["client"] == "198.51.100.7"

    @pytest.mark.parametrize("peer", ["::ffff:11.0.0.1", "unix:", ""])
    def test_a_peer_that_is_no_listed_address_is_not_believed(self, peer):
        scope = scope_of(headers=[("X-Forwarded-For", "198.51.100.7")], client=(peer, 0))

        assert found_by(ours(["10.0.0.0/8"]), scope)["client"] == peer

    def test_judgements_stay_right_and_bounded_over_many_strangers(self):
        stage = TrustedProxies(["10.0.0.0/8"])
        for number in range(3000):
            stranger, proxy = f"198.51.{number // 250}.{number % 250}", f"10.1.{number // 250}.{number % 250}"
            scope = scope_of(headers=[("X-Forwarded-For", f"{stranger}, {proxy}")], client=("10.0.0.1", 80))
            found = found_by(lambda app: Pipeline(app, stages=[stage], render=ErrorSeam().render), scope)
            assert found["client"] == stranger

        assert len(stage._judged) <= 1024


class TestForwarded:
    """RFC 7239."""

    def found(self, *headers, peer="10.0.0.1", kind="http"):
        stage = TrustedProxies(["10.0.0.0/8", "2001:db8::/32"], header="forwarded")
        scope = scope_of(headers=headers, client=(peer, 80), kind=kind, scheme="ws" if kind == "websocket" else "http")
        found = found_by(lambda app: Pipeline(app, stages=[stage], render=ErrorSeam().render), scope)
        return found["client"], found["scheme"]

    @pytest.mark.parametrize(
        ("header", "client", "scheme"),
        [
            ("for=192.0.2.60;proto=https;by=203.0.113.43", "192.0.2.60", "https"),
            ('For="[2001:DB9:cafe::17]:4711"', "2001:DB9:cafe::17", "http"),
            ("for=192.0.2.43, for=10.1.1.1", "192.0.2.43", "http"),
            ("for=192.0.2.43;proto=https, for=10.1.1.1;proto=http", "192.0.2.43", "https"),
            ('for="192.0.2.43:47011";host=example.com;proto=HTTPS', "192.0.2.43", "https"),
            ("for=198.51.100.1;proto=https,for=192.0.2.43", "192.0.2.43", "http"),
            ("for=unknown", "unknown", "http"),
            ("for=_gazonk", "_gazonk", "http"),
            ("proto=https", "unknown", "https"),
            ("for=10.3.3.3;proto=https", "10.3.3.3", "https"),
        ],
    )
    def test_the_client_is_the_last_hop_that_is_no_proxy(self, header, client, scheme):
        assert self.found(("Forwarded", header)) == (client, scheme)

    def test_several_headers_are_one_list(self):
        assert self.found(("Forwarded", "for=192.0.2.9"), ("Forwarded", "for=10.9.9.9"))[0] == "192.0.2.9"

    @pytest.mark.parametrize("invented", ['for="198.51.100.7', "for=198.51.100.7;;", "=", 'for=\\"', "for=a b", '"'])
    def test_what_a_client_has_invented_hides_nothing_that_a_proxy_wrote(self, invented):
        assert self.found(("Forwarded", f"{invented}, for=192.0.2.43;proto=https")) == ("192.0.2.43", "https")

    def test_behind_a_malformed_element_nobody_is_looked_for(self):
        assert self.found(("Forwarded", "for=198.51.100.7, for=x y, for=10.1.1.1")) == ("unknown", "http")

    def test_the_other_kind_of_header_says_nothing(self):
        assert self.found(("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Proto", "https")) == ("10.0.0.1", "http")
        scope = scope_of(headers=[("Forwarded", "for=198.51.100.7")], client=("10.0.0.1", 80))
        assert found_by(ours(["10.0.0.0/8"]), scope)["client"] == "10.0.0.1"

    def test_a_stranger_says_nothing(self):
        assert self.found(("Forwarded", "for=192.0.2.1;proto=https"), peer="203.0.113.9") == ("203.0.113.9", "http")

    def test_a_websocket_is_told_its_own_words(self):
        assert self.found(("Forwarded", "for=192.0.2.1;proto=https"), kind="websocket") == ("192.0.2.1", "wss")

    @given(st.text(st.characters(max_codepoint=255), max_size=80))
    def test_no_header_breaks_it(self, header):
        client, scheme = self.found(("Forwarded", header))
        assert client
        assert scheme in {"http", "https"}


class TestTrustedHosts:
    async def status(self, behind, host, *allowed, path="/", scheme="http"):
        headers = [] if host is None else [("Host", host)]
        return (await call(behind(TrustedHosts(allowed)), scope_of(path, headers=headers, scheme=scheme))).status

    @pytest.mark.parametrize(
        "host",
        [
            "shop.example.com:80@evil.net",
            "shop.example.com:@evil.net",
            "user@shop.example.com",
            "shop.example.com/evil.net",
            "shop.example.com#evil.net",
            "shop.example.com evil.net",
            "shop.example.com,evil.net",
            "shop.example.com:port",
            "[::1].evil.net",
            "[::1]@evil.net",
            "[::1",
            "::1",
            "[]",
            "shop.example.com\x00",
            "shop.example.com\n",
            ":80",
            " ",
        ],
    )
    async def test_a_name_of_ours_with_something_else_about_it_is_not_ours(self, behind, host):
        assert await self.status(behind, host, "shop.example.com", "[::1]") == 400

    @pytest.mark.parametrize(
        "host", ["shop.example.com", "shop.example.com:", "Shop.Example.COM:65535", "[::1]", "[::1]:8000"]
    )
    async def test_case_and_port_do_not_matter(self, behind, host):
        assert await self.status(behind, host, "Shop.example.com", "[::1]") == 200

    @given(st.text(max_size=30))
    def test_nobody_elses_name_passes(self, text):
        host = text.encode("utf-8", "replace").decode("latin-1")
        pipeline = Pipeline(hello, stages=[TrustedHosts(["shop.example.com"])], render=ErrorSeam().render)

        assert run(pipeline, scope_of(headers=[("Host", host)])).status == 400

    @pytest.mark.parametrize("host", ["anything", "", None, "a@b"])
    async def test_star_answers_under_every_name(self, behind, host):
        assert await self.status(behind, host, "*") == 200

    async def test_a_wildcard_is_for_subdomains_and_not_for_names_that_end_alike(self, behind):
        assert await self.status(behind, "a.example.org", "*.example.org") == 200
        assert await self.status(behind, "A.B.example.org:81", "*.example.org") == 200
        assert await self.status(behind, "example.org", "*.example.org") == 400
        assert await self.status(behind, "notexample.org", "*.example.org") == 400
        assert await self.status(behind, "a.example.org.evil.net", "*.example.org") == 400

    async def test_without_a_name_nobody_is_answered(self, behind):
        assert await self.status(behind, "shop.example.com") == 400

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/health", 200),
            ("/health/live", 200),
            ("/healthcare/records", 400),
            ("/health-records", 400),
            ("/metrics", 200),
            ("/metrics/of/mine", 400),
        ],
    )
    async def test_only_health_checks_and_scrapes_are_answered_under_any_name(self, behind, path, status):
        assert await self.status(behind, "10.1.2.3", "shop.example.com", path=path) == status

    async def test_a_websocket_under_a_strange_name_is_refused(self, behind):
        answer = await call(
            behind(TrustedHosts(["shop.example.com"])), scope_of(kind="websocket", headers=[("Host", "evil")])
        )

        assert answer.messages[0]["type"] == "websocket.close"


class TestAccessLog:
    @pytest.mark.parametrize(
        ("path", "level"),
        [
            ("/health", "debug"),
            ("/health/ready", "debug"),
            ("/metrics", "debug"),
            ("/healthcare/records", "info"),
            ("/metricsandmore", "info"),
            ("/orders", "info"),
        ],
    )
    async def test_probes_are_quiet_and_what_only_begins_like_one_is_not(self, behind, lines, path, level):
        await call(behind(AccessLog()), scope_of(path))

        (line,) = lines(logger="mainspring.access")
        assert line["level"] == level

    async def test_a_line_holds_every_fact_and_no_query(self, behind, lines):
        scope = scope_of("/orders", method="POST", client=("198.51.100.7", 4711)) | {"query_string": b"token=s3cret"}
        answer = await call(behind(AccessLog(), RequestId()), scope)

        (line,) = lines(logger="mainspring.access")
        duration = line["extra"].pop("duration_ms")
        assert 0 < duration < 1000
        assert line["extra"] == {
            "method": "POST",
            "path": "/orders",
            "route": None,
            "status": 200,
            "bytes": 5,
            "client": "198.51.100.7",
            "complete": True,
        }
        assert line["message"] == "POST /orders 200"
        assert line["request_id"] == answer.headers["x-request-id"]
        assert {"timestamp", "level", "logger", "module", "function", "line"} <= set(line)
        assert "s3cret" not in lines.text

    async def test_a_path_of_any_characters_is_one_line(self, behind, lines):
        for path in ("/a\nb", "/\x1b[31m", '/"', "/\ud800", "/\u2028"):
            await call(behind(AccessLog()), scope_of() | {"path": path})

        assert [line["extra"]["path"] for line in lines(logger="mainspring.access")] == [
            "/a\nb",
            "/\x1b[31m",
            '/"',
            "/\ud800",
            "/\u2028",
        ]

    async def test_what_the_proxy_reports_is_what_is_written(self, behind, lines):
        scope = scope_of(headers=[("X-Forwarded-For", "198.51.100.7")], client=("10.0.0.1", 80))
        await call(behind(AccessLog(), TrustedProxies(["10.0.0.0/8"])), scope)

        assert lines(logger="mainspring.access")[0]["extra"]["client"] == "198.51.100.7"
