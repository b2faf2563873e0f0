"""What a store must do: two small protocols, held to one contract suite (`tests/contract/test_store.py`).

A store knows streams and records, and no tasks. A *stream* is an ordered list of events under a name, numbered from
1 without gaps, with an epoch: who claims a stream gets a higher epoch, and an append with an older one is refused. A
*record* is a value under (kind, key) that can be listed in order, filtered by labels and counted. Changes of records
travel with an append or a claim and commit or fail with it.

Concurrency: any number of asyncio tasks of one event loop may call. Appends and claims of one stream take effect in
the order in which they were called. A call that is cancelled may still take effect.
"""

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol


class Numbered(NamedTuple):
    """One event of a stream and its number."""

    seq: int
    data: bytes


class Claim(NamedTuple):
    """What a claim gives: the new epoch, and the number of the last event so far (0: none)."""

    epoch: int
    last: int


class Change(NamedTuple):
    """One change of a record: put `value` under (kind, key), or delete it when `value` is None.

    `group` is what lists and counts are about; "" is never listed. `sort` orders a list, newest (greatest) first,
    ties by key. `labels` can be asked for in lists: at most two, the first one is counted. `unless`: the change, and
    all that travels with it, is refused with StoreConflictError when the record exists and its first label is one of
    these. `absent`: likewise refused when the record exists at all. `expires`: seconds since 1970 after which
    `expire` removes the record. `stream`: a stream that goes when the record is deleted, expires or is evicted.
    `evictable`: a store with limited room may drop the record, oldest first, and such records before all others.
    """

    kind: str
    key: str
    value: bytes | None
    group: str = ""
    sort: str = ""
    labels: tuple[str, str] = ("", "")
    unless: frozenset[str] = frozenset()
    absent: bool = False
    expires: float | None = None
    stream: str | None = None
    evictable: bool = False


class Entry(NamedTuple):
    """A record as it stands."""

    key: str
    value: bytes
    sort: str
    labels: tuple[str, str]


class Streams(Protocol):
    """Ordered events with one writer at a time."""

    def claim(self, stream: str, records: Sequence[Change] = ()) -> Awaitable[Claim]:
        """Become the writer of a stream, new or old: epoch + 1. Durable when it returns."""

    def append(
        self, stream: str, epoch: int, first: int, events: Sequence[bytes], records: Sequence[Change] = ()
    ) -> Awaitable[None] | None:
        """Add events numbered from `first`, which must be the last number + 1; `events` may be empty.

        None: they are durable already. Otherwise they are when the awaitable is done; it may be awaited once, and
        the commit goes on if it is not. Raises (from the call or from the awaitable) StoreConflictError when the
        epoch is not the newest, the number does not fit or a record refuses, and StoreUnavailableError when the
        store cannot write; in both cases nothing of this append has been kept.
        """

    def read(self, stream: str, after: int = 0, limit: int = 1000) -> Awaitable[list[Numbered]]:
        """At most `limit` committed events with a number above `after`, in order."""

    def trim(self, stream: str, through: int) -> Awaitable[None]:
        """Forget events up to and including this number. The numbers stay taken."""


class Records(Protocol):
    """Values that can be found, listed and counted."""

    def put(self, *changes: Change) -> Awaitable[None]:
        """Apply changes that belong to no stream, all or none. Durable when it returns."""

    def get(self, kind: str, key: str) -> Awaitable[Entry | None]:
        """The record, or None. Expired records may still be seen until `expire` has run."""

    def page(
        self,
        kind: str,
        group: str,
        *,
        labels: tuple[str | None, str | None] = (None, None),
        since: str = "",
        before: tuple[str, str] | None = None,
        limit: int = 50,
    ) -> Awaitable[list[Entry]]:
        """Records of a group, greatest `sort` first, ties by greatest key.

        `labels`: None matches any. `since`: only records whose `sort` is not below it. `before`: only what comes
        after this (sort, key) in the order of the list.
        """

    def count(
        self, kind: str, group: str, *, labels: tuple[str | None, str | None] = (None, None), since: str = ""
    ) -> Awaitable[int]:
        """How many records `page` would list in all. By group and first label alone this does not depend on how many
        records there are."""

    def expire(self, now: float) -> Awaitable[int]:
        """Remove records that have expired, and their streams; returns how many."""


class Store(Streams, Records, Protocol):
    """Both, in one place, so that a change of records commits with the events it belongs to."""

    async def open(self) -> None:
        """Make ready; StoreUnavailableError says why not and what to do. Called once, before anything else."""

    async def close(self) -> None:
        """Wait for what is being written, then let go of files and threads."""
