"""Accounts over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, status
from fastapi.security import OAuth2PasswordRequestForm

from ._dependencies import Accounts, CurrentUser
from ._models import User
from ._schemas import RefreshRequest, SignedIn, UserCreate, UserOut

_SignInForm = Annotated[OAuth2PasswordRequestForm, Depends()]
_UNAUTHORIZED: dict[int | str, dict[str, Any]] = {401: {"description": "Not signed in, or the token does not hold."}}
_TAKEN: dict[int | str, dict[str, Any]] = {409: {"description": "The e-mail address has an account."}}

users = APIRouter(prefix="/users", tags=["users"])
auth = APIRouter(prefix="/auth", tags=["auth"])


@users.post("", status_code=status.HTTP_201_CREATED, response_model=UserOut, responses=_TAKEN)
async def register(new: UserCreate, accounts: Accounts) -> User:
    """Make an account."""
    return await accounts.register(new.email, new.password.get_secret_value(), full_name=new.full_name)


@users.get("/me", response_model=UserOut, responses=_UNAUTHORIZED)
async def me(user: CurrentUser) -> User:
    """The signed-in user."""
    return user


@auth.post("/login", responses=_UNAUTHORIZED)
async def login(form: _SignInForm, accounts: Accounts) -> SignedIn:
    """Sign in with e-mail (`username`) and password."""
    return await accounts.sign_in(form.username, form.password)


@auth.post("/token/refresh", responses=_UNAUTHORIZED)
async def refresh(request: RefreshRequest, accounts: Accounts) -> SignedIn:
    """Trade a refresh token for a new pair of tokens. Each works once."""
    return await accounts.refresh(request.refresh_token)


@auth.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def logout(request: RefreshRequest, accounts: Accounts) -> None:
    """End the sign-in that the refresh token belongs to."""
    await accounts.sign_out(request.refresh_token)
