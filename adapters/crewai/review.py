"""A task's `human_input=True`: the crew stops where it would read the terminal, and the question goes to the caller.

The run ends there. What is needed to go on (the draft and the conversation with the model) is one record of the
turn's journal, so an answer may come after a restart. "Yes" makes the draft the answer; anything else is feedback: the
task is taken up again where it stopped, with the feedback as the next message.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from pydantic_core import to_jsonable_python

from a2a_bridge.agent import Ask, Journal
from a2a_bridge.protocol.objects import Part
from adapters.crewai.files import with_pictures

QUESTION: Final = Ask(text="Is this all right? Say yes, or what to change.", options=("yes",))

Messages = Sequence[dict[str, Any]]


class ReviewWanted(BaseException):
    """The crew has a draft for a human to look at. Not an Exception: CrewAI would try the task again."""

    def __init__(self, draft: str, messages: Messages) -> None:
        super().__init__("a human is to review the draft")
        self.draft = draft
        self.messages = messages


class Reviewer:
    """CrewAI's provider of human input: never reads the terminal. `resumed` is the conversation to take up.

    CrewAI lets it see every conversation with a model before that is called, so it also shows the `pictures`, with
    the last thing that is said to the model.
    """

    def __init__(self, resumed: Messages = (), pictures: Sequence[Part] = ()) -> None:
        self._resumed = list(resumed)
        self._pictures = pictures

    def setup_messages(self, context: Any) -> bool:
        """True when the task goes on with an earlier conversation instead of starting with its prompt."""
        if not self._resumed:
            return False
        context.messages.extend(self._resumed)
        self._resumed = []
        self.post_setup_messages(context)
        return True

    def post_setup_messages(self, context: Any) -> None:
        """The pictures, beside a task's own prompt or the feedback."""
        said = next((one for one in reversed(context.messages) if one["role"] == "user"), None)
        if self._pictures and said is not None:
            said["content"] = with_pictures(said["content"], self._pictures, context.llm)

    def handle_feedback(self, formatted_answer: Any, context: Any) -> Any:
        """Where CrewAI would ask: the run ends here."""
        output = formatted_answer.output
        draft = output if isinstance(output, str) else output.model_dump_json()
        raise ReviewWanted(draft, list(context.messages))

    async def handle_feedback_async(self, formatted_answer: Any, context: Any) -> Any:
        """The same for a run in an event loop."""
        return self.handle_feedback(formatted_answer, context)


async def remember(journal: Journal, review: ReviewWanted) -> None:
    """Keep what is needed to go on; durable when it returns."""
    kept = {"draft": review.draft, "messages": to_jsonable_python(list(review.messages), fallback=str)}
    await journal.append(json.dumps(kept).encode(), snapshot=True)


async def recall(journal: Journal) -> ReviewWanted | None:
    """The review that waits for an answer, if there is one."""
    records = await journal.read()
    kept = json.loads(records[-1][1]) if records else None
    return ReviewWanted(kept["draft"], kept["messages"]) if kept else None


async def forget(journal: Journal) -> None:
    """The review has been answered."""
    await journal.append(b"null", snapshot=True)


def with_feedback(review: ReviewWanted, feedback: str) -> Messages:
    """The conversation, going on with what the human wants changed."""
    words = f"{feedback}\n\nPlease give the whole answer again, changed accordingly."
    messages = list(review.messages)
    if not messages or messages[-1].get("role") != "assistant":
        messages.append({"role": "assistant", "content": review.draft})
    return [*messages, {"role": "user", "content": words}]
