"""Accounts as a module."""

from datetime import timedelta

from mainspring.data import Database
from mainspring.kernel import Clock, Migrations, Module, Registry, Resource
from mainspring.mail import Mailer, mail_resource
from mainspring.security import AccessTokens, PasswordHasher

from ._routes import auth, users
from ._service import AccountsService
from ._settings import AccountsSettings


def accounts_module(settings: AccountsSettings, *, issuer: str) -> Module:
    """Users, sign-in and sessions, ready to be listed in `create_app(modules=…)`.

    Args:
        settings: The service's settings.
        issuer: The service's name, as it stands in its tokens.
    """

    async def passwords(_: Registry) -> PasswordHasher:
        return PasswordHasher()

    async def tokens(registry: Registry) -> AccessTokens:
        return AccessTokens(
            settings.secret_key.get_secret_value(),
            issuer=issuer,
            clock=registry.get(Clock),
            lifetime=timedelta(minutes=settings.access_token_expire_minutes),
        )

    async def accounts(registry: Registry) -> AccountsService:
        return AccountsService(
            database=registry.get(Database),
            passwords=registry.get(PasswordHasher),
            tokens=registry.get(AccessTokens),
            mailer=registry.get(Mailer),
            clock=registry.get(Clock),
            refresh_lifetime=timedelta(days=settings.refresh_token_expire_days),
        )

    return Module(
        name="accounts",
        summary="Users, sign-in and sessions",
        settings=AccountsSettings,
        routers=(users, auth),
        migrations=Migrations(package="mainspring.accounts.migrations", models="mainspring.accounts"),
        resources=(
            Resource(provides=PasswordHasher, name="passwords", make=passwords),
            Resource(provides=AccessTokens, name="access-tokens", make=tokens, needs=(Clock,)),
            Resource(
                provides=AccountsService,
                name="accounts",
                make=accounts,
                needs=(Database, PasswordHasher, AccessTokens, Mailer, Clock),
            ),
            mail_resource(settings),
        ),
    )
