"""The rules of accounts."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update

from mainspring.data import AsyncWriteSession, Database
from mainspring.errors import AlreadyExists, InvalidCredentials, InvalidRefreshToken, InvalidToken
from mainspring.kernel import Clock, new_id
from mainspring.mail import Mailer, Message
from mainspring.observability import get_logger
from mainspring.security import AccessTokens, PasswordHasher, digest_of, new_token

from ._models import RefreshToken, User
from ._schemas import SignedIn

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Rotation:
    """What became of a refresh token: a successor, or the reason why there is none."""

    signed_in: SignedIn | None
    refusal: str = ""


class AccountsService:
    """Registers, signs in, refreshes, signs out.

    It opens its own units of work instead of taking the request's: what it must remember of an attack (a family
    revoked because a token came twice) has to be committed although the request fails.

    Args:
        database: Where users are.
        passwords: The hasher.
        tokens: The issuer of access tokens.
        mailer: Sends the welcome.
        clock: The time.
        refresh_lifetime: How long a refresh token is good for.
    """

    def __init__(
        self,
        *,
        database: Database,
        passwords: PasswordHasher,
        tokens: AccessTokens,
        mailer: Mailer,
        clock: Clock,
        refresh_lifetime: timedelta,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens = tokens
        self._mailer = mailer
        self._clock = clock
        self._refresh_lifetime = refresh_lifetime

    async def register(self, email: str, password: str, *, full_name: str | None = None) -> User:
        """Make an account and send a welcome.

        Raises:
            AlreadyExists: The address has an account.
        """
        # Hashing comes first: it takes long, and a unit of work should not.
        hashed = await self._passwords.hash(password)
        user = User(email=email.lower(), hashed_password=hashed, full_name=full_name)
        try:
            async with self._database.write() as session:
                session.add(user)
                await session.flush()
                await session.refresh(user)
                session.after_commit(lambda: self._welcome(user))
        except AlreadyExists as error:
            raise AlreadyExists("An account with this e-mail address already exists. Sign in instead.") from error
        return user

    async def sign_in(self, email: str, password: str) -> SignedIn:
        """Trade e-mail and password for tokens.

        Raises:
            InvalidCredentials: They do not belong together, or the account is switched off. It takes as long and says
                the same whether or not the address has an account.
        """
        user = await self._find(email)
        valid, better = await self._passwords.verify(password, user.hashed_password if user else None)
        if not valid or user is None or not user.is_active:
            raise InvalidCredentials("E-mail address or password is wrong.")
        async with self._database.write() as session:
            stored = await session.get(User, user.id) if better is not None else None
            if stored is not None and better is not None:
                stored.hashed_password = better
            return self._new_pair(session, user.id, family=new_id())

    async def _find(self, email: str) -> User | None:
        if "\x00" in email:  # nobody's, and nothing that PostgreSQL could be asked about
            return None
        async with self._database.read() as session:
            return await session.scalar(select(User).where(User.email == email.strip().lower()))

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Trade a refresh token for a new pair; it works once.

        A token that comes a second time was stolen, by whoever came first or by whoever comes now. Nobody can tell, so
        the whole sign-in ends (RFC 9700 section 4.14.2).

        Raises:
            InvalidRefreshToken: It is unknown, expired, revoked or used.
        """
        async with self._database.write() as session:
            rotation = await self._rotate(session, refresh_token)
        if rotation.signed_in is None:
            _log.warning("A refresh token was refused", reason=rotation.refusal)
            raise InvalidRefreshToken("The refresh token is not valid. Sign in again.")
        return rotation.signed_in

    async def sign_out(self, refresh_token: str) -> None:
        """End the sign-in that the token belongs to. An unknown token is no error: the caller is signed out."""
        async with self._database.write() as session:
            family = await session.scalar(
                select(RefreshToken.family).where(RefreshToken.digest == digest_of(refresh_token))
            )
            if family is not None:
                await self._revoke(session, family)

    async def user_of(self, access_token: str) -> User:
        """The user an access token was issued to.

        Raises:
            InvalidToken: The token does not hold, or the user is gone or switched off.
        """
        claims = self._tokens.verify(access_token)
        async with self._database.read() as session:
            user = await session.get(User, claims.subject)
        if user is None or not user.is_active:
            raise InvalidToken("The access token is not valid. Sign in again.")
        return user

    async def _rotate(self, session: AsyncWriteSession, refresh_token: str) -> _Rotation:
        now = self._clock.now()
        found = await session.scalar(select(RefreshToken).where(RefreshToken.digest == digest_of(refresh_token)))
        if found is None:
            return _Rotation(None, "unknown")
        if found.revoked_at is not None or found.expires_at <= now:
            return _Rotation(None, "revoked or expired")
        # Of two requests at the same moment one finds the row unused; the statement decides, not the read above.
        claimed = await session.scalar(
            update(RefreshToken)
            .where(RefreshToken.id == found.id, RefreshToken.used_at.is_(None))
            .values(used_at=now)
            .returning(RefreshToken.id)
            .execution_options(synchronize_session=False)
        )
        if claimed is None:
            await self._revoke(session, found.family)
            return _Rotation(None, "used twice; the sign-in has been ended")
        active = await session.scalar(select(User.is_active).where(User.id == found.user_id))
        if not active:
            return _Rotation(None, "the account is switched off")
        return _Rotation(self._new_pair(session, found.user_id, family=found.family))

    async def _revoke(self, session: AsyncWriteSession, family: UUID) -> None:
        await session.execute(
            update(RefreshToken)
            .where(RefreshToken.family == family, RefreshToken.revoked_at.is_(None))
            .values(revoked_at=self._clock.now())
        )

    def _new_pair(self, session: AsyncWriteSession, user_id: UUID, *, family: UUID) -> SignedIn:
        refresh_token = new_token()
        session.add(
            RefreshToken(
                user_id=user_id,
                family=family,
                digest=digest_of(refresh_token),
                expires_at=self._clock.now() + self._refresh_lifetime,
            )
        )
        access_token = self._tokens.issue(user_id, session_id=family)
        seconds = int(self._tokens.lifetime.total_seconds())
        return SignedIn(access_token=access_token, refresh_token=refresh_token, expires_in=seconds)

    async def _welcome(self, user: User) -> None:
        name = user.full_name or user.email
        text = f"Hello {name},\n\nyour account is ready. Sign in with {user.email}.\n"
        await self._mailer.send(Message(to=user.email, subject="Welcome", text=text))
