"""The routes for operators: who may use them, and what they tell."""

import asyncio
import logging
import sys
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from fastapi import APIRouter
from prometheus_client import REGISTRY, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parsed_text

from mainspring.app import composition_of
from mainspring.kernel import FrozenClock, Module
from mainspring.settings import BootError, Settings

TOKEN = "q8s7dJ2kLp0VbX4nT6yR1wZ3mC5hF9aEuGiKoNqS"
PRODUCTION = {
    "environment": "production",
    "secret_key": "Hn3kV9sQx7Lw2Rb8Tz5Yc1Mf6Gd4JpAe0UiOoPqW",
    "allowed_hosts": "shop.example.com",
}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
LEVELS = "/operations/log-level"


def client_of(app, address="127.0.0.1"):
    transport = httpx2.ASGITransport(app=app, client=(address, 4711))
    return httpx2.AsyncClient(transport=transport, base_url="http://shop.example.com")


async def asked(app, path="/metrics", *, address="127.0.0.1", method="GET", **options):
    async with client_of(app, address) as client:
        return await client.request(method, path, **options)


class TestWhoMayUseThem:
    @pytest.mark.parametrize("path", ["/metrics", LEVELS])
    @pytest.mark.parametrize(
        ("address", "status"), [("127.0.0.1", 200), ("::1", 200), ("203.0.113.7", 404), ("odd", 404)]
    )
    async def test_without_a_token_only_this_machine(self, compose_service, path, address, status):
        assert (await asked(compose_service(), path, address=address)).status_code == status

    @pytest.mark.parametrize("path", ["/metrics", LEVELS])
    @pytest.mark.parametrize("address", ["127.0.0.1", "203.0.113.7"])
    async def test_with_a_token_whoever_has_it_and_nobody_else(self, compose_service, path, address):
        app = compose_service(operations_token=TOKEN)

        assert (await asked(app, path, address=address, headers=BEARER)).status_code == 200
        nobody = await asked(app, path, address=address)
        assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
        for wrong in (TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "é"):
            answer = await asked(app, path, address=address, headers={"Authorization": f"Bearer {wrong}".encode()})
            assert (answer.status_code, answer.json()["code"]) == (401, "INVALID_TOKEN")

    @pytest.mark.parametrize("path", ["/metrics", LEVELS])
    async def test_in_production_without_a_token_they_are_like_any_path_that_is_not_there(self, compose_service, path):
        app = compose_service(**PRODUCTION)
        answer, other = await asked(app, path), await asked(app, "/nothing/here")

        assert answer.status_code == other.status_code == 404
        assert answer.json()["title"] == other.json()["title"]
        assert answer.headers.keys() == other.headers.keys()

    async def test_in_production_the_token_opens_them_under_any_host(self, compose_service):
        app = compose_service(**PRODUCTION, operations_token=TOKEN)

        assert (await asked(app, headers=BEARER | {"Host": "10.1.2.3:8000"}, address="10.1.2.4")).status_code == 200

    @pytest.mark.parametrize("path", ["/metrics", LEVELS])
    async def test_a_forwarded_address_that_nobody_vouches_for_opens_nothing(self, compose_service, path):
        answer = await asked(compose_service(), path, address="203.0.113.7", headers={"X-Forwarded-For": "127.0.0.1"})

        assert answer.status_code == 404

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
    async def test_strangers_do_not_come_in_through_a_proxy_on_this_machine_that_nobody_has_named(
        self, compose_service, header
    ):
        assert (await asked(compose_service(), headers={header: "203.0.113.7"})).status_code == 404

    async def test_through_a_proxy_that_is_named_it_is_the_clients_address_that_counts(self, compose_service):
        app = compose_service(trusted_proxies="10.0.0.0/8")
        for address, status in (("127.0.0.1", 200), ("203.0.113.7", 404)):
            answer = await asked(app, address="10.0.0.1", headers={"X-Forwarded-For": address})
            assert answer.status_code == status

    async def test_they_are_not_in_the_api_description(self, compose_service):
        paths = compose_service().openapi()["paths"]

        assert not [path for path in paths if "metrics" in path or "operations" in path]


class TestExplained:
    @pytest.mark.parametrize(
        ("settings", "where"),
        [
            ({}, "/metrics from this machine only"),
            ({"operations_token": TOKEN}, "/metrics with the operations token"),
            ({"metrics_port": 9100}, "/metrics from this machine only and port 9100 of 127.0.0.1"),
            (PRODUCTION, "served nowhere: set OPERATIONS_TOKEN or METRICS_PORT"),
            (PRODUCTION | {"metrics_port": 9100}, "port 9100 of 127.0.0.1"),
        ],
        ids=["development", "token", "port", "production", "production with port"],
    )
    def test_it_says_where_metrics_are_served(self, compose_service, settings, where):
        (line,) = [line for line in composition_of(compose_service(**settings)).stages if line.name == "metrics"]

        assert line.purpose.endswith(f"; {where}")

    def test_the_token_is_shown_as_the_guard(self, compose_service):
        guards = {r.path: r.guards for r in composition_of(compose_service()).routes}

        assert guards["/metrics"] == guards[LEVELS] == ("operator", "OperationsToken")


class TestMetrics:
    async def test_both_formats_are_told_and_can_be_parsed(self, compose_service):
        app = compose_service()
        async with app.router.lifespan_context(app):
            await asked(app, "/health")
            text = await asked(app)
            modern = await asked(app, headers={"Accept": "application/openmetrics-text; version=1.0.0, */*;q=0.1"})

        assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        old = {family.name: family for family in parsed_text(text.text)}
        new = {family.name: family for family in parsed_openmetrics(modern.text)}
        assert old["http_request_duration_seconds"].type == new["http_request_duration_seconds"].type == "histogram"
        assert {"event_loop_lag_seconds", "process_resident_memory_bytes", "python_gc_collections"} <= new.keys()
        (info,) = new["service"].samples
        assert info.labels == {"name": "shop", "version": "0.1.0", "environment": "test"}

    async def test_every_metric_of_ours_follows_the_naming_conventions(self, compose_service):
        app = compose_service()
        async with app.router.lifespan_context(app):
            answer = await asked(app)

        ours = [f for f in parsed_text(answer.text) if not f.name.startswith(("python_", "process_"))]
        assert len(ours) >= 13
        for family in ours:
            assert family.documentation.endswith(".")
            assert not family.name.endswith(("_ms", "_milliseconds", "_count", "_sum"))
            assert f"{family.name}_total " in answer.text or family.type != "counter" or not family.samples

    async def test_the_pool_shows_a_connection_at_work(self, compose_service):
        from mainspring.data import Database

        app = compose_service(database_pool_size=3)
        async with app.router.lifespan_context(app):
            async with app.registry.get(Database).read() as session:
                await session.connection()
                lines = (await asked(app)).text.splitlines()
            after = (await asked(app)).text.splitlines()

        assert 'database_pool_size{pool="reader"} 3.0' in lines
        assert 'database_pool_checked_out{pool="reader"} 1.0' in lines
        assert 'database_pool_checked_out{pool="reader"} 0.0' in after
        assert 'database_pool_overflow{pool="writer"} 0.0' in after

    async def test_a_services_own_metrics_are_told_as_well(self, compose_service):
        orders = Counter("shop_orders", "Orders placed.", ["kind"])
        try:
            orders.labels("gift").inc(3)
            answer = await asked(compose_service())
        finally:
            REGISTRY.unregister(orders)

        assert 'shop_orders_total{kind="gift"} 3.0' in answer.text

    async def test_its_port_answers_without_a_token_also_while_the_loop_is_stuck(self, compose_service, caplog):
        app = compose_service(operations_token=TOKEN, metrics_port=0)
        caplog.set_level(logging.INFO, "mainspring.app")

        def scrape():
            (record,) = [r for r in caplog.records if r.getMessage() == "Metrics are served"]
            return httpx2.get(record.fields["url"], timeout=5)

        async with app.router.lifespan_context(app), asyncio.timeout(10):
            while "Metrics are served" not in caplog.text:
                await asyncio.sleep(0.02)
            # Called in the loop's thread, which therefore does nothing else.
            answer = scrape()

        assert answer.status_code == 200
        assert "service_workers 1.0" in answer.text

    async def test_a_port_that_is_taken_is_told_once_and_stops_nothing(self, compose_service, caplog):
        import socket

        with socket.create_server(("127.0.0.1", 0)) as taken:
            app = compose_service(metrics_port=taken.getsockname()[1])
            async with app.router.lifespan_context(app), asyncio.timeout(10):
                while "cannot be had" not in caplog.text:
                    await asyncio.sleep(0.02)
                assert (await asked(app)).status_code == 200

        assert caplog.text.count("cannot be had") == 1


class TestRunDirectory:
    async def test_one_that_cannot_be_used_is_said_at_the_start(self, compose_service, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("MAINSPRING_RUN_DIRECTORY", str(tmp_path / "file"))
        app = compose_service()

        with pytest.raises(BootError, match="MAINSPRING_RUN_DIRECTORY"):
            async with app.router.lifespan_context(app):
                pass

    async def test_one_that_goes_away_is_told_once_and_the_service_goes_on(
        self, compose_service, tmp_path, monkeypatch, caplog
    ):
        directory = tmp_path / "run"
        monkeypatch.setenv("MAINSPRING_RUN_DIRECTORY", str(directory))
        app = compose_service()
        async with app.router.lifespan_context(app), asyncio.timeout(10):
            # In one step: file by file, the housekeeping could write a new one in between.
            directory.rename(tmp_path / "gone")
            while "Housekeeping failed" not in caplog.text:
                await asyncio.sleep(0.02)
            directory.mkdir()
            while not list(directory.glob("*.json")):
                await asyncio.sleep(0.02)
            assert (await asked(app)).status_code == 200

        assert caplog.text.count("Housekeeping failed") == 1

    async def test_its_numbers_are_left_there_at_the_end(self, compose_service, tmp_path, monkeypatch):
        monkeypatch.setenv("MAINSPRING_RUN_DIRECTORY", str(tmp_path / "run"))
        for total in (2, 4):
            app = compose_service()
            async with app.router.lifespan_context(app):
                for _ in range(2):
                    await asked(app, "/health")
                text = (await asked(app)).text
            assert f'http_requests_total{{method="GET",route="/health",status="200"}} {total}.0' in text


class TestWithoutTheLibrary:
    @pytest.fixture(autouse=True)
    def _missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "prometheus_client", None)
        monkeypatch.setattr("mainspring.observability._exposition.find_spec", lambda name: None)

    async def test_the_service_runs_and_has_no_metrics(self, compose_service):
        app = compose_service()

        async with app.router.lifespan_context(app):
            assert (await asked(app, "/health")).status_code == 200
            assert (await asked(app)).status_code == 404
            assert (await asked(app, LEVELS)).status_code == 200
        assert "metrics" not in [stage.name for stage in composition_of(app).stages]

    @pytest.mark.parametrize(
        ("values", "key"), [({"metrics_enabled": True}, "metrics_enabled"), ({"metrics_port": 9100}, "metrics_port")]
    )
    def test_who_asks_for_metrics_is_told_what_is_missing(self, compose_service, values, key):
        with pytest.raises(BootError, match="pip install prometheus-client") as refused:
            compose_service(**values)

        assert key in str(refused.value)

    async def test_metrics_can_be_switched_off(self, compose_service):
        assert (await asked(compose_service(metrics_enabled=False))).status_code == 404


class TestLogLevel:
    @pytest.fixture
    def clock(self):
        return FrozenClock(datetime(2026, 11, 1, tzinfo=UTC))

    @pytest.fixture
    def app(self, tmp_path, monkeypatch, clock):
        from mainspring.app import create_app

        monkeypatch.chdir(tmp_path)
        settings = Settings(environment="test", database_url=f"sqlite:///{tmp_path}/test.db")
        return create_app("shop", settings=settings, modules=[Module(name="m", routers=(APIRouter(),))], clock=clock)

    async def test_it_is_changed_shown_and_falls_back_by_itself(self, app, clock):
        logger = logging.getLogger("shop.level.test")
        async with app.router.lifespan_context(app):
            change = {"level": "ERROR", "logger": "shop.level.test", "minutes": 10}
            answer = await asked(app, LEVELS, method="PUT", json=change)
            assert answer.status_code == 200
            assert (await asked(app, LEVELS)).json() == {
                "configured": "INFO",
                "overrides": [{"logger": "shop.level.test", "level": "ERROR", "until": "2026-11-01T00:10:00Z"}],
            }
            assert logger.level == logging.ERROR

            clock.advance(timedelta(seconds=601))
            async with asyncio.timeout(10):
                while logger.level != logging.NOTSET:
                    await asyncio.sleep(0.02)
            assert (await asked(app, LEVELS)).json()["overrides"] == []

    async def test_the_end_of_the_service_ends_it_as_well(self, app):
        logger = logging.getLogger("shop.level.test")
        async with app.router.lifespan_context(app):
            await asked(app, LEVELS, method="PUT", json={"level": "DEBUG", "logger": "shop.level.test"})
            assert logger.level == logging.DEBUG
        assert logger.level == logging.NOTSET

    @pytest.mark.parametrize(
        "wrong",
        [
            {"level": "TRACE"},
            {"level": "DEBUG", "minutes": 0},
            {"level": "DEBUG", "minutes": 1441},
            {"level": "DEBUG", "logger": "line\nbreak"},
            {"level": "DEBUG", "logger": "x" * 201},
        ],
    )
    async def test_what_makes_no_sense_is_refused(self, app, wrong):
        assert (await asked(app, LEVELS, method="PUT", json=wrong)).status_code == 422
