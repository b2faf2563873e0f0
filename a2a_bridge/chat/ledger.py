"""What must not happen twice: a journal of what an agent was about to do, had begun and has done.

Used where a person approves something, because then a turn pauses and goes on in another one, perhaps after a restart
and perhaps more than once. `begin` is durable before anything is done, `finish` when it is done: what was begun and
not finished may or may not have happened, and is not done again.
"""

import json
from typing import Any, Literal

from a2a_bridge.agent import Journal
from a2a_bridge.protocol.objects import JSONValue

Standing = Literal["new", "begun", "done"]


class Ledger:
    """One pause and what followed it. `plan` is whatever is needed to go on; None when nothing is pending."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._begun: set[str] = set()
        self._done: dict[str, JSONValue] = {}
        self.plan: dict[str, Any] | None = None

    async def load(self) -> "Ledger":
        """Read what is there."""
        for _, data in await self._journal.read():
            record = json.loads(data)
            if "plan" in record:
                self.plan = record["plan"]
                self._begun, self._done = set(), dict(record["done"])
            elif "result" in record:
                self._done[record["id"]] = record["result"]
            else:
                self._begun.add(record["id"])
        return self

    async def pause(self, plan: dict[str, Any]) -> None:
        """Keep what is planned until an answer comes."""
        self.plan = plan
        await self._write({"plan": plan, "done": self._done}, snapshot=True)

    async def close(self) -> None:
        """Nothing is pending any more."""
        self.plan, self._begun, self._done = None, set(), {}
        await self._write({"plan": None, "done": {}}, snapshot=True)

    def standing(self, key: str) -> Standing:
        """How far this one has come."""
        return "done" if key in self._done else "begun" if key in self._begun else "new"

    def result(self, key: str) -> JSONValue:
        """What `finish` was given."""
        return self._done[key]

    async def begin(self, key: str) -> None:
        """About to be done: from here on it is not done again."""
        await self._write({"id": key})
        self._begun.add(key)

    async def finish(self, key: str, result: JSONValue) -> None:
        """It has been done, and this came of it."""
        await self._write({"id": key, "result": result})
        self._done[key] = result

    async def _write(self, record: dict[str, Any], snapshot: bool = False) -> None:
        await self._journal.append(json.dumps(record).encode(), snapshot=snapshot)
