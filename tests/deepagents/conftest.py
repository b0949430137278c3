"""DeepAgents under test, with people signed in."""

from collections.abc import Awaitable, Callable

import pytest
from httpx2 import AsyncClient

from mainspring.kernel import Registry, Resource
from mainspring.security import PasswordHasher

PASSWORD = "correct horse battery staple"
API = "/api/v1"

type SignIn = Callable[[str], Awaitable[dict[str, str]]]


async def _cheap_hasher(_: Registry) -> PasswordHasher:
    # The real parameters take tens of milliseconds per hash, which prove nothing here.
    return PasswordHasher(time_cost=1, memory_mib=1, parallelism=1)


@pytest.fixture
def resources() -> list[Resource]:
    return [Resource(provides=PasswordHasher, name="passwords", make=_cheap_hasher)]


@pytest.fixture
def sign_in(client: AsyncClient) -> SignIn:
    """Registers somebody and gives the headers of a signed-in request."""

    async def sign_in(email: str) -> dict[str, str]:
        person = {"email": email, "password": PASSWORD, "password_confirm": PASSWORD}
        assert (await client.post(f"{API}/users", json=person)).status_code == 201
        answer = await client.post(f"{API}/auth/login", data={"username": email, "password": PASSWORD})
        return {"authorization": f"Bearer {answer.json()['access_token']}"}

    return sign_in


@pytest.fixture
async def ada(sign_in: SignIn) -> dict[str, str]:
    return await sign_in("ada@example.com")


@pytest.fixture
async def bob(sign_in: SignIn) -> dict[str, str]:
    return await sign_in("bob@example.com")


@pytest.fixture
async def agent(client: AsyncClient, ada: dict[str, str]) -> dict:
    new = {"name": "helper", "model_name": "scripted", "tools": ["calculator", "text_statistics"]}
    return (await client.post(f"{API}/agents", headers=ada, json=new)).json()
