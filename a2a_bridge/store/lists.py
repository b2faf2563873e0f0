"""Which records stand in which list, in order, without sorting on each page.

Every group has one sorted list of (sort, key) for all its records, one for each first label, and one for each second
label that is not empty. Changes are only noted when they are made, and worked in when somebody looks, or when 256
records have changed: a task that is accepted, works and ends within that time costs one entry instead of three, and
working them in together costs one move of a list's tail instead of hundreds.

`rows` belongs to the store and is read here; nothing in this file waits, so there is nothing to lock.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping

from a2a_bridge.store.contract import Change

NOTED = 256
"""So many records may have changed before the lists are brought up to date unasked."""

Ident = tuple[str, str]
"""(kind, key) of a record."""

_Place = tuple[str, str, tuple[str, str]]
"""(group, sort, labels): where a record stands in the lists."""

_Name = tuple[str, str, int, str]
"""(kind, group, which label: 0 for none, label): one list."""

_Item = tuple[str, str]
"""(sort, key), in the order of the lists: the last one is listed first."""


class Lists:
    """All lists of one store."""

    __slots__ = ("_lists", "_noted", "_rows")

    def __init__(self, rows: Mapping[Ident, Change]) -> None:
        self._rows = rows
        self._lists: dict[_Name, list[_Item]] = {}
        self._noted: dict[Ident, _Place | None] = {}

    def note(self, ident: Ident, old: Change | None) -> None:
        """Remember that this record has changed, and where it stood before (nowhere: None)."""
        if ident not in self._noted:
            self._noted[ident] = (old.group, old.sort, old.labels) if old is not None and old.group else None
            if len(self._noted) >= NOTED:
                self._catch_up()

    def walk(
        self,
        kind: str,
        group: str,
        labels: tuple[str | None, str | None],
        since: str,
        before: tuple[str, str] | None,
    ) -> Iterator[Change]:
        """The records of a list, greatest (sort, key) first."""
        items, wanted = self._find(kind, group, labels)
        rows = self._rows
        end = len(items) if before is None else bisect_left(items, before)
        for at in range(end - 1, -1, -1):
            sort, key = items[at]
            if sort < since:
                return
            row = rows[(kind, key)]
            if wanted is None or _matches(row, wanted):
                yield row

    def count(self, kind: str, group: str, labels: tuple[str | None, str | None], since: str) -> int:
        """How many records `walk` would give; at once unless both labels are asked for."""
        items, wanted = self._find(kind, group, labels)
        if wanted is not None:
            return sum(1 for _ in self.walk(kind, group, labels, since, None))
        return len(items) - (bisect_left(items, (since, "")) if since else 0)

    def _find(
        self, kind: str, group: str, labels: tuple[str | None, str | None]
    ) -> tuple[list[_Item], tuple[str | None, str | None] | None]:
        """The shortest list that holds what is asked for, and the labels that its records must still be held to."""
        if self._noted:
            self._catch_up()
        first, second = labels
        wanted: tuple[str | None, str | None] | None
        if second:
            name: _Name = (kind, group, 2, second)
            wanted = None if first is None else (first, None)
        elif first is not None:
            name = (kind, group, 1, first)
            wanted = None if second is None else (None, second)
        else:
            name = (kind, group, 0, "")
            wanted = None if second is None else (None, second)
        return self._lists.get(name, []), wanted

    def _catch_up(self) -> None:
        gone: dict[_Name, list[_Item]] = {}
        come: dict[_Name, list[_Item]] = {}
        rows = self._rows
        for ident, old in self._noted.items():
            row = rows.get(ident)
            new = (row.group, row.sort, row.labels) if row is not None and row.group else None
            if old != new:
                if old is not None:
                    _sort_out(gone, ident, old)
                if new is not None:
                    _sort_out(come, ident, new)
        self._noted.clear()
        for name, items in gone.items():
            _remove(self._lists[name], sorted(items))
        for name, items in come.items():
            held = self._lists.get(name)
            if held is None:
                items.sort()
                self._lists[name] = items
            else:
                _add(held, sorted(items))
        for name in gone:
            if not self._lists[name]:
                del self._lists[name]


def _sort_out(into: dict[_Name, list[_Item]], ident: Ident, place: _Place) -> None:
    """Add a record to the lists that it stands in at this place."""
    kind, key = ident
    group, sort, (first, second) = place
    item = (sort, key)
    into.setdefault((kind, group, 0, ""), []).append(item)
    into.setdefault((kind, group, 1, first), []).append(item)
    if second:
        into.setdefault((kind, group, 2, second), []).append(item)


def _matches(row: Change, wanted: tuple[str | None, str | None]) -> bool:
    return wanted[0] in (None, row.labels[0]) and wanted[1] in (None, row.labels[1])


def _remove(items: list[_Item], gone: list[_Item]) -> None:
    """Take sorted `gone` out of sorted `items`; neighbours go with one move (the oldest are dropped together)."""
    end, left = len(items), len(gone) - 1
    while left >= 0:
        last = start = bisect_left(items, gone[left], 0, end)
        while left and start and items[start - 1] == gone[left - 1]:
            start -= 1
            left -= 1
        del items[start : last + 1]
        end = start
        left -= 1


def _add(items: list[_Item], come: list[_Item]) -> None:
    """Put sorted `come` into sorted `items`; what is newer than all, or nearly, goes in with one move."""
    start = bisect_left(items, come[0])
    if len(items) - start > 16 * len(come) + 64:
        for item in come:
            insort(items, item)
        return
    tail = items[start:]
    tail.extend(come)
    tail.sort()
    items[start:] = tail
