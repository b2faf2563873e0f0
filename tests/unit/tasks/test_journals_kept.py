"""What an agent remembers of a context goes when its time has come, and not before."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from a2a_bridge.agent import Reply, Traits, Turn
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.tasks.live import Keeping


class Counter:
    """Counts the turns of a context in its journal."""

    name = "counter"
    description = "Counts."
    traits = Traits(keeps_context=True)

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        await turn.journal.append(b"one more")
        yield str(len(await turn.journal.read()))


def counted(body: dict[str, Any]) -> str:
    return str(body["result"]["task"]["artifacts"][0]["parts"][0]["text"])


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_journal_is_kept_as_long_as_tasks_are_and_then_it_goes(
    kind: str, start: Callable[..., Any], tmp_path: Any
) -> None:
    """Ours: nothing that a server keeps grows for ever."""
    now = [1_000_000.0]
    store = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "tasks.sqlite")
    bridge = Bridge(Counter(), store=store, options=Options(keeping=Keeping(tasks=100.0), clock=lambda: now[0]))
    client = await start(bridge)

    async def send(number: int) -> str:
        message = {"messageId": f"m{number}", "contextId": "c", "role": "ROLE_USER", "parts": [{"text": "go"}]}
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        return counted((await client.post("/", json=body)).json())

    assert [await send(1), await send(2)] == ["1", "2"]
    now[0] += 99
    await bridge.service.sweep()
    assert await send(3) == "3"
    now[0] += 101
    await bridge.service.sweep()
    assert await send(4) == "1"
