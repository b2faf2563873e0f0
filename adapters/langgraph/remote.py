"""A remote A2A agent, or any agent of ours, as a node of a LangGraph graph, or as a tool.

    builder.add_node("critic", a2a_node("https://example.org/critic", name="critic"))
    planner = create_agent(model, tools=[a2a_tool("https://example.org/weather", name="weather")])

What the remote is asked is a LangGraph task, so its result is in the checkpoint before the graph pauses: a node that is
run again from its top, as LangGraph does after an interrupt, asks nothing twice. Where the conversation is stands in
the message that the node adds, so nothing is kept in memory and every checkpoint knows its own. LangGraph's own task
owns the turn: when it is cancelled, the remote task is.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any
from uuid import NAMESPACE_URL, uuid5

from a2a_bridge.errors import AdapterError, AdapterFailedError, needs_extra

with needs_extra("langgraph"):
    from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.runnables import RunnableLambda
    from langchain_core.tools import StructuredTool, ToolException
    from langchain_core.tools.base import create_schema_from_function

    from langgraph.config import get_stream_writer
    from langgraph.func import task
    from langgraph.runtime import get_runtime
    from langgraph.types import interrupt

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Agent, Ask, Progress, parts_of
from a2a_bridge.client.hosted import Hosted, Tokens, Tool, hosted_message
from a2a_bridge.client.loop_thread import blocking
from a2a_bridge.protocol.media import words_of
from a2a_bridge.protocol.objects import Message, Part, dump, json_bytes
from adapters.langgraph.messages import REMOTE, data_part, jsonable, to_content, to_parts


def a2a_node(
    target: Any, *, name: str, description: str | None = None, reads: str = "messages", writes: str = "messages"
) -> RunnableLambda[Any, dict[str, Any]]:
    """`target`, a URL or whatever `adapt` takes, as a node, for async and for sync runs.

    `reads`, `writes`: keys of the state. From a key that holds messages the remote is told what is new since its last
    one, from another its value, as a text or data. To `messages` a message is added; another key gets the answer's
    text, or its data if it is nothing else. Only a node that reads and writes the same messages has a conversation that
    goes on; for any other each run is a new one.

    A question of the remote is an interrupt, whose value is a dict with `question`, `options`, `schema` and `agent`;
    what `Command(resume=...)` gives is the answer. A failure of the remote is raised as AdapterFailedError.
    """
    agent = adapt(target, name=name, description=description)

    @task(name=f"{name}_turn")  # type: ignore[untyped-decorator]  # checked without the framework's types
    async def turn(said: Sequence[Message], talk: Mapping[str, Any] | str, key: str) -> dict[str, Any]:
        return await _turn(agent, name, said, talk, key)

    @task(name=f"{name}_turn")  # type: ignore[untyped-decorator]  # checked without the framework's types
    def sync_turn(said: Sequence[Message], talk: Mapping[str, Any] | str, key: str) -> dict[str, Any]:
        return blocking(_turn(agent, name, said, talk, key))

    async def node(state: Any) -> dict[str, Any]:
        turns: list[dict[str, Any]] = []
        for asked in _steps(_held(state, reads), name, turns):
            turns.append(await turn(*asked))
        return _written(turns, name, writes)

    def sync_node(state: Any) -> dict[str, Any]:
        turns: list[dict[str, Any]] = []
        for asked in _steps(_held(state, reads), name, turns):
            turns.append(sync_turn(*asked).result())
        return _written(turns, name, writes)

    return RunnableLambda(sync_node, node, name=name)


def a2a_tool(target: Any, *, name: str, description: str | None = None) -> StructuredTool:
    """`target`, a URL or whatever `adapt` takes, as a tool, for `create_agent` or a `ToolNode`.

    What it gives names the conversation, which the model may go on with: that is how it answers a question of the
    remote. The same words in a step that is run again are the same turn. The model is told of a failure.
    """
    tool = Tool(adapt(target, name=name, description=description))

    async def ask(
        message: Annotated[str, "What is said to the agent."],
        conversation: Annotated[str, "Empty for a new conversation, else the one that an earlier result names."] = "",
    ) -> str:
        try:
            return await tool.call(message, conversation, unique=_step())
        except AdapterFailedError as error:
            raise ToolException(str(error)) from error

    def sync_ask(message: str, conversation: str = "") -> str:
        return blocking(ask(message, conversation))

    return StructuredTool.from_function(
        sync_ask,
        ask,
        name=name,
        description=description or tool.agent.description,
        args_schema=create_schema_from_function(name, ask),
        handle_tool_error=True,
    )


def _step() -> str:
    """The step of the graph that is running, which is the same when it is run again; empty outside a graph."""
    try:
        runtime = get_runtime()
    except RuntimeError:  # no graph runs here
        return ""
    return runtime.execution_info.task_id if runtime is not None and runtime.execution_info is not None else ""


def _held(state: Any, key: str) -> Any:
    return state[key] if isinstance(state, Mapping) else getattr(state, key)


def _steps(held: Any, name: str, turns: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, Any, str]]:
    """What is to be asked, and where, and as what, turn by turn; each turn is in `turns` when the next one is wanted.
    Between them is the interrupt."""
    run = _step()
    if not run:
        raise AdapterError(f"the node {name!r} was not called by a graph")
    said, talk = _new(held, name, run)
    # What is said belongs to the key: a step may call the node more than once.
    words = json_bytes([dump(one) for one in said]).decode()
    first = str(uuid5(NAMESPACE_URL, f"urn:a2a-bridge:langgraph:{run}:{words}"))
    yield said, talk or first, first
    while turns[-1]["talk"]["asks"]:
        answer = interrupt(_question(turns[-1]["asks"], name))
        key = f"{first}:{len(turns)}"
        part = Part(text=answer) if isinstance(answer, str) else data_part(answer)
        yield [hosted_message([part], key=f"{key}:answer")], turns[-1]["talk"], key


def _written(turns: Sequence[Mapping[str, Any]], name: str, key: str) -> dict[str, Any]:
    return {key: [_message(turns, name)] if key == "messages" else _value(turns[-1])}


async def _turn(
    agent: Agent, name: str, said: Sequence[Message], talk: Mapping[str, Any] | str, key: str
) -> dict[str, Any]:
    """One turn of the remote: what it came to, as JSON for the checkpoint. `talk` is a state, or a new one's name."""
    hosted, tokens, show = Hosted(agent, talk if isinstance(talk, str) else None), Tokens(), get_stream_writer()
    if not isinstance(talk, str):
        hosted.load(talk)
    async with aclosing(hosted.take(said, key=key)) as replies:
        async for reply in replies:
            if text := tokens.of(reply):
                show({REMOTE: {"agent": name, "token": text, "message": key}})
            elif isinstance(reply, Progress):
                show({REMOTE: {"agent": name, "progress": reply.text}})
    used = hosted.outcome.usage
    return {
        "talk": hosted.state,
        "parts": [dump(part) for part in hosted.outcome.parts],
        "asks": [_asked(ask) for ask in hosted.asks],
        "used": [used.input_tokens, used.output_tokens],
        "message": key,
    }


def _asked(ask: Ask) -> dict[str, Any]:
    return {
        "id": ask.id,
        "question": words_of(parts_of(ask)),
        "options": list(ask.options),
        "schema": ask.schema,
        "kind": ask.kind,
    }


def _question(asks: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """The value of the interrupt; several questions are answered by a dict of ids and answers."""
    if len(asks) == 1:
        return {"agent": name, **asks[0]}
    return {"agent": name, "question": "\n".join(ask["question"] for ask in asks), "asks": list(asks)}


def _new(held: Any, name: str, run: str) -> tuple[list[Message], Mapping[str, Any] | None]:
    """What the remote has not been told, and where the conversation is, which its last message knows."""
    if not (isinstance(held, list) and all(_is_message(one) for one in held)):
        return [hosted_message([Part(text=held) if isinstance(held, str) else data_part(held)], key=f"{run}:0")], None
    talk, begin = None, 0
    messages = convert_to_messages(held)
    for number, message in enumerate(messages):
        if message.name == name and REMOTE in message.response_metadata:
            talk, begin = message.response_metadata[REMOTE], number + 1
    said = []
    for number, message in enumerate(messages[begin:], begin):
        if parts := to_parts(message):
            speaker = message.name or ("assistant" if isinstance(message, AIMessage) else None)
            said.append(hosted_message(parts, key=f"{run}:{number}", speaker=speaker))
    return said or [hosted_message([Part(text="")], key=f"{run}:empty")], talk


def _is_message(one: Any) -> bool:
    """As LangGraph has them: an object, or a dict in OpenAI's form in a state that does not convert it."""
    return isinstance(one, BaseMessage) or (isinstance(one, Mapping) and "role" in one and "content" in one)


def _message(turns: Sequence[Mapping[str, Any]], name: str) -> AIMessage:
    """The answer, with where the conversation is: of the last turn, whose questions are answered."""
    last = turns[-1]
    asked, spoken = (sum(turn["used"][which] for turn in turns) for which in (0, 1))
    return AIMessage(
        content=to_content(Part.model_validate(part) for part in last["parts"]),
        name=name,
        id=last["message"],
        usage_metadata=UsageMetadata(input_tokens=asked, output_tokens=spoken, total_tokens=asked + spoken),
        response_metadata={REMOTE: last["talk"]},
    )


def _value(last: Mapping[str, Any]) -> Any:
    parts = [Part.model_validate(part) for part in last["parts"]]
    return jsonable(parts[0].data) if len(parts) == 1 and parts[0].kind == "data" else words_of(parts)
