"""The outbox: messages recorded in the transaction of what they are about, and delivered after it."""

from ._models import OutboxRow
from ._module import outbox_module
from ._outbox import Outbox, OutboxMessage
from ._relay import Deliver, OutboxRelay

__all__ = ["Deliver", "Outbox", "OutboxMessage", "OutboxRelay", "OutboxRow", "outbox_module"]
