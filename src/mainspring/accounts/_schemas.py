"""What goes over the wire."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from mainspring.http import Text

_SHORTEST_PASSWORD = 12
# Argon2 takes any length; a bound keeps a megabyte from being hashed.
_LONGEST_PASSWORD = 256


def _long_enough(password: SecretStr) -> SecretStr:
    # The library's own message counts "items", and people choose characters.
    length = len(password.get_secret_value())
    if length < _SHORTEST_PASSWORD:
        raise ValueError(f"Use at least {_SHORTEST_PASSWORD} characters.")
    if length > _LONGEST_PASSWORD:
        raise ValueError(f"Use at most {_LONGEST_PASSWORD} characters.")
    return password


Password = Annotated[
    SecretStr,
    AfterValidator(_long_enough),
    Field(json_schema_extra={"minLength": _SHORTEST_PASSWORD, "maxLength": _LONGEST_PASSWORD}),
]
Email = Annotated[EmailStr, StringConstraints(max_length=320), AfterValidator(str.lower)]


class UserCreate(BaseModel):
    """A registration. Length is what makes a password strong; no rule about its characters is imposed."""

    email: Email
    password: Password
    password_confirm: SecretStr
    full_name: Annotated[Text, Field(min_length=1, max_length=200)] | None = None

    @model_validator(mode="after")
    def _passwords_agree(self) -> Self:
        if self.password.get_secret_value() != self.password_confirm.get_secret_value():
            raise ValueError("The two passwords differ.")
        return self


class UserOut(BaseModel):
    """A user, as the user may see it."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    id: UUID
    email: str
    full_name: str | None
    is_active: bool
    created_at: datetime


class SignedIn(BaseModel):
    """A pair of tokens (RFC 6749 section 5.1)."""

    model_config = ConfigDict(frozen=True)

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 -- the scheme's name
    expires_in: int = Field(description="Seconds until the access token expires.")


class RefreshRequest(BaseModel):
    """A refresh token to trade in, or to sign out."""

    # Longer than any of ours, so that a token of another kind is told to be invalid and not to be too long.
    refresh_token: Annotated[str, Field(min_length=1, max_length=4096)]
