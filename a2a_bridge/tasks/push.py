"""The operations on webhooks (A2A 1.0.1 §3.1.7 to §3.1.10): who may be told, where, and with which credentials.

A webhook is the record `webhook`, keyed by its task, so it has the same (tenant, owner, agent) and is found only by who
finds the task. What it says is sealed if the store outlives the process: not in the clear are its URL, its token and
its credentials, for paths of URLs are secrets as well. While its task may say more there is a record `delivery` beside
it, see `outbox.py`; both come and go in one write.

The URL is judged by the guard when it is registered and again for each connection. What a stranger is told about a
refused URL is always the same: the reason would tell what our network looks like.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, Protocol

from a2a_bridge.errors import (
    AddressRefusedError,
    ConfigError,
    InvalidParamsError,
    TaskNotFoundError,
    UnsupportedOperationError,
    Violation,
)
from a2a_bridge.guard import Guard
from a2a_bridge.net import Http, check_address
from a2a_bridge.observe.requests import caller_hash
from a2a_bridge.protocol.objects import format_timestamp, json_bytes, to_json
from a2a_bridge.protocol.requests import (
    GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest,
    TaskPushNotificationConfig,
)
from a2a_bridge.store.contract import Change, Entry, Store
from a2a_bridge.store.seal import Seal, can_seal, secret_beside
from a2a_bridge.tasks.call import Call
from a2a_bridge.tasks.delivery import Delivery, Webhook, host_of, task_key_of, webhook_record
from a2a_bridge.tasks.listing import position_of, token_after
from a2a_bridge.tasks.live import Identity, LiveTask
from a2a_bridge.tasks.outbox import Outbox
from a2a_bridge.tasks.run import new_id

_log = logging.getLogger(__name__)

PAGE_SIZE = 100
MAX_URL = 2048
MAX_SECRET = 4096
"""Characters of a token, and of credentials."""
MAX_ID = 128
_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
REFUSED_URL = "Invalid push notification URL"


@dataclass(frozen=True, slots=True)
class Push:
    """What webhooks are allowed.

    `guard`: where they may be. `key`: the secret that they are kept sealed with, 32 characters or more; without one, a
    file beside the store. `per_task`: how many a task may have. `shows_credentials`: whether Get and List tell
    credentials again; Create always does (R-PUSH-17).
    """

    guard: Guard = Guard()
    key: str | None = field(default=None, repr=False)
    per_task: int = 10
    shows_credentials: bool = False


class Closes(Protocol):
    """What keeps values unreadable in the store; `store.seal.Seal` is one."""

    def close(self, value: bytes, about: str) -> bytes: ...
    def open(self, sealed: bytes, about: str) -> bytes: ...


class Registration(NamedTuple):
    """A webhook that has been checked and not been kept yet."""

    config: TaskPushNotificationConfig
    version: str
    traceparent: str | None

    def of(self, task_id: str) -> "Registration":
        """The same, for this task (R-PUSH-01)."""
        return self._replace(config=self.config.model_copy(update={"task_id": task_id}))


class Webhooks:
    """The webhooks of all tasks of a service, and their outbox.

    `seal` makes the seal when it is needed first; None: the store is in memory, where nothing has to be sealed.
    """

    def __init__(
        self,
        rules: Push,
        store: Store,
        seal: Callable[[], Closes] | None,
        *,
        clock: Callable[[], float],
        forget_after: float,
    ) -> None:
        self._rules = rules
        self._store = store
        self._make_seal = seal
        self._clock = clock
        self._forget_after = forget_after
        self._writing = asyncio.Lock()
        http = Http(guard=rules.guard)
        self.outbox = Outbox(store, http, self._hook_of, clock=clock, forget_after=forget_after)

    # --- operations; the caller has looked whether the task is there and the caller's own

    async def create(self, who: Identity, live: LiveTask | None, wanted: Registration) -> bytes:
        """Keep what has been checked and send what the task says from now on; `live` None: it has ended, so nothing.

        A config with the same id is replaced, and what has not been sent yet goes to the new address (R-PUSH-02).
        """
        wanted = wanted.of(who.task_id)
        key = webhook_key(who.key, wanted.config.id or "")
        async with self._writing:
            await self.has_room(who, wanted)
            old = await self.outbox.withdraw(key)
            delivery = None
            if old is not None:
                delivery = Delivery(key, self._hook(wanted), old.cursor)
            elif live is not None and not live.is_ended:
                delivery = Delivery(key, self._hook(wanted), live.log.visible)
            async with self._or_goes_on(old):
                await self._store.put(*self._records(key, wanted, delivery))
            if delivery is not None:
                self.outbox.add(delivery)
        if live is not None:
            self.outbox.watch(live)
        return to_json(wanted.config)

    async def get(self, who: Identity, request: GetTaskPushNotificationConfigRequest) -> bytes:
        """R-PUSH-05: what there is not is TaskNotFoundError."""
        entry = await self._store.get("webhook", webhook_key(who.key, request.id))
        if entry is None:
            raise TaskNotFoundError("The task has no webhook with this id.")
        return self._shown(entry)

    async def list_configs(self, who: Identity, request: ListTaskPushNotificationConfigsRequest) -> bytes:
        """A page, newest first (R-PUSH-06)."""
        asked = request.page_size or PAGE_SIZE
        if asked < 0:
            raise InvalidParamsError(violations=[Violation("pageSize", "must not be negative")])
        size = min(asked, PAGE_SIZE)
        before = position_of(request.page_token, who.task_id) if request.page_token else None
        found = await self._store.page("webhook", who.key, before=before, limit=size + 1)
        result: list[bytes] = []
        if found:
            result.append(b'"configs":[%b]' % b",".join([self._shown(entry) for entry in found[:size]]))
        if len(found) > size:
            result.append(b'"nextPageToken":' + json_bytes(token_after(found[size - 1], who.task_id)))
        return b"{%b}" % b",".join(result)

    async def delete(self, who: Identity, request: GetTaskPushNotificationConfigRequest) -> bytes:
        """R-PUSH-07: nothing is sent any more when this returns; what there is not is deleted as well."""
        key = webhook_key(who.key, request.id)
        async with self._writing:
            delivery = await self.outbox.withdraw(key)
            async with self._or_goes_on(delivery):
                await self._store.put(*[Change(kind, key, None) for kind in ("webhook", "delivery", "undelivered")])
        return b"{}"

    @asynccontextmanager
    async def _or_goes_on(self, withdrawn: Delivery | None) -> AsyncIterator[None]:
        """What is written within replaces or ends a delivery; if it cannot be, the delivery goes on."""
        try:
            yield
        except BaseException:  # cancelled as well
            if withdrawn is not None:
                self.outbox.add(withdrawn.afresh())
            raise

    # --- webhooks that come with a send (R-PUSH-03)

    def with_send(self, live: LiveTask, wanted: Registration) -> tuple[Delivery, tuple[Change, ...]]:
        """What must be written with the acceptance of the send; the outbox gets the delivery when it has been."""
        wanted = wanted.of(live.who.task_id)
        key = webhook_key(live.who.key, wanted.config.id or "")
        old = self.outbox.find(key)  # it goes on until this one takes its place, and for good if that does not happen
        delivery = Delivery(key, self._hook(wanted), live.turn_starts if old is None else old.cursor)
        if not live.is_shown:
            live.withdrawn = (Change("webhook", key, None), Change("delivery", key, None))
        return delivery, self._records(key, wanted, delivery)

    # --- checking and keeping

    async def checked(self, config: TaskPushNotificationConfig, call: Call) -> Registration:
        """The config with an id; InvalidParamsError for what must not, or cannot, be called."""
        violations = list(_violations(config))
        if not violations:
            try:
                await check_address(config.url, self._rules.guard)
            except AddressRefusedError as error:
                fields = {
                    "host": host_of(config.url), "reason": error.message, "agent": call.agent,
                    "caller": caller_hash(call.caller.tenant, call.caller.principal),
                }  # fmt: skip
                _log.info("webhook refused", extra={"fields": fields})
                violations.append(Violation("url", "must be an https URL that may be called from here"))
        if violations:
            url = any(violation.field == "url" for violation in violations)
            raise InvalidParamsError(REFUSED_URL if url else None, violations=violations)
        return Registration(config.model_copy(update={"id": config.id or new_id()}), call.version, call.traceparent)

    async def has_room(self, who: Identity, wanted: Registration) -> None:
        """UnsupportedOperationError when the task has as many webhooks as it may have, and this is one more."""
        limit = self._rules.per_task
        if await self._store.count("webhook", who.key) < limit:
            return
        if await self._store.get("webhook", webhook_key(who.key, wanted.config.id or "")) is None:
            raise UnsupportedOperationError(
                f"The task has {limit} push notification configs, and may not have more: delete one first."
            )

    def _records(self, key: str, wanted: Registration, delivery: Delivery | None) -> tuple[Change, ...]:
        value = json_bytes(
            {"config": json.loads(to_json(wanted.config)), "version": wanted.version, "trace": wanted.traceparent}
        )
        sealed = value if self._seal is None else self._seal.close(value, key)
        now = self._clock()
        kept = Entry(key, sealed, format_timestamp(datetime.fromtimestamp(now, UTC)), ("", ""))
        expires = now + self._forget_after if delivery is None else None
        record = webhook_record(kept, group=task_key_of(key), expires=expires)
        return (record,) if delivery is None else (record, delivery.record())

    @cached_property
    def _seal(self) -> Closes | None:
        return None if self._make_seal is None else self._make_seal()

    def _opened(self, entry: Entry) -> Registration:
        value = json.loads(entry.value if self._seal is None else self._seal.open(entry.value, entry.key))
        return Registration(
            TaskPushNotificationConfig.model_validate(value["config"]), value["version"], value["trace"]
        )

    def _shown(self, entry: Entry) -> bytes:
        config = self._opened(entry).config
        if config.authentication is not None and not self._rules.shows_credentials:
            hidden = config.authentication.model_copy(update={"credentials": None})
            config = config.model_copy(update={"authentication": hidden})
        return to_json(config)

    def _hook_of(self, entry: Entry) -> Webhook:
        return self._hook(self._opened(entry))

    def _hook(self, wanted: Registration) -> Webhook:
        config, said = wanted.config, wanted.config.authentication
        authorization = f"{said.scheme} {said.credentials}" if said is not None and said.credentials else None
        return Webhook(config.url, config.token, authorization, wanted.version, wanted.traceparent)


def webhooks_in(
    store: Store, rules: Push | None, *, durable: bool, clock: Callable[[], float], forget_after: float
) -> Webhooks | None:
    """The webhooks of a server's store, or None when there are none.

    What outlives the process is sealed. When that is not possible (the extra `security` is missing, or a store that is
    no file is given no key) there are no webhooks, and the log says why; it is a ConfigError if any rule was given.
    """
    if rules is None:
        return None
    if not durable:
        return Webhooks(rules, store, None, clock=clock, forget_after=forget_after)
    path = getattr(store, "path", None)
    if rules.key is None and path is None:
        missing = "push notifications on this store need a key: Push(key=...)"
    elif not can_seal():
        missing = 'push notifications need what encrypts them in the store: pip install "a2a-agent-bridge[security]"'
    else:
        made = None if rules.key is None else Seal(rules.key)  # a key that is none must stop the start
        return Webhooks(rules, store, partial(_seal_of, made, path), clock=clock, forget_after=forget_after)
    if rules != Push():
        raise ConfigError(missing)
    _log.warning("%s. They are off.", missing)
    return None


def _seal_of(made: Seal | None, path: object) -> Seal:
    """The key file is made with the first webhook, and not before."""
    return made or Seal(secret_beside(Path(str(path))))


def webhook_key(task_key: str, config_id: str) -> str:
    """The key of a webhook: a client's id may hold anything, and the last step of a key must be it alone."""
    return f"{task_key}/{config_id.replace('%', '%25').replace('/', '%2F')}"


def _violations(config: TaskPushNotificationConfig) -> list[Violation]:
    """What is wrong whatever the network looks like; headers must not be more than one line of ASCII."""
    found = []
    if len(config.url) > MAX_URL:
        found.append(Violation("url", f"must have at most {MAX_URL} characters"))
    if config.id is not None and (len(config.id) > MAX_ID or not config.id.isprintable()):
        found.append(Violation("id", f"must be at most {MAX_ID} printable characters"))
    secrets = [("token", config.token)]
    if (said := config.authentication) is not None:
        secrets.append(("authentication.credentials", said.credentials))
        if not _SCHEME.fullmatch(said.scheme):
            found.append(Violation("authentication.scheme", "must be the name of an HTTP authentication scheme"))
    for name, secret in secrets:
        if secret and (len(secret) > MAX_SECRET or not _PRINTABLE.fullmatch(secret) or secret != secret.strip()):
            found.append(Violation(name, f"must be at most {MAX_SECRET} printable ASCII characters"))
    return found
