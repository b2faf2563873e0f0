"""The tour's first room: a loan desk, where a tool is called, code is run in a sandbox, and a person decides."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Agent, Ask, Reply, ToolCall, Turn
from a2a_bridge.chat.ask import Human
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.execution.contract import CodeExecutor
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.model import Model, ModelMessage, ModelTool, OpenAIModel, Piece, ask_model
from a2a_bridge.chat.tools import tool
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.demo.endpoint import Endpoint
from a2a_bridge.demo.prompt import without_unfinished
from a2a_bridge.protocol.objects import JSONValue

QUESTION = "A street trader in Durban asks for 30000 rand for 24 months, at 18 percent a year. What will it cost?"
_AMOUNT, _PERCENT, _MONTHS = 30_000, 18, 24
CODE = f"""Month by month, and what the loan costs in all:

```python
left, rate, paid = {_AMOUNT}.0, {_PERCENT} / 1200, 0.0
instalment = left * rate / (1 - (1 + rate) ** -{_MONTHS})
with open("plan.csv", "w") as plan:
    for month in range(1, {_MONTHS} + 1):
        left, paid = left * (1 + rate) - instalment, paid + instalment
        plan.write(f"{{month}},{{instalment:.2f}},{{abs(left):.2f}}\\n")
print(f"paid {{paid:.2f}} rand, of which {{paid - {_AMOUNT}:.2f}} is interest")
```"""
CLERK = "You work at a loan desk. Call the tool for the instalment, do not reckon it yourself; then say it."
CODER = (
    "You write Python. Write one block, between ```python and ```, that reckons the loan of the conversation month by"
    " month into a file plan.csv and prints how much interest is paid in all. No input, no packages."
)


@tool
def instalment(
    amount: Annotated[float, "The loan, in rand."],
    percent: Annotated[float, "The interest, percent a year."],
    months: Annotated[int, "How long it is paid back."],
) -> str:
    """What a loan costs each month."""
    rate = percent / 1200
    return f"{amount * rate / (1 - (1 + rate) ** -months):.2f} rand a month"


def build_desk(endpoint: Endpoint, human: Human, executor: CodeExecutor | None) -> GroupChatManager:
    """A clerk with a tool, someone who writes code and someone who runs it (if there is an `executor`), and someone who
    asks a person; each speaks once, after the trader. `human` answers."""
    model: Model = OpenAIModel(endpoint.model, endpoint.api_key, endpoint.base_url)
    small = endpoint.is_embedded
    trader = UserProxyAgent("trader", human_input_mode="NEVER")
    clerk = AssistantAgent("clerk", CLERK, llm_config=_Led(model) if small else model, tools=[instalment])
    seats: list[Agent] = [trader, clerk]
    if executor is not None:
        seats.append(adapt(_recite, name="coder") if small else AssistantAgent("coder", CODER, llm_config=model))
        seats.append(UserProxyAgent("runner", human_input_mode="NEVER", code_executor=executor))
    seats.append(adapt(_leave_to_a_person, name="approver"))
    chat = GroupChat(seats, max_round=len(seats), speaker_selection_method="round_robin")
    return GroupChatManager(chat, name="desk", human=human)


def _recite(text: str) -> str:
    """The code that a very small model cannot write."""
    return CODE


async def _leave_to_a_person(turn: Turn) -> AsyncIterator[Reply | str]:
    """Asks until the answer is clear."""
    decision = turn.answer.option() if turn.answer is not None else None
    if decision is None:
        yield Ask("Shall the trader get the loan?", options=("yes", "no"))
    else:
        yield f"A person has decided: {'the loan is granted.' if decision == 'yes' else 'no loan.'}"


@dataclass(frozen=True, slots=True)
class _Led:
    """A very small model that cannot call tools, nor say a number again: both is done in its place."""

    model: Model

    @property
    def name(self) -> str:
        return self.model.name

    async def stream(
        self, messages: Sequence[ModelMessage], *, schema: JSONValue = None, tools: Sequence[ModelTool] = ()
    ) -> AsyncGenerator[Piece, None]:
        results = [str(message["content"]) for message in messages if message["role"] == "tool"]
        if not results:
            yield ToolCall("1", instalment.name, {"amount": _AMOUNT, "percent": _PERCENT, "months": _MONTHS})
            return
        yield f"That is {results[-1]}. "
        asked = "What is the risk of a loan for a street trader? Answer in one short sentence."
        text, usage = await ask_model(self.model, [{"role": "user", "content": asked}])
        yield without_unfinished(text)
        yield usage
