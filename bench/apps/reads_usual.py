"""The usual way: an ORM session as a dependency, committed or rolled back around each request."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bench.apps.items import URL, Item, ItemIn, ItemOut
from mainspring.data import database_url


def build() -> FastAPI:
    engine = create_async_engine(database_url(URL), pool_size=10, max_overflow=0)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    app = FastAPI()

    async def session_of_request() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    async def unit_of_request() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session
            await session.commit()

    Session = Annotated[AsyncSession, Depends(session_of_request)]  # noqa: N806 -- a type
    Unit = Annotated[AsyncSession, Depends(unit_of_request, scope="function")]  # noqa: N806 -- a type

    @app.get("/items/{item_id}")
    async def get_item(item_id: UUID, session: Session) -> ItemOut:
        item = await session.get(Item, item_id)
        if item is None:
            raise HTTPException(404)
        return ItemOut.model_validate(item)

    @app.get("/items", response_model=list[ItemOut])
    async def list_items(session: Session, limit: int = 20) -> Sequence[Item]:
        return (await session.scalars(select(Item).order_by(Item.id).limit(limit))).all()

    @app.post("/items", status_code=201)
    async def add_item(body: ItemIn, session: Unit) -> ItemOut:
        item = Item(**body.model_dump())
        session.add(item)
        await session.flush()
        return ItemOut.model_validate(item)

    return app
