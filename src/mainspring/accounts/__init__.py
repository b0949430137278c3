"""Accounts: users who register, sign in, stay signed in, and sign out, as a ready module."""

from ._dependencies import CurrentUser, SuperUser, idempotent_per_user
from ._models import RefreshToken, User
from ._module import accounts_module
from ._schemas import SignedIn, UserCreate, UserOut
from ._service import AccountsService
from ._settings import AccountsSettings

__all__ = [
    "AccountsService",
    "AccountsSettings",
    "CurrentUser",
    "RefreshToken",
    "SignedIn",
    "SuperUser",
    "User",
    "UserCreate",
    "UserOut",
    "accounts_module",
    "idempotent_per_user",
]
