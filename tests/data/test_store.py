"""Store: what every feature asks of its table, within the caller's unit of work."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import ForeignKey, Index, MetaData, Select, func, select, text, update
from sqlalchemy.orm import Mapped, aliased, mapped_column, selectinload

from mainspring.data import (
    Base,
    Identified,
    SoftDeleted,
    Store,
    Timestamped,
    Versioned,
    including_deleted,
    relationship,
)
from mainspring.errors import AlreadyExists, ConcurrentUpdate, ConstraintViolated, NotFound
from mainspring.testing import Schema

_ALIVE = text("deleted_at IS NULL")


class ShopBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Note(Identified, SoftDeleted, ShopBase):
    __tablename__ = "shop_note"

    article_id: Mapped[UUID] = mapped_column(ForeignKey("shop_article.id"))
    text: Mapped[str]


class Article(Identified, Timestamped, SoftDeleted, Versioned, ShopBase):
    __tablename__ = "shop_article"
    __table_args__ = (
        Index("uq_shop_article_owner_name", "owner", "name", unique=True, postgresql_where=_ALIVE, sqlite_where=_ALIVE),
    )

    owner: Mapped[str] = mapped_column(default="ada")
    name: Mapped[str]
    price: Mapped[int] = mapped_column(default=1)
    notes: Mapped[list[Note]] = relationship()


class Unit(ShopBase):
    __tablename__ = "shop_unit"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class Label(Identified, Versioned, ShopBase):
    __tablename__ = "shop_label"

    text: Mapped[str]


class Pair(ShopBase):
    __tablename__ = "shop_pair"

    left: Mapped[int] = mapped_column(primary_key=True)
    right: Mapped[int] = mapped_column(primary_key=True)


class ArticleStore(Store[Article]):
    loads = (selectinload(Article.notes),)

    def __init__(self, session: Any, owner: str = "ada") -> None:
        super().__init__(Article, session)
        self._owner = owner

    def visible(self, statement: Select[Any]) -> Select[Any]:
        return statement.where(Article.owner == self._owner)


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=ShopBase.metadata)


@pytest.fixture
async def articles(database):
    """Three of Ada's, one of Bob's; ids by name."""
    async with database.write() as session:
        rows = [Article(name=name, price=price) for name, price in (("nut", 3), ("bolt", 1), ("cog", 2))]
        rows[0].notes = [Note(text="round"), Note(text="old", deleted_at=func.now())]
        session.add_all([*rows, Article(name="saw", owner="bob")])
        await session.flush()
        found = await session.scalars(select(Article))
        return {row.name: row.id for row in found}


class TestReading:
    async def test_finds_a_row_with_what_is_to_be_loaded_along(self, database, articles):
        async with database.read() as session:
            nut = await ArticleStore(session).get(articles["nut"])
        assert (nut.name, [note.text for note in nut.notes]) == ("nut", ["round"])

    async def test_says_that_a_row_is_missing_in_the_words_of_its_model(self, database):
        async with database.read() as session:
            with pytest.raises(NotFound, match="There is no article with this id"):
                await ArticleStore(session).get(uuid4())

    async def test_a_row_that_is_not_visible_does_not_exist(self, database, articles):
        async with database.read() as session:
            store = ArticleStore(session)
            assert await store.find(articles["saw"]) is None
            assert not await store.exists(Article.name == "saw")
            assert await store.count() == 3
            assert "saw" not in [row.name for row in await store.list()]
            assert "saw" not in [row.name async for row in store.stream()]
            with pytest.raises(NotFound):
                await store.get_many([articles["nut"], articles["saw"]])

    async def test_gives_many_in_the_order_they_were_asked_for_and_each_once(self, database, articles):
        async with database.read() as session:
            keys = [articles["cog"], articles["nut"], articles["cog"]]
            assert [row.name for row in await ArticleStore(session).get_many(keys)] == ["cog", "nut"]
            assert await ArticleStore(session).get_many([]) == []

    async def test_lists_in_the_asked_order_with_a_limit(self, database, articles):
        async with database.read() as session:
            dear = await ArticleStore(session).list(order_by=[Article.price.desc()], limit=2)
            assert [row.name for row in dear] == ["nut", "cog"]
            rest = await ArticleStore(session).list(order_by=[Article.price.desc()], offset=2)
            assert [row.name for row in rest] == ["bolt"]
            assert (await ArticleStore(session).first(Article.price < 3, order_by=[Article.price.desc()])).name == "cog"
            assert await ArticleStore(session).first(Article.price > 3) is None

    async def test_streams_every_row_in_batches(self, database):
        async with database.write() as session:
            await Store(Unit, session).add_many([Unit(code=f"{number:04}", name="x") for number in range(1_203)])
        async with database.read() as session:
            codes = [unit.code async for unit in Store(Unit, session).stream(Unit.code > "0001", batch=100)]
        assert codes == [f"{number:04}" for number in range(2, 1_203)]

    async def test_a_stream_that_is_left_early_gives_the_connection_back(self, fresh_database):
        async with fresh_database.write() as session:
            await Store(Unit, session).add_many([Unit(code=f"{number:04}", name="x") for number in range(500)])
        async with fresh_database.read() as session:
            store = Store(Unit, session)
            async for unit in store.stream(batch=10):
                assert unit.code == "0000"
                break
            assert await store.count() == 500

    async def test_a_key_of_several_columns_is_refused_with_advice(self, database):
        async with database.read() as session:
            with pytest.raises(TypeError, match="Pair has a primary key of several columns; write its queries by hand"):
                Store(Pair, session)


class TestWriting:
    async def test_adds_a_row_and_reads_back_what_the_database_filled_in(self, database):
        async with database.write() as session:
            gear = await ArticleStore(session).add(Article(name="gear"))
            assert isinstance(gear.created_at, datetime)
            assert gear.version == 1

    async def test_names_a_taken_value_at_once_and_the_unit_of_work_can_go_on_from_a_savepoint(
        self, database, articles
    ):
        async with database.write() as session:
            with pytest.raises(AlreadyExists):
                async with session.begin_nested():
                    await ArticleStore(session).add(Article(name="nut"))
            await ArticleStore(session).add(Article(name="gear"))
        async with database.read() as session:
            assert await ArticleStore(session).exists(Article.name == "gear")

    async def test_changes_attributes_by_name_and_counts_the_version(self, database, articles):
        async with database.write() as session:
            store = ArticleStore(session)
            nut = await store.update(await store.get(articles["nut"]), {"price": 7})
            assert (nut.price, nut.version) == (7, 2)

    async def test_refuses_a_name_that_the_model_does_not_have(self, database, articles):
        async with database.write() as session:
            store = ArticleStore(session)
            with pytest.raises(TypeError, match="Article has no prize"):
                await store.update(await store.get(articles["nut"]), {"prize": 7})

    async def test_a_change_decided_on_an_older_version_is_refused(self, fresh_database):
        async with fresh_database.write() as session:
            nut = (await ArticleStore(session).add(Article(name="nut"))).id
        async with fresh_database.read() as session:
            stale = await ArticleStore(session).get(nut)
        async with fresh_database.write() as session:
            store = ArticleStore(session)
            await store.update(await store.get(nut), {"price": 5})
        with pytest.raises(ConcurrentUpdate):
            async with fresh_database.write() as session:
                session.add(stale)
                await ArticleStore(session).update(stale, {"price": 6})
        async with fresh_database.read() as session:
            assert (await ArticleStore(session).get(nut)).price == 5

    async def test_a_change_of_what_belongs_to_a_row_can_be_counted_as_its_own(self, database, articles):
        async with database.write() as session:
            store = Store(Article, session)
            nut = await store.get(articles["nut"])
            await session.execute(update(Article).values(updated_at=datetime(2020, 1, 1, tzinfo=UTC)))
            store.touch(nut)
            await store.save(nut)
            assert nut.version == 2
            assert nut.updated_at.year > 2020

    async def test_a_row_without_a_stamp_can_be_counted_as_changed_too(self, database):
        async with database.write() as session:
            store = Store(Label, session)
            label = await store.add(Label(text="x"))
            store.touch(label)
            assert (await store.save(label)).version == 2

    async def test_a_session_that_reads_refuses_every_write(self, database, articles):
        async with database.read() as session:
            store = ArticleStore(session)
            with pytest.raises(TypeError, match="Take a WriteSession instead"):
                await store.add(Article(name="gear"))
            session.expunge_all()
            with pytest.raises(TypeError, match="Take a WriteSession instead"):
                await store.upsert({"owner": "ada", "name": "nut"}, on=["owner", "name"])


class TestUpsert:
    async def test_stores_a_new_row(self, database):
        async with database.write() as session:
            unit = await Store(Unit, session).upsert({"code": "kg", "name": "kilogram"}, on=["code"])
            assert (unit.code, unit.name) == ("kg", "kilogram")

    async def test_changes_the_row_with_the_same_unique_values(self, database, articles):
        async with database.write() as session:
            store = ArticleStore(session)
            before = await store.get(articles["nut"])
            nut = await store.upsert(
                {"owner": "ada", "name": "nut", "price": 9}, on=["owner", "name"], where=Article.deleted_at.is_(None)
            )
            assert (nut.id, nut.price, nut.version) == (articles["nut"], 9, 2)
            assert nut is before
            assert await store.count() == 3

    async def test_a_deleted_row_is_not_in_the_way(self, database, articles):
        async with database.write() as session:
            store = ArticleStore(session)
            await store.delete(await store.get(articles["nut"]))
            nut = await store.upsert(
                {"owner": "ada", "name": "nut"}, on=["owner", "name"], where=Article.deleted_at.is_(None)
            )
            assert nut.id != articles["nut"]

    async def test_does_not_reach_a_row_that_is_not_visible(self, database, articles):
        async with database.write() as session:
            with pytest.raises(AlreadyExists):
                await ArticleStore(session, "ada").upsert(
                    {"owner": "bob", "name": "saw", "price": 99},
                    on=["owner", "name"],
                    where=Article.deleted_at.is_(None),
                )
        async with database.read() as session:
            assert (await ArticleStore(session, "bob").get(articles["saw"])).price == 1

    @pytest.mark.parametrize(("values", "on"), [({"code": "kg", "nam": "x"}, ["code"]), ({"name": "x"}, ["code"])])
    async def test_refuses_unknown_and_missing_names(self, database, values, on):
        async with database.write() as session:
            with pytest.raises(TypeError, match="unknown, or missing in the values"):
                await Store(Unit, session).upsert(values, on=on)


class TestDeleting:
    async def test_marks_a_row_and_no_query_finds_it_again(self, database, articles):
        async with database.write() as session:
            store = ArticleStore(session)
            await store.delete(await store.get(articles["nut"]))
            session.expunge_all()
            assert await store.find(articles["nut"]) is None
            assert not await store.exists(Article.name == "nut")
            assert await session.get(Article, articles["nut"]) is None
            other = aliased(Article)
            for statement in (
                select(Article).where(Article.name == "nut"),
                select(other).where(other.name == "nut"),
                select(Article.id).where(Article.name == "nut"),
                select(Note).join(Article, Article.id == Note.article_id).where(Article.name == "nut"),
            ):
                assert (await session.scalars(statement)).all() == []
            assert await session.scalar(select(func.count()).select_from(Article).where(Article.name == "nut")) == 0

    async def test_a_bulk_update_leaves_a_marked_row_alone(self, database, articles):
        async with database.write() as session:
            store = ArticleStore(session)
            await store.delete(await store.get(articles["nut"]))
            await session.execute(update(Article).values(price=50).where(Article.owner == "ada"))
            session.expunge_all()
            assert (await store.including_deleted().get(articles["nut"])).price == 3
            assert (await store.get(articles["cog"])).price == 50

    async def test_can_be_seen_and_restored_on_purpose(self, database, articles):
        async with database.write() as session:
            store = ArticleStore(session)
            await store.delete(await store.get(articles["nut"]))
            deleted = await store.including_deleted().get(articles["nut"])
            assert deleted.deleted_at is not None
            await store.restore(deleted)
            assert (await store.get(articles["nut"])).deleted_at is None

    async def test_a_restored_row_may_find_its_name_taken(self, database, articles):
        async with database.write() as session:
            store = ArticleStore(session)
            nut = await store.get(articles["nut"])
            await store.delete(nut)
            await store.add(Article(name="nut"))
            with pytest.raises(AlreadyExists):
                async with session.begin_nested():
                    await store.restore(nut)

    async def test_what_includes_the_deleted_is_still_narrowed(self, database, articles):
        async with database.write() as session:
            bobs = ArticleStore(session, "bob")
            await bobs.delete(await bobs.get(articles["saw"]))
            assert await ArticleStore(session).including_deleted().find(articles["saw"]) is None

    async def test_purging_removes_it_for_good(self, database, articles):
        async with database.write() as session:
            store = ArticleStore(session)
            await store.purge(await store.get(articles["cog"]))
            assert await store.including_deleted().find(articles["cog"]) is None

    async def test_purging_a_row_that_others_refer_to_is_refused(self, fresh_database):
        async with fresh_database.write() as session:
            row = Article(name="nut", notes=[Note(text="x", deleted_at=func.now())])
            nut = (await ArticleStore(session).add(row)).id
        with pytest.raises(ConstraintViolated):
            async with fresh_database.write() as session:
                await ArticleStore(session).purge(await ArticleStore(session).get(nut))

    async def test_a_model_without_the_mark_loses_the_row(self, database):
        async with database.write() as session:
            store = Store(Unit, session)
            unit = await store.add(Unit(code="kg", name="kilogram"))
            await store.delete(unit)
            assert await store.find("kg") is None
            with pytest.raises(TypeError, match="Unit is not SoftDeleted"):
                await store.restore(unit)

    async def test_a_statement_of_ones_own_sees_them_with_the_option(self, database, articles):
        async with database.write() as session:
            store = ArticleStore(session)
            await store.delete(await store.get(articles["nut"]))
            statement = select(func.count()).select_from(Article).where(Article.owner == "ada")
            assert await session.scalar(statement, execution_options=including_deleted()) == 3


class TestMoments:
    async def test_a_moment_of_the_databases_clock_equals_itself_when_it_comes_back_as_a_value(self, database):
        async with database.write() as session:
            row = await ArticleStore(session).add(Article(name="nut"))
            assert await ArticleStore(session).exists(Article.created_at == row.created_at)
            assert not await ArticleStore(session).exists(Article.created_at < row.created_at)

    async def test_an_upsert_stamps_the_change_like_an_update(self, database, articles):
        async with database.write() as session:
            long_ago = datetime(2020, 1, 1, tzinfo=UTC)
            await session.execute(update(Article).values(updated_at=long_ago, created_at=long_ago))
            nut = await ArticleStore(session).upsert(
                {"owner": "ada", "name": "nut", "price": 9}, on=["owner", "name"], where=Article.deleted_at.is_(None)
            )
            assert nut.created_at == long_ago
            assert nut.updated_at > long_ago
