"""A workflow's checkpoints in the turn's journal.

Only the newest checkpoint of a run matters: it is what the next turn goes on from. The framework writes values that
have no JSON form as pickles, and reads them through a list of types that are allowed: its own, those the workflow's
executors or functions name, and those registered with `agent_framework.register_checkpoint_type`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from agent_framework import Workflow, WorkflowCheckpoint, WorkflowCheckpointException
from agent_framework._workflows._checkpoint_encoding import decode_checkpoint_value, encode_checkpoint_value


class Checkpoints:
    """The framework's `CheckpointStorage` of one turn, which starts with a record of the journal."""

    def __init__(self, types: Iterable[type], record: bytes | None) -> None:
        self._record = record
        self._allowed = frozenset(f"{kind.__module__}:{kind.__qualname__}" for kind in types)
        self.newest: WorkflowCheckpoint | None = None
        self.last_id = "journal"

    @staticmethod
    def waits(record: bytes) -> bool:
        """Whether the record is that of a question."""
        return bool(json.loads(record)["waits"])

    def to_record(self, *, waits: bool, answers: Mapping[str, Any] | None = None) -> bytes:
        """The newest checkpoint as a record of the journal, and the answers that are given again to whoever goes on."""
        held = encode_checkpoint_value(self.newest.to_dict()) if self.newest else None
        given = encode_checkpoint_value(dict(answers)) if answers else None
        return json.dumps({"waits": waits, "checkpoint": held, "answers": given}).encode()

    @property
    def answers(self) -> dict[str, Any]:
        """The answers of the record."""
        given = json.loads(self._record).get("answers") if self._record else None
        return decode_checkpoint_value(given, allowed_types=self._allowed) if given else {}

    async def asked(self) -> WorkflowCheckpoint | None:
        """The checkpoint of the record, if it is that of a question."""
        return await self.load(self.last_id) if self._record and self.waits(self._record) else None

    async def save(self, checkpoint: WorkflowCheckpoint) -> str:
        """Kept until a newer one comes: nothing changes it before that."""
        self.newest = checkpoint
        return str(checkpoint.checkpoint_id)

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint:
        """The checkpoint of the record that the turn began with."""
        if self._record is None or checkpoint_id != self.last_id:
            raise WorkflowCheckpointException(f"there is no checkpoint {checkpoint_id!r}")
        held = json.loads(self._record)["checkpoint"]
        return WorkflowCheckpoint.from_dict(decode_checkpoint_value(held, allowed_types=self._allowed))

    async def list_checkpoints(self, *, workflow_name: str) -> list[WorkflowCheckpoint]:
        """The newest one of this turn, if there is one."""
        return [self.newest] if self.newest else []

    async def delete(self, checkpoint_id: str) -> bool:
        """Checkpoints go with the journal."""
        return False

    async def get_latest(self, *, workflow_name: str) -> WorkflowCheckpoint | None:
        """The newest one of this turn."""
        return self.newest

    async def list_checkpoint_ids(self, *, workflow_name: str) -> list[str]:
        """That of the newest one of this turn."""
        return [str(self.newest.checkpoint_id)] if self.newest else []


def types_of(workflow: Workflow) -> Iterator[type]:
    """The types that executors take, give, ask with and are answered with."""
    for executor in workflow.executors.values():
        asked = [kind for pair in getattr(executor, "_response_handlers", {}) for kind in pair]
        for kind in (*executor.input_types, *executor.output_types, *executor.workflow_output_types, *asked):
            yield from parts_of(kind)


def parts_of(kind: Any) -> Iterator[type]:
    """The classes that a type is made of."""
    inner = get_args(kind)
    if inner:
        for one in inner:
            yield from parts_of(one)
    elif isinstance(kind, type):
        yield kind
