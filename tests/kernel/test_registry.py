"""Resources start, close and answer as declared."""

import asyncio
import itertools
import logging
import re

import pytest

from mainspring.kernel import Registry, RegistryError, Resource, ResourceFailed


class Base:
    """Something to look up; subclasses are the types of the resources."""

    def __init__(self, journal=None):
        self.journal = journal if journal is not None else []


def kind(name):
    return type(name, (Base,), {})


A, B, C = kind("A"), kind("B"), kind("C")


def resource(provides, *, journal=None, needs=(), **options):
    journal = journal if journal is not None else []

    async def make(registry):
        for need in needs:
            registry.get(need)
        journal.append(f"+{provides.__name__}")
        return provides(journal)

    async def close(live):
        live.journal.append(f"-{provides.__name__}")

    defaults = {"name": provides.__name__.lower(), "make": make, "close": close, "needs": needs}
    return Resource(provides=provides, **(defaults | options))


async def never(_):
    await asyncio.Event().wait()


async def broken(_):
    raise OSError("connection refused")


async def cancels_itself(_):
    """Ends as `task.cancel(); await task` does."""
    task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()
    await task


def meeting(mine, other):
    """Ends only if the other one has begun meanwhile."""

    async def meet(_):
        mine.set()
        await other.wait()

    return meet


class TestStarting:
    async def test_what_is_needed_comes_up_first_whatever_the_order_of_declaration(self):
        journal = []
        registry = Registry(
            [
                resource(C, journal=journal, needs=(A, B)),
                resource(B, journal=journal, needs=(A,)),
                resource(A, journal=journal),
            ]
        )

        await registry.start()

        assert journal == ["+A", "+B", "+C"]
        assert isinstance(registry.get(C), C)

    async def test_independent_resources_start_at_the_same_time(self):
        a, b = asyncio.Event(), asyncio.Event()
        registry = Registry([resource(A, make=meeting(a, b)), resource(B, make=meeting(b, a))])

        async with asyncio.timeout(2):
            await registry.start()

    async def test_what_needs_the_same_thing_starts_at_the_same_time_after_it(self):
        b, c = asyncio.Event(), asyncio.Event()

        async def base(_):
            assert not b.is_set()
            assert not c.is_set()
            return A()

        registry = Registry(
            [
                resource(B, make=meeting(b, c), needs=(A,)),
                resource(C, make=meeting(c, b), needs=(A,)),
                resource(A, make=base),
            ]
        )

        async with asyncio.timeout(2):
            await registry.start()

    async def test_a_failure_is_one_exception_that_names_the_resource_its_backend_and_the_advice(self):
        failing = resource(
            A, make=broken, backend="postgresql db:5432", chosen_by="DATABASE_URL", advice="Start the server."
        )

        with pytest.raises(ResourceFailed) as failed:
            await Registry([failing, resource(B)]).start()

        assert str(failed.value) == (
            "Resource 'a' (postgresql db:5432, chosen by DATABASE_URL) could not start: "
            "OSError: connection refused. Start the server."
        )
        assert failed.value.resource is failing
        assert isinstance(failed.value.__cause__, OSError)

    async def test_a_failure_closes_what_was_already_up(self):
        journal = []
        registry = Registry([resource(A, journal=journal), resource(B, make=broken, needs=(A,))])

        with pytest.raises(ResourceFailed):
            await registry.start()

        assert journal == ["+A", "-A"]

    async def test_a_failure_stops_what_is_still_being_made(self):
        journal = []
        begun = asyncio.Event()

        async def slow(_):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                journal.append("given up")

        async def failing(_):
            await begun.wait()
            raise OSError("connection refused")

        registry = Registry([resource(A, make=slow), resource(B, make=failing)])

        with pytest.raises(ResourceFailed, match="'b' could not start: OSError"):
            await registry.start()

        assert journal == ["given up"]
        assert registry.find(A) is None

    async def test_a_close_that_fails_too_does_not_hide_why_the_start_failed(self, caplog):
        journal = []

        async def stuck(_):
            raise RuntimeError("stuck")

        registry = Registry(
            [
                resource(A, journal=journal),
                resource(B, journal=journal, needs=(A,), close=stuck),
                resource(C, make=broken, needs=(B,)),
            ]
        )

        with pytest.raises(ResourceFailed, match="'c' could not start"):
            await registry.start()

        assert journal == ["+A", "+B", "-A"]
        assert "Closing resource b failed" in caplog.text

    async def test_two_failures_at_once_are_still_one_exception(self):
        registry = Registry([resource(A, make=broken), resource(B, make=broken)])

        with pytest.raises(ResourceFailed, match=r"'a'|'b'"):
            await registry.start()

    async def test_a_resource_that_takes_too_long_says_how_long_it_had(self):
        with pytest.raises(ResourceFailed, match=r"did not come up within 0\.01 s"):
            await Registry([resource(A, make=never, start_timeout=0.01)]).start()

    @pytest.mark.parametrize(
        ("error", "reason"),
        [(TimeoutError("no answer from db"), "TimeoutError: no answer from db."), (EOFError(), "EOFError.")],
    )
    async def test_a_timeout_of_its_own_and_an_error_without_a_text_are_told_as_what_they_are(self, error, reason):
        async def failing(_):
            raise error

        with pytest.raises(ResourceFailed) as failed:
            await Registry([resource(A, make=failing)]).start()

        assert str(failed.value) == f"Resource 'a' could not start: {reason}"

    async def test_a_make_that_ends_cancelled_though_nobody_asked_has_failed(self):
        registry = Registry([resource(A, make=cancels_itself), resource(B, needs=(A,))])

        async with asyncio.timeout(2):
            with pytest.raises(ResourceFailed, match=r"'a' could not start: .* was cancelled"):
                await registry.start()

    async def test_what_runs_is_not_started_again(self):
        journal = []
        registry = Registry([resource(A, journal=journal)])
        await registry.start()

        with pytest.raises(RuntimeError, match="Close the registry"):
            await registry.start()

        assert journal == ["+A"]

    async def test_after_a_close_it_starts_anew_and_forgets_old_failures(self):
        attempts = iter([OSError("not yet"), None])

        async def second_time(_):
            if error := next(attempts):
                raise error
            return A()

        registry = Registry([resource(A, make=second_time, required=False)])
        await registry.start()
        assert list(registry.failures) == ["a"]
        await registry.close()

        await registry.start()

        assert registry.failures == {}
        assert isinstance(registry.get(A), A)

    async def test_a_cancelled_start_closes_what_was_already_up(self):
        journal = []
        registry = Registry([resource(A, journal=journal), resource(B, make=never, needs=(A,))])
        starting = asyncio.create_task(registry.start())
        async with asyncio.timeout(2):
            while not journal:
                await asyncio.sleep(0)

        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

        assert journal == ["+A", "-A"]

    async def test_an_optional_resource_that_fails_is_warned_about_and_left_out(self, caplog):
        registry = Registry([resource(A, make=broken, required=False), resource(B)])

        with caplog.at_level(logging.WARNING):
            await registry.start()

        assert registry.find(A) is None
        assert isinstance(registry.find(B), B)
        assert "optional" in caplog.text
        assert list(registry.failures) == ["a"]
        with pytest.raises(LookupError, match="connection refused"):
            registry.get(A)

    async def test_what_needs_an_absent_optional_resource_fails_by_its_own_rule(self):
        optional = resource(A, make=broken, required=False)

        with pytest.raises(ResourceFailed, match=r"'b' could not start.*A is not available"):
            await Registry([optional, resource(B, needs=(A,))]).start()
        registry = Registry([optional, resource(B, needs=(A,), required=False), resource(C)])
        await registry.start()

        assert list(registry.failures) == ["a", "b"]
        assert {health.name: health.state for health in await registry.ping()} == {
            "a": "degraded",
            "b": "degraded",
            "c": "up",
        }

    async def test_an_optional_resource_that_takes_too_long_holds_the_start_up_no_longer_than_it_may(self):
        registry = Registry([resource(A, make=never, start_timeout=0.01, required=False), resource(B)])

        async with asyncio.timeout(2):
            await registry.start()

        assert "did not come up within 0.01 s" in str(registry.failures["a"])
        assert isinstance(registry.get(B), B)


class TestClosing:
    async def test_the_last_started_closes_first(self):
        journal = []
        registry = Registry([resource(A, journal=journal), resource(B, journal=journal, needs=(A,))])
        await registry.start()

        await registry.close()

        assert journal == ["+A", "+B", "-B", "-A"]

    async def test_a_close_that_fails_is_logged_and_hides_no_other(self, caplog):
        journal = []

        async def failing(_):
            raise RuntimeError("stuck")

        registry = Registry([resource(A, journal=journal), resource(B, journal=journal, needs=(A,), close=failing)])
        await registry.start()

        await registry.close()

        assert journal == ["+A", "+B", "-A"]
        assert "Closing resource b failed" in caplog.text
        assert "stuck" in caplog.text

    async def test_a_close_that_ends_cancelled_though_nobody_asked_hides_no_other(self, caplog):
        journal = []
        registry = Registry(
            [resource(A, journal=journal), resource(B, journal=journal, needs=(A,), close=cancels_itself)]
        )
        await registry.start()

        await registry.close()

        assert journal == ["+A", "+B", "-A"]
        assert "Closing resource b failed" in caplog.text

    async def test_a_close_can_be_cancelled_and_taken_up_again(self):
        journal = []
        registry = Registry([resource(A, journal=journal), resource(B, needs=(A,), close=never)])
        await registry.start()

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await registry.close()
        assert journal == ["+A"]
        await registry.close()

        assert journal == ["+A", "-A"]

    async def test_closing_twice_closes_once(self):
        journal = []
        registry = Registry([resource(A, journal=journal)])
        await registry.start()

        await registry.close()
        await registry.close()

        assert journal == ["+A", "-A"]

    async def test_a_resource_without_close_is_just_forgotten(self):
        registry = Registry([resource(A, close=None)])
        await registry.start()
        await registry.close()

        assert registry.find(A) is None


class TestPinging:
    async def test_every_state_is_told_apart(self):
        async def fine(_):
            pass

        async def refuses(_):
            raise OSError("no route")

        registry = Registry(
            [
                resource(A, ping=fine),
                resource(B, ping=refuses),
                resource(C, ping=refuses, required=False),
                resource(kind("Plain")),
                resource(kind("Absent"), make=broken, required=False),
            ]
        )
        await registry.start()

        health = {h.name: h for h in await registry.ping()}

        states = {name: h.state for name, h in health.items()}
        assert states == {"a": "up", "b": "down", "c": "degraded", "plain": "up", "absent": "degraded"}
        assert {name for name, h in health.items() if not h.required} == {"c", "absent"}
        assert health["b"].detail == "OSError: no route"
        assert "connection refused" in health["absent"].detail
        assert all(not h.detail for h in health.values() if h.state == "up")

    async def test_all_are_asked_at_the_same_time(self):
        a, b = asyncio.Event(), asyncio.Event()
        registry = Registry([resource(A, ping=meeting(a, b)), resource(B, ping=meeting(b, a))])
        await registry.start()

        health = await registry.ping(timeout=2)

        assert [h.state for h in health] == ["up", "up"]

    async def test_what_a_ping_brings_upon_itself_is_its_detail(self):
        async def gives_up(_):
            raise TimeoutError("the server took 30 s")

        async def silent(_):
            raise ConnectionResetError

        registry = Registry(
            [resource(A, ping=gives_up), resource(B, ping=cancels_itself), resource(C, ping=silent, required=False)]
        )
        await registry.start()

        a, b, c = await registry.ping()

        assert (a.state, a.detail) == ("down", "TimeoutError: the server took 30 s")
        assert b.state == "down"
        assert "cancelled" in b.detail
        assert (c.state, c.detail) == ("degraded", "ConnectionResetError")

    async def test_a_cancelled_round_of_pings_is_cancelled(self):
        registry = Registry([resource(A, ping=never)])
        await registry.start()

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await registry.ping(timeout=30)

    async def test_it_says_how_long_the_answer_took(self):
        async def after_a_while(_):
            await asyncio.sleep(0.02)

        registry = Registry([resource(A, ping=after_a_while)])
        await registry.start()

        (health,) = await registry.ping()

        assert 19 < health.milliseconds < 2000

    async def test_a_ping_that_hangs_is_down_after_the_timeout_and_delays_no_other(self):
        registry = Registry([resource(A, ping=never), resource(B, ping=never)])
        await registry.start()

        async with asyncio.timeout(1):
            health = await registry.ping(timeout=0.01)

        assert [(h.state, h.detail) for h in health] == [("down", "no answer within 0.01 s")] * 2

    async def test_before_the_start_everything_is_down(self):
        (health,) = await Registry([resource(A)]).ping()

        assert health.state == "down"
        assert "lifespan" in health.detail


class TestDeclaring:
    def test_every_misfit_is_listed_at_once(self):
        with pytest.raises(RegistryError) as refused:
            Registry(
                [
                    resource(A, needs=(kind("Missing"),)),
                    resource(A, name="again"),
                    resource(B, needs=(C,)),
                    resource(C, needs=(B,)),
                ]
            )

        message = str(refused.value)
        assert "A is provided twice: by 'a' and by 'again'." in message
        assert "'a' needs Missing, which nothing provides" in message
        assert "in a circle: B -> C -> B" in message or "in a circle: C -> B -> C" in message
        assert len(message.splitlines()) == 3

    def test_every_circle_is_listed(self):
        d, e = kind("D"), kind("E")
        with pytest.raises(RegistryError) as refused:
            Registry(
                [
                    resource(A, needs=(B, C)),
                    resource(B, needs=(A,)),
                    resource(C, needs=(A,)),
                    resource(d, needs=(d,)),
                    resource(e, needs=(A,)),
                ]
            )

        circles = [set(re.findall(r"\b[A-E]\b", line)) for line in str(refused.value).splitlines()]
        assert sorted(map(sorted, circles)) == [["A", "B"], ["A", "C"], ["D"]]

    def test_a_circle_is_told_in_the_direction_of_need(self):
        with pytest.raises(RegistryError) as refused:
            Registry([resource(A, needs=(B,)), resource(B, needs=(C,)), resource(C, needs=(A,))])

        path = (
            str(refused.value).removeprefix("Resources need each other in a circle: ").removesuffix(".").split(" -> ")
        )
        assert set(itertools.pairwise(path)) == {("A", "B"), ("B", "C"), ("C", "A")}

    def test_it_lists_what_was_declared_in_that_order(self):
        declared = (resource(B, needs=(A,)), resource(A))

        assert Registry(declared).resources == declared

    def test_two_resources_of_one_name_are_refused(self):
        with pytest.raises(RegistryError, match="named 'same'"):
            Registry([resource(A, name="same"), resource(B, name="same")])

    def test_asking_for_what_nobody_provides_lists_what_there_is(self):
        with pytest.raises(LookupError, match="No resource provides B; this application has: A"):
            Registry([resource(A)]).get(B)
