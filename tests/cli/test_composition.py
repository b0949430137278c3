"""`routes`, `explain`, `status`, `version`."""

import json
import platform
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

FAILING = """
    from mainspring.app import create_app
    from mainspring.kernel import Module, Resource
    from shop.settings import Settings

    class Index: ...

    async def make(registry):
        return Index()

    async def refuse(registry):
        raise ConnectionError("nobody home")

    async def ping(index):
        raise ConnectionError("gone")

    def build():
        return composed(Resource(provides=Index, name="index", make=make, ping=ping, required=True))

    def optional():
        return composed(Resource(provides=Index, name="index", make=refuse, ping=ping, required=False))

    def unstartable():
        advice = "Start the index."
        return composed(Resource(provides=Index, name="index", make=refuse, advice=advice))

    def composed(resource):
        return create_app("other", settings=Settings(), modules=[Module(name="index", resources=(resource,))])
"""


@pytest.fixture(autouse=True)
def _database(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:///shop.db")


class TestRoutes:
    def test_are_listed_with_methods_path_guards_and_handler(self, cli, project):
        project.write(
            "src/other.py",
            """
            from typing import Annotated
            from fastapi import APIRouter, Depends
            from fastapi.security import HTTPBearer
            from mainspring.app import create_app
            from mainspring.kernel import Module
            from shop.settings import Settings

            router = APIRouter()

            @router.put("/till")
            async def fill(who: Annotated[object, Depends(HTTPBearer())]) -> None: ...

            def build():
                return create_app("other", settings=Settings(), modules=[Module(name="till", routers=(router,))])
            """,
        )

        plain = cli("--app", "other:build", "routes")
        machine = cli("--app", "other:build", "routes", "--json")

        assert (plain.code, machine.code) == (0, 0)
        assert ["PUT", "/api/v1/till", "HTTPBearer", "other.fill"] in [line.split() for line in plain.out.splitlines()]
        (route,) = [route for route in json.loads(machine.out) if route["path"] == "/api/v1/till"]
        assert route == {
            "methods": ["PUT"],
            "path": "/api/v1/till",
            "name": "fill",
            "module": "other",
            "guards": ["HTTPBearer"],
        }


class TestExplain:
    def test_says_what_was_composed_and_which_setting_chose_it(self, cli):
        ended = cli("explain")

        assert ended.code == 0
        assert ended.out.startswith("shop (development)\n")
        assert "till    Sells" in ended.out
        database = next(line for line in ended.out.splitlines() if line.startswith("database"))
        assert database.split() == ["database", "sqlite", "(WAL)", "shop.db", "DATABASE_URL", "environment", "yes"]
        assert ended.out.index("access-log") < ended.out.index("request-id") < ended.out.index("security-headers")
        assert "routes, 3 of them guarded" in ended.out

    def test_shows_what_operators_get_and_what_guards_it(self, cli):
        ended = cli("explain")
        metrics, watch = (
            next(line for line in ended.out.splitlines() if line.startswith(name)) for name in ("metrics", "loop-watch")
        )

        assert "/metrics from this machine only" in metrics
        assert metrics.split()[-4:] == ["1", "to", "5", "µs"]
        assert "blocks the event loop for 0.5 s" in watch
        guarded = [line.split() for line in cli("routes").out.splitlines() if "OperationsToken" in line]
        assert [line[:2] for line in guarded] == [
            ["GET", "/metrics"],
            ["GET", "/operations/log-level"],
            ["PUT", "/operations/log-level"],
        ]

    def test_names_the_waivers_in_force(self, cli, monkeypatch):
        monkeypatch.setenv("ALLOW_IN_PRODUCTION", "docs, any-host")

        assert "(ALLOW_IN_PRODUCTION): docs, any-host." in cli("explain").out

    def test_is_json_for_machines(self, cli):
        found = json.loads(cli("explain", "--json").out)

        assert found["modules"] == [{"name": "till", "summary": "Sells"}]
        assert found["resources"][0]["chosen_by"] == "DATABASE_URL"
        assert found["stages"][0]["name"] == "access-log"
        assert found["allow_in_production"] == []
        assert found["routes"] > 4


class TestStatus:
    def test_pings_every_resource_and_counts_pending_migrations(self, cli):
        plain = cli("status")
        machine = json.loads(cli("status", "--json").out)

        assert plain.code == 0
        assert plain.out.splitlines()[1].split()[:2] == ["database", "up"]
        assert plain.out.endswith("Pending migrations: 0.\n")
        (database,) = machine["resources"]
        assert (database["name"], database["state"], machine["pending_migrations"]) == ("database", "up", [])
        assert database["milliseconds"] > 0

    def test_names_the_migrations_that_are_pending(self, project):
        ended = project.run("--app", "deepagents.app:build", "status")

        assert ended.code == 0
        assert (
            "Pending migrations: 4 (accounts_0001, deepagents_0001, audit_trail_0001, idempotency_0001)." in ended.out
        )

    @pytest.mark.parametrize(
        ("factory", "state", "detail", "code"),
        [
            ("build", "down", "ConnectionError: gone", 1),
            ("optional", "degraded", "nobody home", 0),
            ("unstartable", "down", "could not start: ConnectionError: nobody home. Start the index.", 1),
        ],
    )
    def test_fails_when_a_required_resource_is_down_and_says_why(self, cli, project, factory, state, detail, code):
        project.write("src/other.py", FAILING)

        plain = cli("--app", f"other:{factory}", "status")
        machine = cli("--app", f"other:{factory}", "status", "--json")

        assert (plain.code, machine.code) == (code, code)
        (line,) = [line for line in plain.out.splitlines() if line.startswith("index")]
        assert line.split()[1] == state
        assert detail in line
        (index,) = [r for r in json.loads(machine.out)["resources"] if r["name"] == "index"]
        assert (index["state"], detail in index["detail"]) == (state, True)

    def test_does_not_guess_about_migrations_when_nothing_could_start(self, cli, project):
        project.write("src/other.py", FAILING)

        assert "Pending migrations: not known." in cli("--app", "other:unstartable", "status").out
        machine = json.loads(cli("--app", "other:unstartable", "status", "--json").out)
        assert machine["pending_migrations"] is None


class TestStatusOfARunningService:
    @pytest.fixture
    def answering(self):
        """A server that gives one answer to everything."""
        servers = []

        def start(status: int, body: str) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.send_response(status if self.path == "/health/ready" else 404)
                    self.end_headers()
                    self.wfile.write(body.encode())

                def log_message(self, *_: object) -> None:
                    pass

            server = HTTPServer(("127.0.0.1", 0), Handler)
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            servers.append((server, thread))
            return f"http://127.0.0.1:{server.server_port}"

        yield start
        for server, thread in servers:
            server.shutdown()
            thread.join()
            server.server_close()

    def test_is_what_it_answers(self, cli, answering):
        url = answering(200, '{"status": "ready", "checks": {"database": "up"}}')

        plain = cli("status", "--url", f"{url}/")
        machine = cli("status", "--url", url, "--json")

        assert (plain.code, machine.code) == (0, 0)
        assert "ready" in plain.out
        assert "database  up" in plain.out
        assert json.loads(machine.out) == {"status": "ready", "checks": {"database": "up"}}

    def test_that_is_not_ready_fails(self, cli, answering):
        url = answering(503, '{"status": "not_ready", "checks": {"database": "down"}}')

        ended = cli("status", "--url", url)

        assert (ended.code, "database  down" in ended.out) == (1, True)

    @pytest.mark.parametrize("body", ["<html>", "[]", '{"status": "ok"}', '{"checks": 1}'])
    def test_that_answers_something_else_is_not_taken_for_ours(self, cli, answering, body):
        url = answering(200, body)

        ended = cli("status", "--url", url)

        assert (ended.code, ended.out) == (1, "")
        assert "does not answer like a Mainspring service (status 200)" in ended.err

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://[::1"])
    def test_that_does_not_answer_fails_with_the_reason(self, cli, url):
        ended = cli("status", "--url", url)

        assert (ended.code, ended.out) == (1, "")
        assert f"{url}/health/ready does not answer: " in ended.err

    def test_needs_no_service_here(self, cli, project, answering):
        project.write("pyproject.toml", "")
        url = answering(200, '{"status": "ready", "checks": {}}')

        assert cli("status", "--url", url).code == 0


class TestVersion:
    def test_names_what_matters_in_a_report(self, cli):
        plain = cli("version")
        machine = json.loads(cli("version", "--json").out)

        assert plain.code == 0
        assert machine["python"] == platform.python_version()
        assert list(machine) == ["python", "mainspring", "fastapi", "starlette", "pydantic", "sqlalchemy", "uvicorn"]
        assert plain.out.splitlines() == [f"{name} {number}" for name, number in machine.items()]

    def test_of_mainspring_alone_is_an_option(self, cli):
        from mainspring import __version__

        ended = cli("--version")

        assert (ended.code, ended.out) == (0, f"mainspring {__version__}\n")
