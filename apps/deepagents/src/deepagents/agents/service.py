"""The rules of agents."""

from uuid import UUID

from deepagents.toolbox import Toolbox
from mainspring.data import AsyncWriteSession
from mainspring.errors import AlreadyExists, FieldError, ValidationFailed
from mainspring.kernel import Clock

from .models import Agent, AgentTool
from .schemas import AgentCreate, AgentUpdate
from .store import stored

_CAPPED_MODELS = "gpt-3.5"
_CAP = 4096


class AgentService:
    """Makes and changes agents within the caller's unit of work.

    Args:
        session: The unit of work.
        tools: What agents may be given.
        clock: The time.
    """

    def __init__(self, session: AsyncWriteSession, *, tools: Toolbox, clock: Clock) -> None:
        self._session = session
        self._tools = tools
        self._clock = clock

    async def create(self, new: AgentCreate, *, owner: UUID) -> Agent:
        """Make an agent.

        Raises:
            AlreadyExists: The owner has an agent of this name.
            ValidationFailed: A tool does not exist.
        """
        self._tools.require(new.tools)
        columns = new.model_dump(exclude={"tools"})
        agent = Agent(**columns, user_id=owner, given_tools=_given(new.tools))
        return await self._stored(agent)

    async def update(self, agent: Agent, changes: AgentUpdate) -> Agent:
        """Change an agent; what `changes` does not name stays.

        Raises:
            AlreadyExists: The owner has another agent of the new name.
            ValidationFailed: A tool does not exist.
        """
        for name, value in changes.changes().items():
            setattr(agent, name, value)
        if "tools" in changes.model_fields_set:
            self._tools.require(changes.tools)
            kept = {given.name: given for given in agent.given_tools}
            agent.given_tools = [kept.get(given.name, given) for given in _given(changes.tools)]
            for position, given in enumerate(agent.given_tools):
                given.position = position
        return await self._stored(agent)

    async def delete(self, agent: Agent) -> None:
        """Mark an agent as deleted. Its executions stay readable in the database; its name is free again."""
        agent.deleted_at = self._clock.now()
        agent.is_active = False
        await self._session.flush()

    async def _stored(self, agent: Agent) -> Agent:
        _check_cap(agent)
        name = agent.name  # After a failed flush the object would have to be loaded again, which then fails too.
        try:
            return await stored(self._session, agent)
        except AlreadyExists as error:
            raise AlreadyExists(f"You already have an agent named {name!r}. Choose another name.") from error


def _check_cap(agent: Agent) -> None:
    if agent.model_name.startswith(_CAPPED_MODELS) and agent.max_tokens > _CAP:
        message = f"{agent.model_name} answers with at most {_CAP} tokens."
        raise ValidationFailed(message, errors=[FieldError(("body", "max_tokens"), message, "less_than_equal")])


def _given(names: list[str]) -> list[AgentTool]:
    return [AgentTool(name=name, position=position) for position, name in enumerate(names)]
