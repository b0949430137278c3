"""What is kept of an answer."""

from datetime import datetime

from sqlalchemy import JSON, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data._base import Base, Identified


class IdempotentAnswer(Identified, Base):
    """The answer to the first request with a key. Its transaction is that of the effect: there is never one without
    the other.
    """

    __tablename__ = "idempotent_answers"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    """Of principal and key; neither can be read from it."""
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    """Of method, path, query and body."""
    status: Mapped[int]
    headers: Mapped[list[list[str]]] = mapped_column(JSON)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    """None where the answer was too large to be kept."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
