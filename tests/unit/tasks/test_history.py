"""What an agent finds when it looks back."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

from a2a_bridge.agent import Ask, Chunk, Reply, Say, Turn
from a2a_bridge.bridge import Bridge


class Remembers:
    """Says something, asks, and looks back when it is answered."""

    name = "remembers"
    description = "Looks back."

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        self.seen.append([f"{m.role.value[5:].lower()}: {m.text}" for m in await turn.history()])
        yield f"working on {turn.text}"
        yield Chunk("a side note", artifact="notes")
        if turn.text == "go":
            yield Ask("Which way?")
        else:
            yield Say("Done.")


async def test_history_holds_what_came_of_every_turn_and_never_what_was_only_shown(start: Callable[..., Any]) -> None:
    """Ours, architecture: the client's messages, the words of each ask, the outcome of each turn."""
    agent = Remembers()
    client = await start(Bridge(agent))

    async def send(number: int, text: str, **members: Any) -> Any:
        message = {"messageId": f"m{number}", "role": "ROLE_USER", "parts": [{"text": text}], **members}
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        return (await client.post("/", json=body)).json()["result"]["task"]

    task = await send(1, "go")
    await send(2, "left", taskId=task["id"])
    await send(3, "again", contextId=task["contextId"])
    first = ["user: go", "agent: working on go", "agent: Which way?"]
    assert agent.seen == [[], first, [*first, "user: left", "agent: working on left\nDone."]]


class Broken(Remembers):
    """Cannot look at files."""

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        self.seen.append([f"{m.role.value[5:].lower()}: {m.text}" for m in await turn.history()])
        if any(part.raw for message in turn.messages for part in message.parts):
            raise RuntimeError("what is this?")
        yield "fine"


async def test_files_of_a_task_that_failed_are_named_only(start: Callable[..., Any]) -> None:
    """Ours: a file that no model takes would fail every turn of the context after it, for agents that read it."""
    agent = Broken()
    client = await start(Bridge(agent))

    async def send(number: int, *parts: Any, **members: Any) -> Any:
        message = {"messageId": f"m{number}", "role": "ROLE_USER", "parts": list(parts), **members}
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        return (await client.post("/", json=body)).json()["result"]["task"]

    task = await send(1, {"text": "look"}, {"raw": "eHl6", "mediaType": "application/json", "filename": "a.json"})
    await send(2, {"text": "and now?"}, contextId=task["contextId"])
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert agent.seen[-1] == ["user: look\n[a.json: application/json, not shown again]"]
