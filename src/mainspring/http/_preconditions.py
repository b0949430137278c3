"""Conditional requests (RFC 9110 section 13): an ETag for each versioned resource, If-Match and If-None-Match."""

import re
from typing import Annotated, Protocol

from fastapi import Depends, Header, Request, Response
from starlette.exceptions import HTTPException

from mainspring.errors import BadRequest, PreconditionFailed, PreconditionRequired

_NOT_MODIFIED = 304
_ANY = "*"
# `*`, or a list of entity tags; a tag is printable ASCII without the quote, or what is above ASCII.
_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_FIELD = re.compile(rf"(?:{_TAG.pattern}[ \t]*(?:,[ \t]*|$))+")


class VersionedResource(Protocol):
    """What has a version that grows with each change."""

    @property
    def version(self) -> int:
        """1 for a new one."""


class _Condition:
    """The part that both headers have in common.

    Weak tags count like strong ones, also for If-Match, which RFC 9110 would have compare strongly: our tag names a
    version and not its bytes, and proxies that compress a response make its tag weak on the way.
    """

    name: str

    def __init__(self, value: str | None, response: Response) -> None:
        self._value = value.strip() if value else None
        self._response = response
        if self._value is not None and self._value != _ANY and not _FIELD.fullmatch(self._value):
            raise BadRequest(f'{self.name} is * or a list of entity tags in quotes, like "7".')

    def tag(self, resource: VersionedResource) -> str:
        """Put the resource's ETag on the response; returns it. After a change, for the state that was stored."""
        tag = f'"{resource.version}"'
        self._response.headers["etag"] = tag
        return tag

    def _names(self, resource: VersionedResource) -> bool:
        return self._value == _ANY or str(resource.version) in _TAG.findall(self._value or "")


class _IfNoneMatch(_Condition):
    name = "If-None-Match"

    def check(self, resource: VersionedResource) -> None:
        """Put the resource's ETag on the response, and end here if the client has this version already.

        Raises:
            HTTPException: 304 without a body.
        """
        tag = self.tag(resource)
        if self._value is not None and self._names(resource):
            raise HTTPException(_NOT_MODIFIED, headers={"etag": tag})


class _IfMatch(_Condition):
    name = "If-Match"

    def check(self, resource: VersionedResource) -> None:
        """Go on only if the resource still is what the client has seen. Without the header there is nothing to check.

        What others change between this check and the commit is found by the version column, and answered alike.

        Raises:
            PreconditionFailed: It has changed since.
        """
        if self._value is not None and not self._names(resource):
            raise PreconditionFailed("It has changed since you read it. Read it again, and decide anew.")


def _if_none_match(
    response: Response,
    if_none_match: Annotated[str | None, Header(description="ETag that you have; 304 if it still holds.")] = None,
) -> _IfNoneMatch:
    return _IfNoneMatch(if_none_match, response)


def _if_match(
    response: Response,
    if_match: Annotated[str | None, Header(description="ETag that you have read; 412 if it no longer holds.")] = None,
) -> _IfMatch:
    return _IfMatch(if_match, response)


def _required_if_match(request: Request, condition: Annotated[_IfMatch, Depends(_if_match)]) -> _IfMatch:
    if "if-match" not in request.headers:
        raise PreconditionRequired("Send If-Match with the ETag that you have read, so that nobody's change is lost.")
    return condition


IfNoneMatch = Annotated[_IfNoneMatch, Depends(_if_none_match)]
"""For routes that read a versioned resource: `if_none_match.check(agent)` sets its ETag or answers 304."""

IfMatch = Annotated[_IfMatch, Depends(_if_match)]
"""For routes that change one: `if_match.check(agent)` answers 412 when it is not what the client has seen, and after the
change `if_match.tag(agent)` sets the new ETag.
"""

RequiredIfMatch = Annotated[_IfMatch, Depends(_required_if_match)]
"""As `IfMatch`; a request without the header is answered with 428 (RFC 6585)."""
