"""Trace and span ids, and the header that carries them (W3C Trace Context, level 2)."""

import os
import re
from random import Random
from typing import NamedTuple

# version 00 or a later one that begins alike; an all-zero id is invalid by the specification (section 3.2.2.3).
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")

# They must differ over processes, also when one forks; they need not be unguessable, since they give no access.
_random = Random()  # noqa: S311 -- no secret
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


class TraceParent(NamedTuple):
    """Who asks: the trace, the asking span, and whether the trace is sampled. Ids are hexadecimal digits."""

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(header: str) -> TraceParent | None:
    """What a `traceparent` says; None for one that is malformed, which begins a new trace (section 4.3)."""
    match = _TRACEPARENT.fullmatch(header)
    return TraceParent(match[1], match[2], int(match[3], 16) & 1 == 1) if match is not None else None


def new_trace_id() -> str:
    """32 hexadecimal digits, not all zero."""
    return f"{_random.getrandbits(128) or 1:032x}"


def new_span_id() -> int:
    """64 bits, not all zero."""
    return _random.getrandbits(64) or 1
