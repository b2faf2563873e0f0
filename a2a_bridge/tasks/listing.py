"""ListTasks (A2A 1.0.1 §3.1.4): a page through the index, a cursor that is bound to its filters."""

import base64
import json
from collections.abc import Callable
from hashlib import blake2b

from a2a_bridge.errors import InvalidParamsError, Violation
from a2a_bridge.protocol.events import quoted
from a2a_bridge.protocol.objects import TaskState, format_timestamp, json_bytes
from a2a_bridge.protocol.requests import ListTasksRequest
from a2a_bridge.protocol.snapshot import TaskPieces
from a2a_bridge.store.contract import Entry, Store
from a2a_bridge.tasks.live import LiveTask

PAGE_SIZE = 50
"""What an unset pageSize means (R-LIST-04)."""


async def task_page(
    store: Store, scope: str, request: ListTasksRequest, live: Callable[[str], LiveTask | None]
) -> bytes:
    """The response as JSON: newest status first, only tasks of this scope (R-LIST-01, R-LIST-02, R-LIST-05)."""
    size = request.page_size or PAGE_SIZE
    state = None if request.status in (None, TaskState.UNSPECIFIED) else str(request.status)
    labels = (state, request.context_id or None)
    since = "" if request.status_timestamp_after is None else format_timestamp(request.status_timestamp_after)
    filters = blake2b(json_bytes([scope, *labels, since]), digest_size=9).hexdigest()
    before = position_of(request.page_token, filters) if request.page_token else None
    total = await store.count("task", scope, labels=labels, since=since)
    found = await store.page("task", scope, labels=labels, since=since, before=before, limit=size + 1)
    token = token_after(found[size - 1], filters) if len(found) > size else ""
    tasks = [_json(entry, request, live(entry.key)) for entry in found[:size]]
    return b'{"tasks":[%b],"nextPageToken":%b,"pageSize":%d,"totalSize":%d}' % (
        b",".join(tasks),
        quoted(token),
        size,
        total,
    )


def _json(entry: Entry, request: ListTasksRequest, live: LiveTask | None) -> bytes:
    """One task as the store has it; what a live one has streamed since its last change of state comes from memory."""
    pieces = TaskPieces.unpack(entry.value)
    if live is not None and request.include_artifacts and live.pieces.state is pieces.state:
        pieces.artifacts = live.pieces.artifacts
    return pieces.json(request.history_length, artifacts=bool(request.include_artifacts))


def token_after(last: Entry, filters: str) -> str:
    """The page token of what comes after this entry, in a list with these filters."""
    return base64.urlsafe_b64encode(json_bytes([last.sort, last.key, filters])).decode("ascii")


def position_of(token: str, filters: str) -> tuple[str, str]:
    """The inverse, (sort, key). R-LIST-03: a token that was not made for these filters is refused."""
    try:
        sort, key, made_for = json.loads(base64.urlsafe_b64decode(token.encode("ascii")))
        f"{sort}{key}".encode()  # a lone surrogate is nothing that a store could look for
    except (ValueError, TypeError, RecursionError):
        made_for = sort = key = None
    if made_for != filters or not isinstance(sort, str) or not isinstance(key, str):
        raise InvalidParamsError(
            "pageToken is not one that this list has given",
            violations=[Violation("pageToken", "take it from nextPageToken of the same list, filters unchanged")],
        )
    return sort, key
