"""What a `RemoteAgent` remembers about one context: one record in the turn's journal, each replacing the last.

It is written when the remote names its task and when it pauses, so that after a crash the same turn finds the task
that is running, an answer finds the task that waits, and `abandon` finds what to cancel.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from a2a_bridge.agent import Journal, Turn, Usage
from a2a_bridge.client.seen import Extent
from a2a_bridge.protocol.objects import json_bytes

_REFERENCES = 10


@dataclass(frozen=True, slots=True)
class RemoteState:
    """`task` is that of `turn`. `waits`: it paused, and `seen` is what it had delivered until then; `before` is what
    it had delivered before `turn` began. `asked` is the id of the message it paused with. `used` is what it said it
    used until then. `turns` counts the turns of the task, from 1. `forgot`: the remote has started a context of its own
    in mid-conversation, so the next send brings the history."""

    turn: str = ""
    context: str | None = None
    task: str | None = None
    waits: bool = False
    asked: str | None = None
    before: Mapping[str, Extent] = field(default_factory=dict)
    seen: Mapping[str, Extent] = field(default_factory=dict)
    used: Usage = Usage()
    turns: int = 1
    references: tuple[str, ...] = ()
    forgot: bool = False

    def at_turn(self, turn: Turn) -> "RemoteState":
        """How this turn starts: where it was, if it was here before; in the task that waits; or in a new task."""
        if self.turn == turn.id:
            return replace(self, waits=False, asked=None if self.waits else self.asked)
        if self.waits and turn.answer is not None:
            return replace(self, turn=turn.id, waits=False, before=self.seen, turns=self.turns + 1)
        earlier = (*self.references, self.task)[-_REFERENCES:] if self.task else self.references
        return RemoteState(turn=turn.id, context=self.context, references=earlier, forgot=self.forgot)

    def to_bytes(self) -> bytes:
        """The record."""
        return json_bytes(
            {
                "turn": self.turn,
                "context": self.context,
                "task": self.task,
                "waits": self.waits,
                "asked": self.asked,
                "before": {name: [extent.units, extent.checksum] for name, extent in self.before.items()},
                "seen": {name: [extent.units, extent.checksum] for name, extent in self.seen.items()},
                "used": [self.used.input_tokens, self.used.output_tokens, self.used.cost_usd, self.used.model],
                "turns": self.turns,
                "references": list(self.references),
                "forgot": self.forgot,
            }
        )

    @classmethod
    def from_bytes(cls, record: bytes) -> "RemoteState":
        """The inverse of `to_bytes`."""
        found = json.loads(record)
        return cls(
            turn=found["turn"],
            context=found["context"],
            task=found["task"],
            waits=found["waits"],
            asked=found["asked"],
            before={name: Extent(*extent) for name, extent in found["before"].items()},
            seen={name: Extent(*extent) for name, extent in found["seen"].items()},
            used=Usage(*found["used"]),
            turns=found["turns"],
            references=tuple(found["references"]),
            forgot=found["forgot"],
        )


async def load_state(journal: Journal) -> RemoteState:
    """The newest record, or a blank state."""
    records = await journal.read()
    return RemoteState.from_bytes(records[-1][1]) if records else RemoteState()
