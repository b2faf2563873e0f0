"""What all that is published of CrewAI has in common."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from a2a_bridge.agent import Fail, Reply, Turn
from a2a_bridge.errors import framework_errors

GONE = Fail("The question that this answers is not open any more. Please start again.")


class Published:
    """A turn in which whatever is raised becomes an AdapterFailedError."""

    name: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """One run."""
        with framework_errors(f"the CrewAI agent {self.name!r}"):
            async with aclosing(self.replies(turn)) as replies:
                async for reply in replies:
                    yield reply

    def replies(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """The replies of one run."""
        raise NotImplementedError
