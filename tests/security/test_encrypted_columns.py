"""Encrypted columns: what the service stores and reads, and where the plain text may not show."""

import asyncio
import logging
import shutil
import subprocess
from datetime import datetime
from typing import Annotated, Any

import pytest
from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import LargeBinary, MetaData, insert, select, text, type_coerce
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Mapped, mapped_column

from mainspring.app import create_app
from mainspring.data import Base, Filter, Listing, Store, WriteSession
from mainspring.kernel import Module
from mainspring.security import (
    EncryptedText,
    EncryptionFailed,
    EncryptionSettings,
    KeyMissing,
    encrypt_with,
    encrypted_columns,
    encryption_module,
)
from mainspring.testing import Schema
from tests.security.safe import NEW, OLD, Customer, SafeBase, keyring

IBAN = "DE02120300000000202051"
EMAIL = "ada.lovelace@example.com"


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=SafeBase.metadata)


@pytest.fixture
async def safe(database) -> Any:
    encrypt_with(database, keyring(OLD))
    return database


@pytest.fixture
async def ada(safe) -> Customer:
    async with safe.write() as session:
        customer = Customer(name="Ada", iban=IBAN, photo=b"\x00\xff", notes={"vip": [1, None]})
        customer.email = customer.email_index = EMAIL
        return await Store(Customer, session).add(customer)


class TestValues:
    async def test_are_read_as_they_were_stored(self, safe, ada):
        async with safe.read() as session:
            read = await Store(Customer, session).get(ada.id)
        assert (read.iban, read.photo, read.notes) == (IBAN, b"\x00\xff", {"vip": [1, None]})

    async def test_nothing_is_nothing(self, safe):
        async with safe.write() as session:
            key = (await Store(Customer, session).add(Customer(name="Bob"))).id
        async with safe.read() as session:
            assert await Store(Customer, session).exists(Customer.id == key, Customer.iban.is_(None))
            assert await session.scalar(select(type_coerce(Customer.__table__.c.iban, LargeBinary))) is None

    async def test_are_something_else_in_the_database(self, safe, ada):
        async with safe.read() as session:
            stored = (
                await session.execute(text("SELECT iban, photo, notes, email, email_index FROM safe_customer"))
            ).one()
        assert all(bytes(value).startswith(b"\x01old") for value in stored[:-1])
        assert not any(word in bytes(value) for value in stored for word in (IBAN.encode(), EMAIL.encode(), b"vip"))

    async def test_moved_to_another_column_they_cannot_be_read(self, safe, ada):
        async with safe.write() as session:
            await session.execute(text("UPDATE safe_customer SET iban = email"))
        with pytest.raises(
            EncryptionFailed, match=r"A value of customer\.iban was changed, or comes from another column"
        ):
            async with safe.read() as session:
                await Store(Customer, session).get(ada.id)

    async def test_without_their_key_they_cannot_be_read_and_the_error_names_it(self, safe, ada):
        encrypt_with(safe, keyring(NEW))
        with pytest.raises(KeyMissing, match=r"customer\.\w+ was encrypted with the key 'old'"):
            async with safe.read() as session:
                await Store(Customer, session).get(ada.id)

    async def test_a_database_without_keys_stores_none(self, database):
        async with database.write() as session:
            dialect = session.get_bind().dialect
        from mainspring.security._encryption._types import _keyrings

        _keyrings.pop(dialect, None)
        with pytest.raises(
            EncryptionFailed, match=r"customer\.iban is encrypted, and this database has no keys"
        ) as caught:
            async with database.write() as session:
                await Store(Customer, session).add(Customer(iban=IBAN))
        assert IBAN not in str(caught.value)


class TestComparing:
    @pytest.mark.parametrize(
        "compare",
        [
            lambda: Customer.iban == IBAN,
            lambda: Customer.iban.in_([IBAN]),
            lambda: Customer.iban.like("DE%"),
            lambda: select(Customer.id).order_by(Customer.iban.desc()),
            lambda: Customer.iban < IBAN,
        ],
    )
    def test_is_an_error_because_it_would_find_nothing(self, compare):
        with pytest.raises(TypeError, match="is encrypted: nothing can be compared or sorted by it"):
            compare()

    @pytest.mark.parametrize("column", [Customer.iban, Customer.photo, Customer.notes, Customer.email_index])
    def test_lists_cannot_be_asked_about_them(self, column):
        with pytest.raises(TypeError, match="is confidential"):
            Listing(Customer, sorts=[Customer.name], default="name", filters=[Filter(column)])

    async def test_a_blind_index_finds_equal_texts(self, safe, ada):
        async with safe.read() as session:
            store = Store(Customer, session)
            assert (await store.first(Customer.email_index == " Ada.Lovelace@EXAMPLE.com")).email == EMAIL
            assert await store.first(Customer.email_index.in_([EMAIL, "x"])) is not None
            assert await store.first(Customer.email_index == "ada@example.com") is None

    async def test_a_blind_index_that_was_read_is_stored_as_it_is(self, safe, ada):
        async with safe.write() as session:
            store = Store(Customer, session)
            read = await store.get(ada.id)
            await store.update(read, {"email_index": bytes(read.email_index)})
        async with safe.read() as session:
            assert await Store(Customer, session).exists(Customer.email_index == EMAIL)


class TestDeclaring:
    def test_two_columns_of_one_context_are_refused(self):
        class TwinBase(Base):
            __abstract__ = True
            metadata = MetaData()

        class Twin(TwinBase):
            __tablename__ = "twin"

            id: Mapped[int] = mapped_column(primary_key=True)
            a: Mapped[str] = mapped_column(EncryptedText("twin.a"))
            b: Mapped[str] = mapped_column(EncryptedText("twin.a"))

        with pytest.raises(TypeError, match=r"twin\.a and twin\.b are both encrypted as 'twin\.a'"):
            encrypted_columns(TwinBase.metadata)


class TestNowhereElse:
    """The plain text shows in no log, no error, no answer and no dump."""

    async def test_not_in_the_log_of_statements(self, fresh_database, caplog, capfd):
        encrypt_with(fresh_database, keyring(OLD))
        for session_of in (fresh_database.read, fresh_database.write):
            async with session_of() as session:
                session.get_bind().engine.echo = "debug"
        async with fresh_database.write() as session:
            key = (await Store(Customer, session).add(Customer(iban=IBAN, email_index=EMAIL))).id
        async with fresh_database.read() as session:
            await Store(Customer, session).get(key)
            await Store(Customer, session).exists(Customer.email_index == EMAIL)
        written = caplog.text + "".join(capfd.readouterr())
        assert "INSERT INTO safe_customer" in written
        assert "FROM safe_customer" in written
        assert IBAN not in written
        assert EMAIL not in written

    async def test_not_in_the_error_of_a_value_beside_it(self, safe):
        # SQLAlchemy shows parameters as they were given where one of them cannot be sent.
        with pytest.raises(StatementError) as caught:
            async with safe.write() as session:
                values = {"iban": IBAN, "born_at": datetime(2026, 1, 1), "email_index": EMAIL}  # noqa: DTZ001 -- that is what is wrong
                await session.execute(insert(Customer).values(name="x", **values))
        assert "has no timezone" in str(caught.value)
        assert IBAN not in str(caught.value) + repr(caught.value)
        assert EMAIL not in str(caught.value) + repr(caught.value)

    async def test_not_in_what_the_database_refuses(self, safe, ada):
        from mainspring.errors import AlreadyExists

        with pytest.raises(AlreadyExists) as caught:
            async with safe.write() as session:
                session.add(Customer(id=ada.id, iban=IBAN))
                await session.flush()
        assert IBAN not in f"{caught.value} {caught.value.__cause__} {caught.value.__cause__!r}"

    async def test_not_in_sql_with_its_values_written_in(self, safe):
        async with safe.read() as session:
            dialect = session.get_bind().dialect
        for statement in (insert(Customer).values(iban=IBAN), select(Customer.id).where(Customer.email_index == EMAIL)):
            for target in (dialect, None):
                written = str(statement.compile(dialect=target, compile_kwargs={"literal_binds": True}))
                assert "<customer." in written
                assert IBAN not in written
                assert EMAIL not in written

    @pytest.mark.databases("postgresql")
    async def test_not_in_a_dump(self, fresh_database, database_url):
        dump = shutil.which("pg_dump")
        if dump is None:
            pytest.skip("pg_dump is not installed: that dumps show no plain text is NOT TESTED here")
        encrypt_with(fresh_database, keyring(OLD))
        async with fresh_database.write() as session:
            session.add(Customer(name="Ada Lovelace", iban=IBAN, email=EMAIL, email_index=EMAIL, notes={"n": IBAN}))
        done = await asyncio.to_thread(subprocess.run, [dump, database_url], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        dumped = done.stdout.decode()
        assert "Ada Lovelace" in dumped
        for plain in (IBAN, EMAIL):
            assert plain not in dumped
            assert plain.encode().hex() not in dumped


class NewCustomer(BaseModel):
    name: str = ""
    iban: Annotated[str, Field(max_length=22)]


router = APIRouter()


@router.post("/customers", status_code=201)
async def create(given: NewCustomer, session: WriteSession) -> dict[str, str]:
    customer = await Store(Customer, session).add(Customer(**given.model_dump()))
    if given.name == "defect":
        raise RuntimeError(f"{customer!r} cannot be made")
    if given.name == "unsendable":
        customer.born_at = datetime(2026, 1, 1)  # noqa: DTZ001 -- that is what is wrong
        customer.iban = f"{IBAN}1"
        await session.flush()
    return {"id": str(customer.id)}


class TestService:
    @pytest.fixture
    def settings(self) -> EncryptionSettings:
        return EncryptionSettings(environment="test")

    @pytest.fixture
    def build_app(self) -> Any:
        def build(settings: EncryptionSettings | None = None, **overrides: Any) -> Any:
            chosen = settings or EncryptionSettings(environment="test")
            modules = [encryption_module(chosen), Module(name="customers", routers=(router,))]
            return create_app("bank", settings=chosen, modules=modules, **overrides)

        return build

    async def test_the_module_gives_the_database_its_keys(self, client, database):
        answer = await client.post("/api/v1/customers", json={"iban": IBAN})
        assert answer.status_code == 201
        async with database.read() as session:
            stored = await session.scalar(text("SELECT iban FROM safe_customer"))
            assert await session.scalar(select(Customer.iban)) == IBAN
        assert bytes(stored).startswith(b"\x01dev")

    @pytest.mark.parametrize("name", ["defect", "unsendable"])
    async def test_answers_and_logs_of_a_defect_do_not_show_it(self, client, name, caplog, capfd, unhandled_errors):
        caplog.set_level(logging.DEBUG)
        answer = await client.post("/api/v1/customers", json={"name": name, "iban": IBAN})
        assert answer.status_code == 500
        assert unhandled_errors
        written = "".join(capfd.readouterr())
        assert IBAN not in answer.text + caplog.text + written
        assert not any(IBAN in f"{error} {error!r} {error.__cause__}" for error in unhandled_errors)

    async def test_the_answer_to_a_bad_request_does_not_show_it(self, client, caplog, capfd):
        answer = await client.post("/api/v1/customers", json={"name": 1, "iban": f"{IBAN}{IBAN}"})
        assert answer.status_code == 422
        assert IBAN not in answer.text + caplog.text + "".join(capfd.readouterr())
