"""Rows of audited models by the thousand: one entry for all of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mainspring.data._bulk import BulkChange, guard_everywhere
from mainspring.data._session import AsyncWriteSession
from mainspring.kernel import new_id

from ._actors import current_reason
from ._audited import watched
from ._listening import recorder_for
from ._recorder import Change


@guard_everywhere
@asynccontextmanager
async def record_bulk_change(session: AsyncWriteSession, change: BulkChange) -> AsyncIterator[None]:
    """Leave one entry of a bulk change of an audited model: which columns, how many rows, and why.

    Raises:
        TypeError: Nobody has said why.
    """
    found = watched(change.model)
    recorder = recorder_for(session.sync_session, change.model) if found is not None else None
    if found is None or recorder is None:
        yield
        return
    reason = current_reason()
    if reason is None:
        raise TypeError(
            f"{change.model.__name__} is audited, and bulk changes leave no entry for each row. Say why, for the one that "
            "they leave together: with audit_reason(…)."
        )
    yield
    after = {"statement": f"{change.kind} {', '.join(change.columns)}", "rows": change.rows, "reason": reason}
    entry = Change(found.entity_type, f"bulk:{new_id()}", "bulk", None, after, is_first=True)
    await session.run_sync(recorder.record, [entry])
