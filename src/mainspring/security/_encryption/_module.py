"""Encrypted columns as a module: it gives the database its keys."""

import logging

from mainspring.data import Base, Database
from mainspring.kernel import Module, Registry, Resource

from ._keyring import Keyring
from ._rotation import encrypted_columns
from ._settings import EncryptionSettings
from ._types import give_keys


def _is_no_row(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Row ")


def encrypt_with(database: Database, keyring: Keyring) -> None:
    """Give a database its keys, for its `EncryptedText` columns and their like; once, before its first statement.

    From then on SQLAlchemy shows no parameters of statements, in no log and no error: where another value of a statement
    cannot be sent, it would show all of them as they were before they were encrypted. Nor does it log the rows that it
    reads, which it does at the level DEBUG, decrypted.
    """
    logging.getLogger("sqlalchemy.engine.Engine").addFilter(_is_no_row)
    for engine in database.engines:
        engine.hide_parameters = True
        give_keys(engine.dialect, keyring)


def encryption_module(settings: EncryptionSettings) -> Module:
    """Encrypted columns, ready to be listed in `create_app(modules=…)`. What reads such a column while the service
    starts needs `Keyring`.
    """

    async def make(registry: Registry) -> Keyring:
        # Two columns of one context could be taken for each other; better found before a value is stored.
        encrypted_columns(Base.metadata)
        keyring = settings.keyring
        encrypt_with(registry.get(Database), keyring)
        return keyring

    return Module(
        name="encryption",
        summary="Columns that only the service can read",
        settings=EncryptionSettings,
        resources=(
            Resource(
                provides=Keyring,
                name="encryption",
                make=make,
                needs=(Database,),
                chosen_by=settings.origin("encryption_keys").key,
                advice="Check ENCRYPTION_KEYS.",
            ),
        ),
    )
