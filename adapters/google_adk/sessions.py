"""A session of one turn, made from the records of its journal.

Each turn that came to its end is one record: its events, whether it ended with a question, and whether it answered
one. A question that was not answered, and whatever led to it, is left out: the conversation is then as it was before.
ADK derives the session's state from its events, so there is nothing else to keep.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from google.adk.events import Event
from google.adk.sessions import BaseSessionService, Session
from google.adk.sessions.base_session_service import ListSessionsResponse

from a2a_bridge.agent import Turn

ANONYMOUS = "user"


class TurnSession(BaseSessionService):  # type: ignore[misc]  # checked without the framework's types
    """ADK's session service for one turn: there is one session, and ADK works on it directly."""

    def __init__(self, app_name: str, turn: Turn, past: Iterable[Event]) -> None:
        caller = turn.caller
        who = ANONYMOUS
        if caller.tenant or caller.principal != "anonymous":
            who = _id(caller.tenant, caller.principal)
        self.session = Session(id=_id(who, turn.context_id), app_name=app_name, user_id=who)
        for event in past:
            self._commit_event_to_session(self.session, event)
        self._begins = len(self.session.events)

    def to_record(self, *, waits: bool, answers: bool) -> bytes:
        """The events of this turn, for the journal."""
        new = self.session.events[self._begins :]
        events = [event.model_dump(mode="json", by_alias=True, exclude_none=True, fallback=str) for event in new]
        return json.dumps({"waits": waits, "answers": answers, "events": events}).encode()

    async def create_session(self, **_: Any) -> Session:
        """The session of this turn: there is no other."""
        return self.session

    async def get_session(self, **_: Any) -> Session:
        """The session of this turn."""
        return self.session

    async def list_sessions(self, **_: Any) -> Any:
        """The session of this turn."""
        return ListSessionsResponse(sessions=[self.session])

    async def delete_session(self, **_: Any) -> None:
        """A session goes with its journal."""


def past_events(records: Sequence[tuple[int, bytes]], *, answering: bool) -> tuple[list[Event], bool]:
    """The events to go on from, and whether the newest record waits for an answer."""
    kept: list[Any] = []
    open_: list[Any] = []  # a question and what led to it, until its answer has come to an end
    for _, data in records:
        record = json.loads(data)
        if not record["answers"]:
            open_ = []
        open_ += record["events"]
        if not record["waits"]:
            kept, open_ = kept + open_, []
    if answering:
        kept += open_
    return [Event.model_validate(event) for event in kept], bool(open_)


def _id(*names: str) -> str:
    """A name that ADK's stores take as part of a path."""
    return str(uuid5(NAMESPACE_URL, f"urn:a2a-bridge:adk:{json.dumps(names)}"))
