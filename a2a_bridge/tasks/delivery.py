"""Parts of the outbox: a webhook, how far its delivery is, why an event was not taken, and slots for attempts."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from a2a_bridge.observe import trace
from a2a_bridge.protocol import v03
from a2a_bridge.protocol.card import PROTOCOL_VERSION
from a2a_bridge.protocol.objects import format_timestamp, json_bytes
from a2a_bridge.protocol.snapshot import TaskPieces
from a2a_bridge.store.contract import Change, Entry

ALL_AT_ONCE = 256
FIRST_AT_ONCE = 32
RETRIES_AT_ONCE = 8
"""Attempts at the same time: of all callers, of one caller for the first time, of one caller once more."""


def host_of(url: str) -> str:
    """What a log may say of a webhook's URL: paths and queries are secrets as often as not."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to send, what to show there, and in which version of the protocol."""

    url: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    version: str = PROTOCOL_VERSION
    traceparent: str | None = None

    @property
    def host(self) -> str:
        """See `host_of`."""
        return host_of(self.url)

    def headers(self) -> dict[str, str]:
        """R-PUSH-09 to R-PUSH-11, R-COMPAT-21."""
        kind = "application/json" if self.version == v03.VERSION else "application/a2a+json"
        found = {"content-type": kind, "a2a-version": self.version, **trace.outgoing_headers()}
        if self.token:
            found["x-a2a-notification-token"] = self.token
        if self.authorization:
            found["authorization"] = self.authorization
        return found


class Failure(NamedTuple):
    """Why an event was not taken. `retry_after`: seconds that the receiver asked for."""

    reason: str
    may_retry: bool = True
    retry_after: float = 0.0


@dataclass(eq=False, slots=True)
class Delivery:
    """How far one webhook of one task is; see the module's text.

    `cursor` is the number of the last row that needs no more sending. `tries` and `since` are about the row after it,
    `due` is when it may be tried (0: now). `is_failing`: the last event was given up after all its tries. `again`: look
    once more before the asyncio task `run` ends. `fold`: the task as of row `folded`, for webhooks of 0.3.
    """

    key: str
    hook: Webhook
    cursor: int
    tries: int = 0
    since: float = 0.0
    due: float = 0.0
    is_failing: bool = False
    again: bool = field(default=False, init=False)
    is_over: bool = field(default=False, init=False)
    run: "asyncio.Task[None] | None" = field(default=None, init=False)
    timer: asyncio.TimerHandle | None = field(default=None, init=False)
    fold: TaskPieces | None = field(default=None, init=False)
    folded: int = field(default=0, init=False)

    @property
    def task_key(self) -> str:
        """The key of the task in the store."""
        return task_key_of(self.key)

    @property
    def owner(self) -> str:
        """Tenant and owner: whose slots it takes."""
        return "/".join(self.key.split("/", 2)[:2])

    def record(self) -> Change:
        """The cursor as it is kept."""
        value = json_bytes(
            {
                "cursor": self.cursor,
                "tries": self.tries,
                "since": self.since,
                "due": self.due,
                "failing": self.is_failing,
            }
        )
        return Change("delivery", self.key, value, group="delivery")

    def take(self, seq: int, row: bytes) -> None:
        """Note what a row says, if the webhook is told the whole task each time."""
        if self.fold is not None and seq > self.folded:
            self.fold.apply(row, seq)
            self.folded = seq

    def body(self, row: bytes) -> bytes:
        """What is sent for the row taken last, in the version of the webhook (R-PUSH-19): itself, or the task."""
        return row if self.fold is None else lowered(self.fold)

    def afresh(self) -> "Delivery":
        """The same once more, after it has been withdrawn."""
        return Delivery(self.key, self.hook, self.cursor, self.tries, self.since, self.due, self.is_failing)

    def described(self, seq: int, failure: Failure) -> dict[str, str | int]:
        """What may be said of an attempt: never the URL beyond its host, never a credential."""
        *_, task_id, config_id = self.key.split("/")
        return {
            "task": task_id, "webhook": config_id, "host": self.hook.host, "seq": seq, "tries": self.tries,
            "reason": failure.reason,
        }  # fmt: skip

    def disarm(self) -> None:
        """Its timer is not wanted any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def reset(self) -> None:
        """What was tried before does not count any more."""
        self.tries, self.since, self.due = 0, 0.0, 0.0


def task_key_of(key: str) -> str:
    """The task of a webhook, from the webhook's key."""
    return key.rpartition("/")[0]


def task_id_of(task_key: str) -> str:
    """The task's id, from its key."""
    return task_key.rpartition("/")[2]


def lowered(task: TaskPieces) -> bytes:
    """A task as webhooks of 0.3 get it: whole, whatever has happened (R-COMPAT-21)."""
    return json_bytes(v03.lower_task(json.loads(task.json())))


class Slots:
    """How many attempts may run at the same time; each caller has slots for first attempts and slots for others."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(ALL_AT_ONCE)
        self._lanes: dict[tuple[str, bool], tuple[asyncio.Semaphore, list[None]]] = {}

    @asynccontextmanager
    async def take(self, owner: str, *, again: bool) -> AsyncIterator[None]:
        lane = (owner, again)
        count = RETRIES_AT_ONCE if again else FIRST_AT_ONCE
        slots, users = self._lanes.setdefault(lane, (asyncio.Semaphore(count), []))
        users.append(None)
        try:
            async with slots, self._all:
                yield
        finally:
            users.pop()
            if not users:
                self._lanes.pop(lane, None)


def webhook_record(kept: Entry, *, group: str, expires: float | None) -> Change:
    """The record of a webhook once more, with a time to go."""
    return Change(
        "webhook", kept.key, kept.value, group=group, sort=kept.sort, expires=expires, evictable=expires is not None
    )


def dead_letter(
    known: Entry | None, described: Mapping[str, str | int], key: str, *, now: float, keep: float
) -> Change:
    """One record for each webhook that has lost something: which events, how many, why the last one."""
    before: dict[str, Any] = {"first": described["seq"], "count": 0} if known is None else json.loads(known.value)
    time = format_timestamp(datetime.fromtimestamp(now, UTC))
    value = {
        **described, "first": before["first"], "last": described["seq"], "count": before["count"] + 1, "time": time,
    }  # fmt: skip
    return Change(
        "undelivered", key, json_bytes(value), group="undelivered", sort=time, expires=now + keep, evictable=True
    )


def seconds_asked(retry_after: str, now: float) -> float:
    """What Retry-After asks for (RFC 9110 §10.2.3): seconds, or a date; 0 when it is neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0
