"""The audit trail as a module."""

from collections.abc import Iterable
from typing import Any

from mainspring.data._base import Base
from mainspring.data._database import Database
from mainspring.kernel import Clock, Migrations, Module, Registry, Resource

from ._settings import AuditTrailSettings
from ._trail import AuditTrail


def audit_trail_module(
    settings: AuditTrailSettings,
    *,
    models: Iterable[type[Base]] = (),
    require_actor: bool = False,
    routers: tuple[Any, ...] = (),
) -> Module:
    """The tables and the recording behind `Audited`, ready to be listed in `create_app(modules=…)`.

    Args:
        settings: The service's settings.
        models: Audited although they do not say so: `models=[User]`.
        require_actor: Refuse changes for which nobody was named. Off by default: a command or a job that forgot to say who
            it is should leave an entry rather than fail.
        routers: `audit_trail_router(…)`, if the trail is to be asked over HTTP.
    """
    audited = tuple(models)

    async def make(registry: Registry) -> AuditTrail:
        trail = await AuditTrail.on(
            registry.get(Database),
            settings.secret_key.get_secret_value(),
            former=[secret.get_secret_value() for secret in settings.former_secret_keys],
            clock=registry.get(Clock),
            require_actor=require_actor,
            models=audited,
        )
        if settings.audit_trail_seal_seconds:
            trail.start(settings.audit_trail_seal_seconds)
        return trail

    return Module(
        name="audit_trail",
        summary="Who changed what, in a chain that shows tampering",
        settings=AuditTrailSettings,
        routers=routers,
        migrations=Migrations(package="mainspring.data._audit_trail.migrations", models="mainspring.data._audit_trail"),
        resources=(
            Resource(
                provides=AuditTrail, name="audit-trail", make=make, close=AuditTrail.stop, needs=(Database, Clock)
            ),
        ),
    )
