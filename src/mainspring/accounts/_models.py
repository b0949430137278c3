"""Users and their sign-ins."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.data import Base, Identified, Timestamped


class User(Identified, Timestamped, Base):
    """A person with an account.

    `email` is stored in lower case: mail servers do not tell `Ann@` from `ann@`, and neither should the unique
    constraint.
    """

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email"),)

    email: Mapped[str] = mapped_column(String(320))
    hashed_password: Mapped[str] = mapped_column(String(255))
    full_name: Mapped[str | None] = mapped_column(String(200))
    is_active: Mapped[bool] = mapped_column(default=True)
    is_superuser: Mapped[bool] = mapped_column(default=False)


class RefreshToken(Identified, Timestamped, Base):
    """One refresh token of one sign-in; `family` is the sign-in, and each use replaces the token within it."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (UniqueConstraint("digest"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    family: Mapped[UUID] = mapped_column(index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
