"""What is wrong before the first request, all of it at once."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that keeps the service from starting.

    Attributes:
        key: What is at fault: a setting's environment name (`SECRET_KEY`), a resource, a module.
        message: What is wrong with it.
        fix: What to do, as an instruction.
        source: Where the value came from: `environment`, `.env`, `default`.
    """

    key: str
    message: str
    fix: str
    source: str = ""


class BootError(Exception):
    """The service does not start; the message is a report of every problem found, each with its fix.

    Attributes:
        problems: What the report lists.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(_report(self.problems))


def _report(problems: tuple[Problem, ...]) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"The service does not start: {count}."]
    for number, problem in enumerate(problems, start=1):
        source = f"  [{problem.source}]" if problem.source else ""
        lines += ["", f"  {number}. {problem.key}{source}", f"     {problem.message}", f"     Fix: {problem.fix}"]
    return "\n".join(lines)
