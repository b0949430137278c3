"""A revision that is edited after it was applied is noticed."""

TABLE = "op.create_table('shelf', sa.Column('id', sa.Integer, primary_key=True))"
OTHER = TABLE.replace("'id'", "'number'")


async def test_what_it_does_must_stay_what_was_applied(empty, url):
    empty.revision(1, TABLE)
    migrator = empty.migrator(url)
    await migrator.upgrade()
    assert (await migrator.safety()).findings == []

    empty.revision(1, OTHER)
    (found,) = (await migrator.safety()).refused

    assert (found.rule, found.revision) == ("edited-after-applying", "stock_0001")
    assert await migrator.accept_edits() == ["stock_0001"]
    assert (await migrator.safety()).findings == []
    assert await migrator.accept_edits() == []


async def test_its_words_and_its_formatting_may_change(empty, url):
    file = empty.revision(1, TABLE)
    migrator = empty.migrator(url)
    await migrator.upgrade()

    said = (
        file.read_text()
        .replace('"""Step 1."""', '"""Makes shelves."""')
        .replace("sa.Integer,", "sa.Integer,  # small\n")
    )
    file.write_text(said)

    assert (await migrator.safety()).findings == []


async def test_one_that_was_undone_may_be_edited(empty, url):
    empty.revision(1, TABLE, "op.drop_table('shelf')")
    migrator = empty.migrator(url)
    await migrator.upgrade()
    await migrator.downgrade("base")

    empty.revision(1, OTHER, "op.drop_table('shelf')")

    assert [f for f in (await migrator.safety()).findings if f.rule.startswith("edited")] == []


async def test_the_table_it_is_kept_in_is_no_difference(empty, url):
    empty.revision(1, "pass")
    migrator = empty.migrator(url)
    await migrator.upgrade()

    assert not [line for line in await migrator.drift() if "digest" in line]
