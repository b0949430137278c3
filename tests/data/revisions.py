"""Revisions as files, as tests write them."""

from pathlib import Path
from textwrap import dedent, indent

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
