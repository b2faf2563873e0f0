"""A remote A2A agent, or any agent of ours, as a node of a LangGraph graph.

    builder.add_node("critic", a2a_node("https://example.org/critic", name="critic"))

What the remote is asked is a LangGraph task, so its result is in the checkpoint before the graph pauses: a node that is
run again from its top, as LangGraph does after an interrupt, asks nothing twice. Where the conversation is stands in
the message that the node adds, so nothing is kept in memory and every checkpoint knows its own. LangGraph's own task
owns the turn: when it is cancelled, the remote task is.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Agent, Ask, Progress, parts_of
from a2a_bridge.client.hosted import Hosted, Tokens, hosted_message, words_of
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Message, Part, dump
from adapters.langgraph.messages import REMOTE, data_part, jsonable, to_content, to_parts
from langgraph.config import get_stream_writer
from langgraph.func import task
from langgraph.runtime import Runtime
from langgraph.types import interrupt

Node: TypeAlias = Callable[[Any, Runtime[Any]], Awaitable[dict[str, Any]]]


def a2a_node(
    target: Any, *, name: str, description: str | None = None, reads: str = "messages", writes: str = "messages"
) -> Node:
    """`target`, a URL or whatever `adapt` takes, as an async node.

    `reads`, `writes`: keys of the state. From a key that holds messages the remote is told what is new since its last
    one, from another its value, as a text or data. To `messages` a message is added; another key gets the answer's
    text, or its data if it is nothing else. Only a node that reads and writes the same messages has a conversation that
    goes on; for any other each run is a new one.

    A question of the remote is an interrupt, whose value is a dict with `question`, `options`, `schema` and `agent`;
    what `Command(resume=...)` gives is the answer. A failure of the remote is raised as AdapterFailedError.
    """
    agent = adapt(target, name=name, description=description)

    @task(name=f"{name}_turn")  # type: ignore[untyped-decorator]  # checked without the framework's types
    async def ask(said: Sequence[Message], talk: Mapping[str, Any] | str, key: str) -> dict[str, Any]:
        return await _turn(agent, name, said, talk, key)

    async def node(state: Any, runtime: Runtime[Any]) -> dict[str, Any]:
        if runtime.execution_info is None:
            raise AdapterError(f"the node {name!r} was not called by a graph")
        run = runtime.execution_info.task_id
        said, talk = _new(state[reads] if isinstance(state, Mapping) else getattr(state, reads), name, run)
        turns = [await ask(said, talk or run, run)]
        while turns[-1]["talk"]["asks"]:
            answer = interrupt(_question(turns[-1]["asks"], name))
            key = f"{run}:{len(turns)}"
            part = Part(text=answer) if isinstance(answer, str) else data_part(answer)
            turns.append(await ask([hosted_message([part], key=f"{key}:answer")], turns[-1]["talk"], key))
        return {writes: [_message(turns, name)] if writes == "messages" else _value(turns[-1])}

    node.__name__ = name
    return node


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
    if not (isinstance(held, list) and all(isinstance(one, BaseMessage) for one in held)):
        return [hosted_message([Part(text=held) if isinstance(held, str) else data_part(held)], key=f"{run}:0")], None
    talk, begin = None, 0
    for number, message in enumerate(held):
        if message.name == name and REMOTE in message.response_metadata:
            talk, begin = message.response_metadata[REMOTE], number + 1
    said = []
    for number, message in enumerate(held[begin:], begin):
        if parts := to_parts(message):
            speaker = message.name or ("assistant" if isinstance(message, AIMessage) else None)
            said.append(hosted_message(parts, key=f"{run}:{number}", speaker=speaker))
    return said or [hosted_message([Part(text="")], key=f"{run}:empty")], talk


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
