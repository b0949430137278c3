"""Idempotency keys: the same request twice has one effect and one answer."""

from ._claims import Claim, IdempotencyKeys, Replay
from ._dependency import idempotent
from ._gate import IdempotencyGate, replayed
from ._module import idempotency_module

__all__ = ["Claim", "IdempotencyGate", "IdempotencyKeys", "Replay", "idempotency_module", "idempotent", "replayed"]
