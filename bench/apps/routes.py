"""The routes that every case serves."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel

router = APIRouter()


class Item(BaseModel):
    id: int
    name: str
    tags: list[str]
    limit: int
    tenant: str


async def tenant(x_tenant: Annotated[str, Header()] = "acme") -> str:
    return x_tenant


async def paging(limit: int = 20, offset: int = 0) -> tuple[int, int]:
    return limit, offset


async def context(
    tenant: Annotated[str, Depends(tenant)], paging: Annotated[tuple[int, int], Depends(paging)]
) -> tuple[str, int]:
    return tenant, paging[0]


@router.get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "hello"}


@router.get("/deps/{item_id}")
async def deps(item_id: int, context: Annotated[tuple[str, int], Depends(context)], q: str = "x") -> Item:
    return Item(id=item_id, name=q, tags=["a", "b"], limit=context[1], tenant=context[0])
