"""A service with accounts and nothing else."""

from typing import Any

import pytest

from mainspring.accounts import AccountsSettings, SuperUser, UserOut, accounts_module
from mainspring.app import Application, create_app
from mainspring.kernel import Module, Registry, Resource
from mainspring.security import PasswordHasher

PASSWORD = "correct horse battery staple"
API = "/api/v1"


async def _cheap_hasher(_: Registry) -> PasswordHasher:
    return PasswordHasher(time_cost=1, memory_mib=1, parallelism=1)


@pytest.fixture
def resources() -> list[Resource]:
    return [Resource(provides=PasswordHasher, name="passwords", make=_cheap_hasher)]


@pytest.fixture
def build_app():
    from fastapi import APIRouter

    admin = APIRouter()

    @admin.get("/admin", response_model=UserOut)
    async def only_admins(user: SuperUser):
        return user

    def build(settings: AccountsSettings | None = None, **overrides: Any) -> Application:
        settings = settings or AccountsSettings()
        modules = [accounts_module(settings, issuer="shop"), Module(name="admin", routers=(admin,))]
        return create_app("shop", settings=settings, modules=modules, **overrides)

    return build


@pytest.fixture
def register(client):
    async def register(email="ada@example.com", password=PASSWORD, **changes):
        person = {"email": email, "password": password, "password_confirm": password, **changes}
        return await client.post(f"{API}/users", json=person)

    return register


@pytest.fixture
def login(client):
    async def login(email="ada@example.com", password=PASSWORD):
        return await client.post(f"{API}/auth/login", data={"username": email, "password": password})

    return login


@pytest.fixture
async def ada(register, login):
    await register()
    return (await login()).json()
