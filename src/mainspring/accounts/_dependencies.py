"""Who is asking, as dependencies of routes."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from mainspring.data import Actor, act_as, idempotent
from mainspring.errors import NotAuthenticated, PermissionDenied
from mainspring.http import exchange_of
from mainspring.kernel import Registry

from ._models import User
from ._service import AccountsService

# `auto_error=False`: the 401 is ours, in the service's error format. The URL is below the API prefix, which
# `describe_api` puts before it.
_bearer = OAuth2PasswordBearer(tokenUrl="auth/login", auto_error=False, scheme_name="OAuth2Password")


def accounts_of(request: Request) -> AccountsService:
    """The accounts service of the application that serves the request."""
    registry: Registry = request.app.state.registry
    return registry.get(AccountsService)


Accounts = Annotated[AccountsService, Depends(accounts_of)]


async def _current_user(request: Request, token: Annotated[str | None, Depends(_bearer)], accounts: Accounts) -> User:
    if token is None:
        raise NotAuthenticated("Sign in first: this needs an access token (Authorization: Bearer …).")
    user = await accounts.user_of(token)
    exchange = exchange_of(request.scope)
    if exchange is not None:
        exchange.log.principal = str(user.id)
    act_as(Actor("user", str(user.id)))
    return user


CurrentUser = Annotated[User, Depends(_current_user)]
"""The signed-in user; 401 without one."""


async def _super_user(user: CurrentUser) -> User:
    if not user.is_superuser:
        raise PermissionDenied("This needs an administrator.")
    return user


SuperUser = Annotated[User, Depends(_super_user)]
"""The signed-in administrator; 401 without a user, 403 for another one."""


async def _user_id(user: CurrentUser) -> str:
    return str(user.id)


idempotent_per_user = idempotent(by=_user_id)
"""For `dependencies=[…]` of routes that write: the same `Idempotency-Key` of the same user twice has one effect."""
