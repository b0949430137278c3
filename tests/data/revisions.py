"""Revisions as files, as tests write them."""

import sys
from pathlib import Path
from textwrap import dedent, indent

from mainspring.data import Migrator
from mainspring.kernel import Migrations, Module, new_id

_REVISION = '''"""{message}."""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from mainspring.data import assured, backfill

revision = {id!r}
down_revision = {down!r}
branch_labels = {label!r}
depends_on = None


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''


def write_revision(folder: Path, module: str, number: int, upgrade: str, downgrade: str, *, down: int = -1) -> Path:
    """`module_0001.py` and so on, each after the one before it, or after `down`; 0 begins the module's history."""
    before = number - 1 if down < 0 else down
    file = folder / f"{module}_{number:04d}.py"
    file.write_text(
        _REVISION.format(
            message=f"Step {number}",
            id=f"{module}_{number:04d}",
            down=f"{module}_{before:04d}" if before else None,
            label=module if number == 1 else None,
            upgrade=indent(dedent(upgrade).strip(), "    "),
            downgrade=indent(dedent(downgrade).strip(), "    "),
        )
    )
    return file


class Stock:
    """One module with revisions stock_0001, stock_0002 and so on."""

    def __init__(self, folder: Path) -> None:
        self.package = f"stock_{new_id().hex}"
        self.folder = folder / self.package
        self.folder.mkdir()
        (self.folder / "__init__.py").touch()
        self.module = Module(name="stock", migrations=Migrations(package=self.package, models=self.package))

    def revision(self, number: int, upgrade: str, downgrade: str = "raise NotImplementedError", down: int = -1) -> Path:
        return write_revision(self.folder, "stock", number, upgrade, downgrade, down=down)

    def migrator(self, url: str = "sqlite:///unused.db", **options) -> Migrator:
        return Migrator(url, [self.module], **options)

    async def check(self, since: str = "stock_0001", **options):
        return await self.migrator().safety(since=since, **options)

    def forget(self) -> None:
        """Let another test's module of this name be imported."""
        for name in [n for n in sys.modules if n.partition(".")[0] == self.package]:
            del sys.modules[name]
