"""Puts the service's one error format into its API description."""

import json
from collections.abc import Iterator
from typing import Any, Literal

from fastapi import FastAPI

_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options", "trace"})
_FIELD_ERROR: dict[str, Any] = {
    "type": "object",
    "title": "FieldError",
    "required": ["loc", "msg", "type"],
    "properties": {
        "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "msg": {"type": "string"},
        "type": {"type": "string"},
    },
}
_CODE = {"type": "string", "description": "Stable; `/errors` lists all codes."}
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


def _problem(details: dict[str, Any]) -> dict[str, Any]:
    properties = {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": _CODE,
        "request_id": {"type": "string"},
        "errors": details,
    }
    return _object("Problem", properties) | {"description": "RFC 9457 problem details."}


def _envelope(details: dict[str, Any]) -> dict[str, Any]:
    error = {"code": _CODE, "message": {"type": "string"}, "details": details}
    properties = {
        "success": {"type": "boolean", "const": False},
        "error": _object("Error", error),
        "timestamp": {"type": "string", "format": "date-time"},
        "path": {"type": "string"},
        "request_id": {"type": "string"},
    }
    return _object("ErrorEnvelope", properties)


def _object(title: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "title": title, "required": list(properties), "properties": properties}


def describe_api(app: FastAPI, form: Literal["problem", "envelope"], *, api_prefix: str = "") -> None:
    """Complete the API description: how every operation fails, and where to sign in.

    Each operation gets a `default` response with the error schema, so that clients can rely on one shape for whatever
    status; declared error statuses (`responses={404: …}`) and 422 get the same schema, in place of FastAPI's own. One
    that is declared with a model of its own keeps it.

    Args:
        app: The application to describe.
        form: The service's error format.
        api_prefix: Where modules' routers are mounted; relative token URLs are below it.
    """
    describe = app.openapi
    completed: dict[str, Any] | None = None

    def described() -> dict[str, Any]:
        # FastAPI makes the document anew when routes were added.
        nonlocal completed
        document = describe()
        if document is not completed:
            _add_errors(document, form)
            _place_token_urls(document, api_prefix.strip("/"))
            completed = document
        return document

    # FastAPI documents replacing the method as the way to extend the description.
    app.openapi = described  # type: ignore[method-assign]


def _add_errors(document: dict[str, Any], form: str) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    details = {"type": "array", "items": _add(schemas, _FIELD_ERROR)}
    media, schema = (
        ("application/problem+json", _problem(details))
        if form == "problem"
        else ("application/json", _envelope(details))
    )
    content = {media: {"schema": _add(schemas, schema)}}
    for operation in _operations(document):
        responses = operation.setdefault("responses", {})
        for status, response in responses.items():
            if status[0] in "45" and ("content" not in response or _refers(response, _FASTAPIS_OWN[0])):
                response["content"] = content
        responses.setdefault("default", {"description": "Any failure.", "content": content})
    for name in _FASTAPIS_OWN:
        if not _refers(document, name):
            schemas.pop(name, None)


def _add(schemas: dict[str, Any], schema: dict[str, Any]) -> dict[str, str]:
    name = schema["title"]
    while name in schemas:  # a service may have a model of that name
        name = f"Mainspring{name}"
    schemas[name] = schema
    return {"$ref": f"#/components/schemas/{name}"}


def _refers(part: dict[str, Any], name: str) -> bool:
    return f'"#/components/schemas/{name}"' in json.dumps(part)


def _place_token_urls(document: dict[str, Any], prefix: str) -> None:
    for scheme in document.get("components", {}).get("securitySchemes", {}).values():
        for flow in scheme.get("flows", {}).values():
            url = flow.get("tokenUrl", "/")
            if prefix and not url.startswith("/") and "://" not in url:
                flow["tokenUrl"] = f"{prefix}/{url}"


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document.get("paths", {}).values():
        for method, operation in path.items():
            if method in _METHODS:
                yield operation
