"""`dev` and `serve`, as processes of their own on real sockets."""

import re
import signal
import socket

import httpx2
import pytest
import typer

from mainspring.cli._banner import banner
from mainspring.cli._listening import bind
from mainspring.cli._serving import serve_here

# A resource that says when it starts and closes, and that one setting makes slow, another broken.
WATCHED = """
    import asyncio
    from fastapi import APIRouter
    from mainspring.app import create_app
    from mainspring.kernel import Module, Resource
    from shop.settings import Settings

    class Index: ...

    def module(settings):
        async def make(registry):
            print("index starts", flush=True)
            if settings.greeting == "slow":
                await asyncio.sleep(60)
            if settings.greeting == "broken":
                raise ConnectionError("nobody home")
            return Index()

        async def close(index):
            print("index closed", flush=True)

        index = Resource(
            provides=Index, name="index", make=make, close=close, start_timeout=90, advice="Start the index."
        )
        router = APIRouter()

        @router.get("/greeting")
        async def greeting() -> str:
            return "hello"

        return Module(name="till", routers=(router,), resources=(index,))

    def build():
        settings = Settings()
        return create_app("shop", settings=settings, modules=[module(settings)])
"""


@pytest.fixture(autouse=True)
def _database(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:///shop.db")


@pytest.fixture
def watched(project):
    project.write("src/shop/app.py", WATCHED)
    return project


@pytest.fixture
def taken_port():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def get(url: str) -> httpx2.Response:
    return httpx2.get(url, timeout=10)


class TestDev:
    @pytest.mark.parametrize("how", ["--reload", "--no-reload"])
    def test_says_where_it_answers_once_it_does_and_ends_cleanly_with_ctrl_c(self, watched, how):
        with watched.start("dev", "--port", "0", how) as service:
            url = service.url()
            answer = get(f"{url}/api/v1/greeting")
            code = service.end(signal.SIGINT)

        assert answer.json() == "hello"
        assert code == 0
        assert "shop is ready (development)" in service.output
        assert re.search(rf"API docs +{url}/docs\n", service.output)
        assert re.search(r"database +sqlite \(WAL\) shop\.db\n", service.output)
        assert "Ctrl-C stops." in service.output
        assert service.output.index("index starts") < service.output.index("is ready")
        assert service.output.count("index closed") == 1
        assert "Traceback" not in service.output
        assert "\x1b" not in service.output

    def test_starts_again_when_a_source_changes_on_the_same_port(self, watched):
        with watched.start("dev", "--port", "0") as service:
            url = service.url()
            folder = watched.folder / "src" / "shop"
            service.wait_for(rf"watching +{re.escape(str(folder))}")
            watched.write("src/shop/app.py", WATCHED.replace('"hello"', '"good evening"'))
            service.wait_for("Ready again")

            assert get(f"{url}/api/v1/greeting").json() == "good evening"
            assert service.end() == 0

    def test_waits_for_the_next_change_after_one_that_broke_it(self, watched):
        with watched.start("dev", "--port", "0") as service:
            url = service.url()
            watched.write("src/shop/app.py", "import shop_stripe\n")
            service.wait_for("starts again after the next change")
            watched.write("src/shop/app.py", WATCHED)
            service.wait_for("Ready again")

            assert get(f"{url}/api/v1/greeting").json() == "hello"
            assert service.end() == 0
        assert "No module named 'shop_stripe'" in service.output
        assert "Traceback" not in service.output

    @pytest.mark.parametrize("how", ["--reload", "--no-reload"])
    def test_names_a_resource_that_does_not_start_and_ends_with_1(self, watched, how):
        with watched.start("dev", "--port", "0", how, GREETING="broken") as service:
            code = service.code()

        assert code == 1
        assert "Resource 'index' could not start: ConnectionError: nobody home. Start the index." in service.output
        assert "is ready" not in service.output
        assert "Traceback" not in service.output

    def test_reports_settings_that_are_not_sound_and_ends_with_78(self, project):
        ended = project.run("dev", "--port", "0", SHOP_GREETNG="hi")

        assert (ended.code, ended.out) == (78, "")
        assert "1. SHOP_GREETNG" in ended.err
        assert "Did you mean SHOP_GREETING?" in ended.err
        assert "Traceback" not in ended.err

    @pytest.mark.parametrize("how", ["--reload", "--no-reload"])
    def test_reports_pending_migrations_where_it_may_not_apply_them_and_ends_with_78(self, project, how):
        ended = project.run("--app", "deepagents.app:build", "dev", "--port", "0", how, MIGRATE_ON_START="false")

        assert ended.code == 78
        assert "Run `mainspring db upgrade` before starting this version" in ended.err
        assert "Traceback" not in ended.err

    def test_says_that_a_port_is_taken_and_what_to_do(self, project, taken_port):
        ended = project.run("dev", "--port", str(taken_port))

        assert (ended.code, ended.out) == (1, "")
        assert f"Port {taken_port} of 127.0.0.1 is taken" in ended.err
        assert "--port" in ended.err
        assert "Traceback" not in ended.err

    def test_says_that_an_address_is_not_this_machines(self, project):
        ended = project.run("dev", "--host", "203.0.113.1")

        assert ended.code == 1
        assert "Cannot listen on 203.0.113.1" in ended.err

    def test_is_development_where_nothing_says_otherwise(self, project):
        project.write(
            "src/shop/settings.py",
            """
            from mainspring.settings import Environment
            from mainspring.settings import Settings as Chassis

            class Settings(Chassis):
                environment: Environment = "production"
            """,
        )

        with project.start("dev", "--port", "0", "--no-reload") as service:
            assert service.wait_for(r"is ready \((\w+)\)") == "development"

    def test_is_what_the_services_own_file_says(self, project):
        project.write(".env", "ENVIRONMENT=test\n")

        with project.start("dev", "--port", "0", "--no-reload") as service:
            assert service.wait_for(r"is ready \((\w+)\)") == "test"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_can_be_stopped_while_it_still_starts(self, watched, number):
        with watched.start("dev", "--port", "0", "--no-reload", GREETING="slow") as service:
            service.wait_for("index starts")
            code = service.end(number)

        assert code == 0
        assert "Traceback" not in service.output


class TestServe:
    def test_answers_without_naming_its_server_and_ends_cleanly_with_sigterm(self, watched):
        with watched.start("serve", "--port", "0") as service:
            service.wait_for('"Ready"')
            answer = get(f"{service.url()}/api/v1/greeting")
            code = service.end(signal.SIGTERM)

        assert (answer.status_code, code) == (200, 0)
        assert "server" not in answer.headers
        assert "date" in answer.headers
        assert service.output.count("index closed") == 1
        assert "is ready" not in service.output
        assert "Traceback" not in service.output

    def test_lets_a_request_in_flight_finish(self, project):
        project.write(
            "src/shop/app.py",
            """
            import asyncio
            from fastapi import APIRouter
            from mainspring.app import create_app
            from mainspring.kernel import Module
            from shop.settings import Settings

            router = APIRouter()

            @router.get("/slow")
            async def slow() -> str:
                print("request arrived", flush=True)
                await asyncio.sleep(1)
                return "done"

            def build():
                return create_app("shop", settings=Settings(), modules=[Module(name="till", routers=(router,))])
            """,
        )
        with project.start("serve", "--port", "0") as service, socket.socket() as client:
            client.settimeout(10)
            client.connect(("127.0.0.1", int(service.url().rpartition(":")[2])))
            client.sendall(b"GET /api/v1/slow HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
            service.wait_for("request arrived")
            code = service.end(signal.SIGTERM)
            answer = b"".join(iter(lambda: client.recv(65536), b""))

        assert code == 0
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b'"done"')

    @pytest.mark.timeout(120)
    def test_runs_several_workers_on_one_port(self, watched):
        with watched.start("serve", "--port", "0", "--workers", "2") as service:
            service.wait_for("Worker ready", times=2)
            answer = get(f"{service.url()}/api/v1/greeting")
            code = service.end(signal.SIGTERM)

        assert (answer.json(), code) == ("hello", 0)
        assert service.output.count("index closed") == 2
        assert "Traceback" not in service.output

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_names_a_resource_that_does_not_start_once_and_ends_with_1(self, watched, workers):
        ended = watched.run("serve", "--port", "0", "--workers", workers, GREETING="broken")

        assert ended.code == 1
        assert ended.err.count("Resource 'index' could not start: ConnectionError: nobody home.") == 1
        assert "Traceback" not in ended.out + ended.err

    def test_ends_as_its_first_worker_does_when_that_cannot_start_instead_of_trying_for_ever(self, project):
        project.write(
            "src/other.py",
            """
            import os
            from mainspring.settings import BootError, Problem
            from shop.app import build as build_shop

            def build():
                if "MAINSPRING_RUN_DIRECTORY" in os.environ:
                    raise BootError([Problem("WORKER", "It does not like its parent.", "Ask it.")])
                return build_shop()
            """,
        )

        ended = project.run("--app", "other:build", "serve", "--port", "0", "--workers", "2")

        assert ended.code == 78
        assert ended.err.count("1. WORKER") == 1
        assert "Traceback" not in ended.out + ended.err

    def test_in_production_reports_everything_that_is_missing_and_ends_with_78(self, project):
        ended = project.run("serve", "--port", "0", "--workers", "2", ENVIRONMENT="production")

        assert (ended.code, ended.out) == (78, "")
        assert re.findall(r"^  \d+\. (\w+)", ended.err, re.MULTILINE) == ["SECRET_KEY", "ALLOWED_HOSTS", "SHOP_WORKERS"]

    def test_takes_the_number_of_workers_by_way_of_the_settings_wherever_their_class_is(self, cli, project):
        project.write(
            "src/other.py",
            """
            from pydantic_settings import SettingsConfigDict
            from mainspring.app import create_app
            from mainspring.settings import Settings

            class Knobs(Settings):
                model_config = SettingsConfigDict(env_prefix="OTHER_")

            def build():
                return create_app("other", settings=Knobs())
            """,
        )
        sound = "ENVIRONMENT=production\nDATABASE_URL=sqlite:///shop.db\nALLOWED_HOSTS=shop.test\n"
        project.write(".env", f"{sound}SECRET_KEY={cli('config', 'secret').out}")

        ended = cli("--app", "other:build", "serve", "--workers", "3")

        assert (ended.code, ended.out) == (78, "")
        assert "OTHER_WORKERS  [environment]\n     3 processes would share one SQLite file" in ended.err

    def test_does_not_quietly_run_with_another_number_of_workers(self, cli, project):
        project.write(
            "src/other.py",
            """
            from mainspring.app import create_app
            from mainspring.settings import Settings

            def build():
                return create_app("other", settings=Settings(workers=2))
            """,
        )

        ended = cli("--app", "other:build", "serve", "--workers", "3")

        assert (ended.code, ended.out) == (2, "")
        assert "sets workers=2, so it cannot be 3" in ended.err

    def test_says_that_a_port_is_taken(self, project, taken_port):
        ended = project.run("serve", "--port", str(taken_port))

        assert (ended.code, f"Port {taken_port} of 127.0.0.1 is taken" in ended.err) == (1, True)


def test_a_port_taken_between_binding_and_listening_is_told_like_any_other(tmp_path, compose, capsys):
    app = compose(database_url=f"sqlite:///{tmp_path}/shop.db")()
    listener = bind("127.0.0.1", 0)
    with socket.socket() as quicker, pytest.raises(typer.Exit) as ended:
        quicker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        quicker.bind(listener.getsockname())
        quicker.listen()
        serve_here(app, listener, on_ready=pytest.fail)
    listener.close()

    assert ended.value.exit_code == 1
    assert "is taken by another program" in capsys.readouterr().err


class TestTheBanner:
    @pytest.fixture
    def lines(self, compose):
        def of(*routers, host="127.0.0.1", pages=(), **values) -> list[str]:
            from mainspring.app import create_app
            from mainspring.kernel import Module
            from mainspring.settings import Settings

            settings = Settings(environment="test", database_url="sqlite:///shop.db", **values)
            app = create_app("shop", settings=settings, modules=[Module(name="till", routers=routers, pages=pages)])
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
                listener.bind((host, 0))
                port = str(listener.getsockname()[1])
                text = banner(app, listener)
            return [line.strip() for line in text.replace(port, "PORT").splitlines()]

        return of

    def test_names_what_the_service_has_and_nothing_else(self, lines):
        shown = lines(enable_docs=False)

        assert "API       http://127.0.0.1:PORT/api/v1" in shown
        assert "health    http://127.0.0.1:PORT/health/ready" in shown
        assert not any(line.startswith(("page", "API docs", "watching", "To sign in")) for line in shown)

    def test_names_the_page_and_how_to_sign_in_where_there_are_such(self, lines):
        from fastapi import APIRouter

        page, accounts = APIRouter(), APIRouter()
        page.get("/")(lambda: "welcome")
        accounts.post("/auth/login")(lambda: "token")

        with_page = lines(accounts, pages=(page,), api_prefix="/api")
        without = lines(accounts, api_prefix="/api")

        assert "page      http://127.0.0.1:PORT/" in with_page
        assert "To sign in, register on the page; POST /api/auth/login then gives a token." in with_page
        assert "To sign in, register by POST /api/users; POST /api/auth/login then gives a token." in without

    @pytest.mark.parametrize(
        ("host", "url"),
        [
            ("0.0.0.0", "http://127.0.0.1:PORT/api/v1"),
            ("127.0.0.1", "http://127.0.0.1:PORT/api/v1"),
            ("::1", "http://[::1]:PORT/api/v1"),
            ("::", "http://[::1]:PORT/api/v1"),
        ],
    )
    def test_gives_addresses_that_can_be_opened(self, lines, host, url):
        if ":" in host and not socket.has_ipv6:
            pytest.skip("this machine has no IPv6")

        assert f"API       {url}" in lines(host=host)
