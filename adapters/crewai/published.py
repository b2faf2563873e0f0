"""What all that is published of CrewAI has in common."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from a2a_bridge.agent import Fail, Reply, Turn
from a2a_bridge.errors import AdapterError, AdapterFailedError

GONE = Fail("The question that this answers is not open any more. Please start again.")


class Published:
    """A turn in which whatever is raised becomes an AdapterFailedError."""

    name: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """One run."""
        try:
            async with aclosing(self.replies(turn)) as replies:
                async for reply in replies:
                    yield reply
        except AdapterError:
            raise
        except Exception as error:  # CrewAI's and the model provider's errors have no common base
            raise AdapterFailedError(f"the CrewAI agent {self.name!r} failed: {type(error).__name__}") from error

    def replies(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """The replies of one run."""
        raise NotImplementedError
