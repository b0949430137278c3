"""A service starts all of its parts in order or none, and closes what it started."""

import pytest
from sqlalchemy import text

from mainspring.accounts import AccountsSettings, accounts_module
from mainspring.app import create_app
from mainspring.data import Database
from mainspring.errors import Conflict
from mainspring.kernel import Clock, FrozenClock, Module, Resource, ResourceFailed
from mainspring.settings import BootError, Settings

SECRET = "q8s7dJ2kLp0VbX4nT6yR1wZ3mC5hF9aEuGiKoNqS"


class Broker: ...


class Queue: ...


class Mailer: ...


def recorded(kind, journal, *needs, fails=False):
    name = kind.__name__.lower()

    async def make(registry):
        for need in needs:
            assert registry.get(need) is not None
        if fails:
            raise OSError("refused")
        journal.append(f"start {name}")
        return kind()

    async def close(_):
        journal.append(f"close {name}")

    return Resource(provides=kind, name=name, make=make, close=close, needs=needs, advice=f"Start the {name}.")


def sign_in(**values):
    settings = AccountsSettings(**values)
    return create_app("shop", settings=settings, modules=[accounts_module(settings, issuer="shop")])


class TestOrder:
    async def test_resources_start_by_need_and_close_in_reverse(self, compose_service):
        journal = []
        brought = Module(name="m", resources=(recorded(Mailer, journal, Queue), recorded(Queue, journal, Broker)))
        app = compose_service(brought, resources=[recorded(Broker, journal, Database)])

        async with app.router.lifespan_context(app):
            assert journal == ["start broker", "start queue", "start mailer"]
        assert journal[3:] == ["close mailer", "close queue", "close broker"]

    async def test_one_that_fails_names_itself_and_its_advice_and_the_others_are_closed(self, compose_service):
        journal = []
        parts = [
            recorded(Broker, journal),
            recorded(Queue, journal, Broker, fails=True),
            recorded(Mailer, journal, Queue),
        ]
        app = compose_service(resources=parts)

        with pytest.raises(ResourceFailed, match=r"'queue'.*refused.*Start the queue\."):
            async with app.router.lifespan_context(app):
                raise AssertionError("it runs")
        assert journal == ["start broker", "close broker"]

    async def test_what_breaks_while_it_runs_closes_everything_and_is_raised(self, compose_service):
        journal = []
        app = compose_service(resources=[recorded(Broker, journal)])

        with pytest.raises(ZeroDivisionError):
            async with app.router.lifespan_context(app):
                raise ZeroDivisionError
        assert journal == ["start broker", "close broker"]

    async def test_a_service_can_be_started_again(self, compose_service):
        journal = []
        app = compose_service(resources=[recorded(Broker, journal)])
        for _ in range(2):
            async with app.router.lifespan_context(app):
                assert app.registry.get(Broker)

        assert journal == ["start broker", "close broker"] * 2


class TestSchema:
    async def test_when_pending_migrations_stop_the_start_what_has_started_is_closed(self, tmp_path):
        journal = []
        settings = AccountsSettings(
            environment="test", database_url=f"sqlite:///{tmp_path}/test.db", migrate_on_start=False
        )
        modules = [accounts_module(settings, issuer="shop")]
        app = create_app("shop", settings=settings, modules=modules, resources=[recorded(Broker, journal)])

        with pytest.raises(BootError, match=r"(?s)migrations.*accounts_0001.*mainspring db upgrade"):
            async with app.router.lifespan_context(app):
                raise AssertionError("it runs")
        assert journal == ["start broker", "close broker"]

    @pytest.mark.parametrize("environment", ["production", "staging"])
    async def test_production_migrates_by_itself_when_it_is_told_to(self, tmp_path, environment):
        app = sign_in(
            environment=environment,
            secret_key=SECRET,
            allowed_hosts="testserver",
            allow_in_production="caught-mail",
            database_url=f"sqlite:///{tmp_path}/test.db",
            migrate_on_start=True,
        )

        async with app.router.lifespan_context(app), app.registry.get(Database).read() as session:
            assert (await session.execute(text("SELECT count(*) FROM users"))).scalar() == 0

    async def test_once_migrated_production_starts(self, tmp_path):
        url = f"sqlite:///{tmp_path}/test.db"
        first = sign_in(environment="development", database_url=url)
        async with first.router.lifespan_context(first):
            pass
        app = sign_in(
            environment="production",
            secret_key=SECRET,
            allowed_hosts="testserver",
            allow_in_production="caught-mail",
            database_url=url,
        )

        async with app.router.lifespan_context(app):
            assert app.registry.get(Database)


class TestOverrides:
    async def test_a_database_that_is_handed_in_is_used_and_the_configured_one_never_opened(
        self, compose_service, tmp_path
    ):
        url = f"sqlite:///{tmp_path}/mine.db"

        async def make(_):
            return Database.connect(url, pool_size=1, pool_timeout=1, application_name="mine")

        mine = Resource(provides=Database, name="database", make=make, close=Database.close, ping=Database.ping)
        app = compose_service(resources=[mine], database_url=f"sqlite:///{tmp_path}/configured.db")

        async with app.router.lifespan_context(app), app.registry.get(Database).write() as session:
            await session.execute(text("CREATE TABLE t (n int)"))
        assert {path.name for path in tmp_path.iterdir() if path.suffix == ".db"} == {"mine.db"}

    async def test_the_clock_that_is_handed_in_is_everybodys(self, tmp_path):
        clock = FrozenClock.__new__(FrozenClock)
        app = create_app(
            "shop", settings=Settings(environment="test", database_url=f"sqlite:///{tmp_path}/t.db"), clock=clock
        )

        async with app.router.lifespan_context(app):
            assert app.registry.get(Clock) is app.state.clock is clock

    async def test_the_settings_are_a_resource_too(self, compose_service):
        app = compose_service()

        async with app.router.lifespan_context(app):
            assert app.registry.get(Settings) is app.settings is app.state.settings


class TestMisfits:
    def test_every_pair_of_errors_that_share_a_code_is_reported(self, compose_service):
        def twin(code):
            return type(f"Own{code.title().replace('_', '')}", (Conflict,), {"code": code})

        with pytest.raises(BootError) as refused:
            compose_service(
                Module(name="m", errors=(twin("CONFLICT"), twin("RATE_LIMITED"), twin("MINE"), twin("MINE")))
            )

        messages = [problem.message for problem in refused.value.problems]
        assert len(messages) == 3
        for name in ("OwnConflict", "OwnRateLimited", "OwnMine"):
            assert any(name in message for message in messages)

    def test_every_misfit_of_the_resources_is_a_problem_of_its_own(self, compose_service):
        async def make(_): ...

        circle = [
            Resource(provides=Broker, name="broker", make=make, needs=(Queue,)),
            Resource(provides=Queue, name="queue", make=make, needs=(Broker,)),
            Resource(provides=Mailer, name="mailer", make=make, needs=(dict, list)),
        ]
        with pytest.raises(BootError) as refused:
            compose_service(resources=circle)

        report = str(refused.value)
        assert "Broker" in report
        assert "circle" in report
        assert "dict" in report
        assert "list" in report
        assert all(problem.fix for problem in refused.value.problems)

    @pytest.mark.parametrize(
        "url", ["nonsense", "mysql://db/shop", "sqlite://", "sqlite:///:memory:", "http://x/y", ""]
    )
    def test_a_database_url_that_cannot_work_is_reported_with_its_setting(self, compose_service, url, monkeypatch):
        with pytest.raises(BootError) as refused:
            compose_service(database_url=url)

        assert {problem.key.lower() for problem in refused.value.problems} == {"database_url"}

    def test_a_password_in_a_bad_url_is_not_in_the_report(self, compose_service):
        with pytest.raises(BootError) as refused:
            compose_service(database_url="mysql://shop:hunter2@db/shop")

        assert "hunter2" not in str(refused.value)

    def test_a_module_that_is_listed_twice_is_reported_once(self, compose_service):
        module = Module(name="twice")

        with pytest.raises(BootError) as refused:
            compose_service(module, module)
        assert [problem.key for problem in refused.value.problems] == ["module twice"]

    def test_a_misfit_leaves_nothing_behind(self, compose_service, tmp_path):
        with pytest.raises(BootError):
            compose_service(Module(name="a"), Module(name="a"))

        assert list(tmp_path.iterdir()) == []
