"""What models get from their base, on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, String, select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Mapped, configure_mappers, mapped_column, registry
from sqlalchemy.orm import relationship as lazy_relationship

from mainspring.data import Base, Identified, LazyLoad, SoftDeleted, Timestamped, relationship


@pytest.fixture
def own_base():
    """A base with its own registry, so that a model that is refused spoils no other test."""

    class OwnBase(Base):
        __abstract__ = True
        metadata = MetaData(naming_convention=Base.metadata.naming_convention)
        registry = _sa_registry = registry(metadata=metadata, type_annotation_map=Base.type_annotation_map)

    yield OwnBase
    OwnBase.registry.dispose()


class TestUtcDateTime:
    async def test_any_zone_comes_back_as_the_same_moment_in_utc(self, database, library):
        kathmandu = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45)))
        async with database.write() as session:
            session.add(library.Author(name="Ursula", born_at=kathmandu))
        async with database.read() as session:
            found = await session.scalar(select(library.Author.born_at))
            assert await session.scalar(select(library.Author.name).where(library.Author.born_at == kathmandu))
        assert found == kathmandu
        assert found.tzinfo is UTC
        assert found.isoformat() == "2026-01-01T06:15:00.123456+00:00"

    async def test_a_naive_datetime_is_refused_with_advice(self, database, library):
        with pytest.raises(StatementError, match=r"has no timezone; use an aware datetime"):
            async with database.write() as session:
                session.add(library.Author(name="Ursula", born_at=datetime(2026, 1, 1)))  # noqa: DTZ001 -- the point

    async def test_nothing_stays_nothing(self, database, library):
        async with database.write() as session:
            session.add(library.Author(name="Ursula"))
        async with database.read() as session:
            assert await session.scalar(select(library.Author.born_at)) is None

    async def test_the_databases_own_clock_is_aware_and_now(self, database, library):
        async with database.write() as session:
            author = library.Author(name="Ursula")
            session.add(author)
            await session.flush()
            assert author.created_at.tzinfo is UTC
            assert abs(datetime.now(UTC) - author.created_at) < timedelta(minutes=1)


class TestKeys:
    async def test_are_uuids_of_version_7_that_sort_by_age_and_exist_before_they_are_stored(self, database, library):
        async with database.write() as session:
            authors = [library.Author(name=str(number)) for number in range(20)]
            session.add_all(authors)
            await session.flush()
            assert {author.id.version for author in authors} == {7}
        async with database.read() as session:
            stored = (await session.scalars(select(library.Author.name).order_by(library.Author.id))).all()
        assert stored == [str(number) for number in range(20)]

    async def test_come_back_as_uuids(self, database, library):
        async with database.write() as session:
            session.add(library.Author(name="Ursula"))
        async with database.read() as session:
            assert isinstance(await session.scalar(select(library.Author.id)), UUID)


class TestNames:
    def test_every_constraint_has_one_that_does_not_depend_on_the_database(self, own_base):
        class Owner(Identified, own_base):
            __tablename__ = "owner"

        class Thing(Identified, own_base):
            __tablename__ = "thing"
            __table_args__ = (CheckConstraint("size > 0", name="size_positive"), Index(None, "code", "size"))
            code: Mapped[str] = mapped_column(String(8), unique=True)
            size: Mapped[int] = mapped_column(index=True)
            owner_id: Mapped[UUID] = mapped_column(ForeignKey(Owner.id))

        table = Thing.__table__
        assert {str(c.name) for c in table.constraints} == {
            "pk_thing",
            "uq_thing_code",
            "ck_thing_size_positive",
            "fk_thing_owner_id_owner",
        }
        assert {index.name for index in table.indexes} == {"ix_thing_size", "ix_thing_code_thing_size"}

    async def test_the_database_reports_a_constraint_by_that_name(self, database, library):
        async with database.read() as session:
            if database.dialect == "sqlite":
                source = await session.scalar(text("SELECT sql FROM sqlite_master WHERE name = 'library_book'"))
            else:
                source = str((await session.scalars(text("SELECT conname FROM pg_constraint"))).all())
        assert "ck_library_book_pages_positive" in source
        assert "fk_library_book_author_id_library_author" in source


class TestRelationships:
    async def test_looking_at_one_that_was_not_loaded_raises_instead_of_querying(self, database, library):
        async with database.write() as session:
            author = library.Author(name="Ursula")
            session.add(author)
            await session.flush()
            session.add(library.Book(title="Always", author_id=author.id))
        async with database.read() as session:
            book = (await session.scalars(select(library.Book))).one()
            with pytest.raises(LazyLoad):
                _ = book.author

    @pytest.mark.parametrize("lazy", ["select", True])
    def test_lazy_loading_is_refused_when_the_model_is_first_used(self, lazy, own_base):
        class Owner(Identified, own_base):
            __tablename__ = "owner"

        class Thing(Identified, own_base):
            __tablename__ = "thing"
            owner_id: Mapped[UUID] = mapped_column(ForeignKey(Owner.id))
            owner: Mapped[Owner] = lazy_relationship(lazy=lazy)

        with pytest.raises(TypeError, match=r"Thing\.owner would load lazily.*mainspring\.data\.relationship"):
            own_base.registry.configure()

    @pytest.mark.parametrize("lazy", ["raise", "selectin", "joined", "raise_on_sql"])
    def test_what_loads_in_the_statement_or_not_at_all_is_accepted(self, lazy, own_base):
        class Owner(Identified, own_base):
            __tablename__ = "owner"

        class Thing(Identified, own_base):
            __tablename__ = "thing"
            owner_id: Mapped[UUID] = mapped_column(ForeignKey(Owner.id))
            owner: Mapped[Owner] = relationship(lazy=lazy)

        own_base.registry.configure()
        assert Thing.__mapper__.relationships["owner"].lazy == lazy


def test_mixins_put_the_key_first_and_the_stamps_last(own_base):
    class Thing(Identified, Timestamped, SoftDeleted, own_base):
        __tablename__ = "thing"
        code: Mapped[str]

    assert [column.name for column in Thing.__table__.columns] == [
        "id",
        "code",
        "created_at",
        "updated_at",
        "deleted_at",
    ]


def test_the_shared_models_configure(library):
    configure_mappers()
    assert library.Book.__mapper__.relationships["author"].lazy == "raise"
