"""The outbox as a module."""

from collections.abc import Callable

from mainspring.data._database import Database
from mainspring.kernel import Clock, Migrations, Module, Registry, Resource

from ._outbox import Outbox
from ._relay import Deliver, OutboxRelay


def outbox_module(
    deliver: Callable[[Registry], Deliver] | None = None, *, needs: tuple[type[object], ...] = ()
) -> Module:
    """The outbox's table, and a relay in each process that delivers what it holds.

    Args:
        deliver: Makes the hook, once what it needs is up. None where another service or process delivers.
        needs: What the hook asks the registry for.
    """

    async def outbox(registry: Registry) -> Outbox:
        return Outbox(clock=registry.get(Clock))

    async def relay(registry: Registry) -> OutboxRelay:
        assert deliver is not None
        made = OutboxRelay(registry.get(Database), registry.get(Outbox), deliver(registry), clock=registry.get(Clock))
        made.start()
        return made

    resources = [Resource(provides=Outbox, name="outbox", make=outbox, needs=(Clock,))]
    delivering = Resource(
        provides=OutboxRelay,
        name="outbox-relay",
        make=relay,
        close=OutboxRelay.stop,
        needs=(Database, Outbox, Clock, *needs),
    )
    return Module(
        name="outbox",
        summary="Messages that leave after the commit",
        migrations=Migrations(package="mainspring.data._outbox.migrations", models="mainspring.data._outbox"),
        resources=(*resources, delivering) if deliver is not None else tuple(resources),
    )
