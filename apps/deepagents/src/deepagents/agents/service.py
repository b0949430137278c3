"""The rules of agents."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from deepagents.toolbox import Toolbox
from mainspring.errors import AlreadyExists, FieldError, ValidationFailed

from .models import Agent, AgentTool
from .schemas import AgentCreate, AgentUpdate
from .store import AgentStore

_CAPPED_MODELS = "gpt-3.5"
_CAP = 4096


class AgentService:
    """Makes and changes agents within the caller's unit of work.

    Args:
        store: The owner's agents, within the unit of work.
        owner: Whose agents are made.
        tools: What agents may be given.
    """

    def __init__(self, store: AgentStore, *, owner: UUID, tools: Toolbox) -> None:
        self._store = store
        self._owner = owner
        self._tools = tools

    async def create(self, new: AgentCreate) -> Agent:
        """Make an agent.

        Raises:
            AlreadyExists: The owner has an agent of this name.
            ValidationFailed: A tool does not exist.
        """
        self._tools.require(new.tools)
        columns = new.model_dump(exclude={"tools"})
        agent = Agent(**columns, user_id=self._owner, given_tools=_given(new.tools))
        _check_cap(agent)
        with _name_told(agent):
            return await self._store.add(agent)

    async def update(self, agent: Agent, changes: AgentUpdate) -> Agent:
        """Change an agent; what `changes` does not name stays.

        Raises:
            AlreadyExists: The owner has another agent of the new name.
            ValidationFailed: A tool does not exist.
        """
        if "tools" in changes.model_fields_set:
            self._tools.require(changes.tools)
            kept = {given.name: given for given in agent.given_tools}
            agent.given_tools = [kept.get(given.name, given) for given in _given(changes.tools)]
            for position, given in enumerate(agent.given_tools):
                given.position = position
            self._store.touch(agent)
        for name, value in changes.changes().items():
            setattr(agent, name, value)
        _check_cap(agent)
        with _name_told(agent):
            return await self._store.save(agent)

    async def delete(self, agent: Agent) -> None:
        """Mark an agent as deleted. Its executions stay readable in the database; its name is free again."""
        agent.is_active = False
        await self._store.delete(agent)


@contextmanager
def _name_told(agent: Agent) -> Iterator[None]:
    """Within the block, a taken name is told by name."""
    name = agent.name  # After a failed flush the object would have to be loaded again, which then fails too.
    try:
        yield
    except AlreadyExists as error:
        raise AlreadyExists(f"You already have an agent named {name!r}. Choose another name.") from error


def _check_cap(agent: Agent) -> None:
    if agent.model_name.startswith(_CAPPED_MODELS) and agent.max_tokens > _CAP:
        message = f"{agent.model_name} answers with at most {_CAP} tokens."
        raise ValidationFailed(message, errors=[FieldError(("body", "max_tokens"), message, "less_than_equal")])


def _given(names: list[str]) -> list[AgentTool]:
    return [AgentTool(name=name, position=position) for position, name in enumerate(names)]
