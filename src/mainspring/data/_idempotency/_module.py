"""Idempotency keys as a module."""

from datetime import timedelta

from mainspring.errors import IdempotencyKeyInUse, IdempotencyKeyMissing, IdempotencyKeyReused
from mainspring.kernel import Clock, Migrations, Module, Registry, Resource

from ._claims import IdempotencyKeys

_DAY = timedelta(days=1)


def idempotency_module(*, retention: timedelta = _DAY) -> Module:
    """The table and the service behind `idempotent`, ready to be listed in `create_app(modules=…)`.

    Args:
        retention: How long an answer is kept. A day, because clients that retry do it within hours; Stripe keeps them as
            long.
    """

    async def make(registry: Registry) -> IdempotencyKeys:
        return IdempotencyKeys(clock=registry.get(Clock), retention=retention)

    return Module(
        name="idempotency",
        summary="The same request twice has one effect",
        migrations=Migrations(package="mainspring.data._idempotency.migrations", models="mainspring.data._idempotency"),
        resources=(Resource(provides=IdempotencyKeys, name="idempotency-keys", make=make, needs=(Clock,)),),
        errors=(IdempotencyKeyInUse, IdempotencyKeyMissing, IdempotencyKeyReused),
    )
