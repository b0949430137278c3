"""The bank's tables, in plain SQL, so that what is checked does not depend on what is tested."""

_REFERENCE = "REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED"

_TABLES = f"""
CREATE TABLE accounts (id TEXT PRIMARY KEY, opening BIGINT NOT NULL, balance BIGINT NOT NULL);
CREATE TABLE transfers (id TEXT PRIMARY KEY, ref TEXT NOT NULL, amount BIGINT NOT NULL);
CREATE TABLE entries (
    id TEXT PRIMARY KEY,
    transfer_id TEXT NOT NULL REFERENCES transfers (id) DEFERRABLE INITIALLY DEFERRED,
    account_id TEXT NOT NULL {_REFERENCE},
    amount BIGINT NOT NULL
);
CREATE TABLE counters (id TEXT PRIMARY KEY, value BIGINT NOT NULL, version INTEGER NOT NULL);
CREATE INDEX ix_transfers_ref ON transfers (ref);
CREATE INDEX ix_entries_transfer_id ON entries (transfer_id);
CREATE INDEX ix_entries_account_id ON entries (account_id);
"""


def tables(dialect: str, *, references: bool = True) -> list[str]:
    """The statements that make them.

    Args:
        dialect: `sqlite` or `postgresql`.
        references: Let the database refuse an entry of an account that does not exist, at the commit.
    """
    text = _TABLES if references else _TABLES.replace(_REFERENCE, "")
    if dialect == "postgresql":
        # So that an index finds what begins with a round's name, as it does in SQLite.
        text = text.replace(" TEXT ", ' TEXT COLLATE "C" ')
    return [statement.strip() for statement in text.split(";") if statement.strip()]
