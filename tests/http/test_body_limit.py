"""The limit on bodies is spared requests without one, and nobody else."""

import pytest
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from mainspring.http import BodyLimit, ErrorSeam, Pipeline
from tests.http.conftest import call, scope_of


async def tell(scope, receive, send):
    body = await Request(scope, receive).body()
    limited = any("body_limit" in key or "max_body" in key for key in scope)
    await PlainTextResponse(f"{len(body)} {limited}")(scope, receive, send)


class Outside:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


@pytest.fixture
def limited():
    stack = BodyLimit(Outside(RequestBodyLimitMiddleware(Outside(tell), max_body_size=3)))
    return Pipeline(stack, stages=[], render=ErrorSeam().render)


async def test_a_request_that_announces_no_body_goes_past_it(limited):
    assert (await call(limited, scope_of())).body == b"0 False"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("header", [("Content-Length", "3"), ("Transfer-Encoding", "chunked")])
async def test_one_that_announces_a_body_does_not(limited, method, header):
    scope = scope_of(method=method, headers=[header])

    assert (await call(limited, scope, body=b"123")).body == b"3 True"
    assert (await call(limited, scope, body=b"1234")).status == 413


@pytest.mark.parametrize("version", ["2", "3"])
async def test_a_version_that_need_not_announce_bodies_does_not(limited, version):
    scope = {**scope_of(method="POST"), "http_version": version}

    assert (await call(limited, scope, body=b"1234")).status == 413


async def test_a_stack_without_a_limit_is_used_as_it_is():
    pipeline = Pipeline(BodyLimit(Outside(tell)), stages=[], render=ErrorSeam().render)

    assert (await call(pipeline, scope_of(), body=b"1234")).body == b"4 False"
