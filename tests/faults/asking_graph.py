"""A LangGraph graph whose checkpointer writes to disk, served; it asks before it does anything that cannot be undone.

Arguments: the store of the tasks, the port. The checkpoints and a list of what was done lie beside the store.
"""

import sqlite3
import sys
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from a2a_bridge import serve

STORE, PORT = Path(sys.argv[1]), int(sys.argv[2])
DONE = STORE.with_name("done.txt")


def _note(what: str) -> None:
    with DONE.open("a") as file:
        file.write(what + "\n")


async def plan(state: MessagesState) -> dict[str, Any]:
    """Is done once, however often the process dies after it."""
    _note("planned")
    return {"messages": [AIMessage("I would erase the disk.")]}


async def erase(state: MessagesState) -> dict[str, Any]:
    """Waits for a human."""
    answer = interrupt("Erase the disk?")
    _note("erased")
    return {"messages": [AIMessage(f"You said {answer}.")]}


if __name__ == "__main__":
    builder = StateGraph(MessagesState)
    builder.add_sequence([plan, erase])
    builder.add_edge(START, "plan")
    saver = SqliteSaver(sqlite3.connect(STORE.with_name("graph.sqlite"), check_same_thread=False))
    serve(builder.compile(checkpointer=saver, name="eraser"), port=PORT, store=STORE)
