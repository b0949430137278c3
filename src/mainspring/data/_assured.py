"""Waivers: what a migration does although the check of migrations would refuse it, and why that is right."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Waiver:
    """One `with assured(...)` while it is entered.

    Attributes:
        reason: Why the operations in it are safe here.
        rules: Identifiers of the rules that are waived; none means all of them.
        used: Whether it has kept a rule from refusing something.
    """

    reason: str
    rules: frozenset[str]
    used: bool = False

    def covers(self, rule: str) -> bool:
        """Whether it waives this rule."""
        return not self.rules or rule in self.rules


_entered: ContextVar[tuple[Waiver, ...]] = ContextVar("assured", default=())


@contextmanager
def assured(reason: str, *rules: str) -> Iterator[None]:
    """Waive the check of migrations for the operations inside; `mainspring db check` lists every waiver it used.

    It changes nothing about how a migration is applied: the limits on locks and statements hold inside too.

    Args:
        reason: Why it is safe here, for those who read the migration later: "a table of 40 rows", "no release since
            2.3 reads the column".
        rules: Only these rules, by the identifiers that the check prints. All of them by default; naming them keeps
            the waiver from hiding what is added to the block later.

    Raises:
        ValueError: The reason is empty.
    """
    if not reason.strip():
        raise ValueError("assured() wants the reason why the operations inside are safe.")
    token = _entered.set((*_entered.get(), Waiver(reason.strip(), frozenset(rules))))
    try:
        yield
    finally:
        _entered.reset(token)


def waivers() -> tuple[Waiver, ...]:
    """Those entered now, outermost first."""
    return _entered.get()
