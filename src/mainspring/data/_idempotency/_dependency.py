"""The dependency that makes a route idempotent."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.params import Depends as Dependency
from starlette.datastructures import FormData, UploadFile

from mainspring.data._dependencies import WriteSession
from mainspring.errors import BadRequest, IdempotencyKeyMissing
from mainspring.kernel import Registry

from ._claims import IdempotencyKeys
from ._gate import hold_of

# RFC 8941's string, as the IETF draft has it, or the same without quotes, as everybody sends it.
_KEY = re.compile(r'"?([\x21\x23-\x7e]{1,255})"?')
_CHUNK = 64 * 1024


def _nobody() -> str:
    return ""


def idempotent(*, by: Callable[..., Any] | None = None, required: bool = False) -> Dependency:
    """Make a route that writes answer a repeated `Idempotency-Key` with the first answer, and do nothing again.

    For `dependencies=[…]` of a route that takes a `WriteSession`; its effects are what this session stores. The answer
    is kept in the same transaction. An error that is raised stores nothing, so the request may be tried again with the
    same key. While the first request runs, others with its key get 409; the key with another request is 422.

    The trap: the body of the answer is kept as it is. A route that answers with a secret that is shown once should not
    be idempotent.

    Args:
        by: A dependency that gives what a key belongs to, a user's id: nobody gets what was answered to somebody else.
            None for routes without sign-in, where whoever knows a key gets its answer.
        required: Refuse requests without a key (400).
    """
    text = "A random text, new for each intended effect; a request that is sent again with it has no effect again."

    async def claim(
        request: Request,
        session: WriteSession,
        principal: Annotated[Any, Depends(by or _nobody)],
        idempotency_key: Annotated[str | None, Header(description=text)] = None,
    ) -> None:
        if idempotency_key is None:
            if required:
                raise IdempotencyKeyMissing("Send an Idempotency-Key, so that a repeated request has no second effect.")
            return
        key = _KEY.fullmatch(idempotency_key.strip())
        if key is None:
            raise BadRequest("Idempotency-Key is 1 to 255 visible ASCII characters.")
        registry: Registry = request.app.state.registry
        keys = registry.get(IdempotencyKeys)
        # Before the claim: where there is no gate, nobody would ever give the key back.
        hold = hold_of(request.scope)
        claimed = await keys.claim(
            session, principal=str(principal), key=key[1], fingerprint=await _fingerprint(request)
        )
        hold.take(keys, claimed, session)

    made: Dependency = Depends(claim, scope="function")
    return made


async def _fingerprint(request: Request) -> bytes:
    """Of everything that makes the request this one."""
    digest = sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    # FastAPI has read the body by now, as a form or as bytes.
    form = getattr(request, "_form", None)
    if isinstance(form, FormData):
        for name, value in form.multi_items():
            digest.update(f"{name}=".encode())
            await _add(digest, value)
    else:
        digest.update(await request.body())
    return digest.digest()


async def _add(digest: Any, value: UploadFile | str) -> None:
    if isinstance(value, str):
        digest.update(f"{len(value)}:{value}".encode())
        return
    digest.update(f"{value.filename}:{value.size}:".encode())
    while chunk := await value.read(_CHUNK):
        digest.update(chunk)
    await value.seek(0)
