"""The same through the store: objects at `/items`, projections at `/projected`."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bench.apps.items import URL, Item, ItemIn, ItemOut
from mainspring.app import create_app
from mainspring.data import ReadSession, Store, WriteSession, database_url
from mainspring.kernel import Module
from mainspring.observability import configure_logging
from mainspring.settings import Settings

router = APIRouter()


@router.get("/items/{item_id}")
async def get_item(item_id: UUID, session: ReadSession) -> ItemOut:
    return ItemOut.model_validate(await Store(Item, session).get(item_id))


@router.get("/items", response_model=list[ItemOut])
async def list_items(session: ReadSession, limit: int = 20) -> Sequence[Item]:
    return await Store(Item, session).list(limit=limit)


@router.post("/items", status_code=201)
async def add_item(body: ItemIn, session: WriteSession) -> ItemOut:
    return ItemOut.model_validate(await Store(Item, session).add(Item(**body.model_dump())))


async def plain_unit(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.plain_sessions() as session:
        yield session
        await session.commit()


@router.post("/plain", status_code=201)
async def add_plainly(body: ItemIn, session: Annotated[AsyncSession, Depends(plain_unit, scope="function")]) -> ItemOut:
    """The usual way within the same pipeline, so that the difference is the data's."""
    item = Item(**body.model_dump())
    session.add(item)
    await session.flush()
    return ItemOut.model_validate(item)


@router.get("/projected/{item_id}")
async def get_projected(item_id: UUID, session: ReadSession) -> ItemOut:
    return await Store(Item, session).into(ItemOut).get(item_id)


@router.get("/projected")
async def list_projected(session: ReadSession, limit: int = 20) -> Sequence[ItemOut]:
    return await Store(Item, session).into(ItemOut).list(limit=limit)


def build() -> FastAPI:
    configure_logging(form="json", stream=Path("access.log").open("a", encoding="utf-8"))
    settings = Settings(api_prefix="", allowed_hosts=("127.0.0.1",), database_url=URL, enable_docs=False)
    app = create_app("bench", settings=settings, modules=[Module(name="bench", routers=(router,))])
    engine = create_async_engine(database_url(URL), pool_size=10, max_overflow=0)
    app.state.plain_sessions = async_sessionmaker(engine, expire_on_commit=False)
    return app
