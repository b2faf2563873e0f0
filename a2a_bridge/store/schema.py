"""The tables of a store file, and the statements that write to them. Text only: `sqlite.py` runs it.

Events: one row for each append, found by the number of its last event. Lists: an index for each way to ask, of listed
records only. Counters, and the streams that go with a record, are kept by triggers, so that no way of removing a
record can forget them.
"""

from typing import NamedTuple

VERSION = 1
"""Kept in the file as `user_version`; a file with a greater one is refused."""

TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL,
    last INTEGER NOT NULL, trimmed INTEGER NOT NULL);
CREATE TABLE events (stream INTEGER NOT NULL, last INTEGER NOT NULL, first INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (stream, last)) WITHOUT ROWID;
CREATE TABLE records (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, grp TEXT NOT NULL,
    sort TEXT NOT NULL, label1 TEXT NOT NULL, label2 TEXT NOT NULL, value BLOB NOT NULL, expires REAL, stream TEXT,
    UNIQUE (kind, key));
CREATE INDEX listed ON records (kind, grp, sort, key) WHERE grp <> '';
CREATE INDEX listed1 ON records (kind, grp, label1, sort, key) WHERE grp <> '';
CREATE INDEX listed2 ON records (kind, grp, label2, sort, key) WHERE grp <> '' AND label2 <> '';
CREATE INDEX expiring ON records (expires) WHERE expires IS NOT NULL;
CREATE TABLE counts (kind TEXT NOT NULL, grp TEXT NOT NULL, label TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (kind, grp, label)) WITHOUT ROWID;
CREATE TRIGGER counted AFTER INSERT ON records WHEN NEW.grp <> '' BEGIN
    INSERT INTO counts VALUES (NEW.kind, NEW.grp, NEW.label1, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER recounted AFTER UPDATE ON records WHEN OLD.grp <> NEW.grp OR OLD.label1 <> NEW.label1 BEGIN
    UPDATE counts SET n = n - 1 WHERE kind = OLD.kind AND grp = OLD.grp AND label = OLD.label1;
    DELETE FROM counts WHERE kind = OLD.kind AND grp = OLD.grp AND label = OLD.label1 AND n = 0;
    INSERT INTO counts SELECT NEW.kind, NEW.grp, NEW.label1, 1 WHERE NEW.grp <> ''
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER uncounted AFTER DELETE ON records WHEN OLD.grp <> '' BEGIN
    UPDATE counts SET n = n - 1 WHERE kind = OLD.kind AND grp = OLD.grp AND label = OLD.label1;
    DELETE FROM counts WHERE kind = OLD.kind AND grp = OLD.grp AND label = OLD.label1 AND n = 0;
END;
CREATE TRIGGER streamless AFTER DELETE ON records WHEN OLD.stream IS NOT NULL BEGIN
    DELETE FROM events WHERE stream = (SELECT id FROM streams WHERE name = OLD.stream);
    DELETE FROM streams WHERE name = OLD.stream;
END;
PRAGMA user_version = {VERSION};
COMMIT;
"""


class Put(NamedTuple):
    """An INSERT of any number of rows."""

    into: str
    columns: int
    conflict: str = ""

    def sql(self, rows: int) -> str:
        """The statement for so many rows."""
        return f"INSERT INTO {self.into} VALUES {', '.join([self.row] * rows)}{self.conflict}"

    @property
    def row(self) -> str:
        """The place of one row among the values."""
        return f"({', '.join('?' * self.columns)})"


PUT_STREAM = Put(
    "streams (id, name, epoch, last, trimmed)",
    5,
    " ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, last = excluded.last, trimmed = excluded.trimmed",
)
PUT_EVENTS = Put("events (stream, last, first, data)", 4)
TRIM = "DELETE FROM events WHERE stream = ? AND last <= ?"
HEAD = "SELECT id, name, epoch, last, trimmed FROM streams WHERE name = ?"

PUT_RECORD = Put(
    "records (kind, key, grp, sort, label1, label2, value, expires, stream)",
    9,
    " ON CONFLICT (kind, key) DO UPDATE SET grp = excluded.grp, sort = excluded.sort, label1 = excluded.label1,"
    " label2 = excluded.label2, value = excluded.value, expires = excluded.expires, stream = excluded.stream",
)
DELETE = "DELETE FROM records WHERE kind = ? AND key = ?"
EXPIRE = "DELETE FROM records WHERE id IN (SELECT id FROM records WHERE expires <= ? LIMIT ?)"
LABEL = "SELECT label1 FROM records WHERE kind = ? AND key = ?"

READ = (
    "SELECT e.first, e.last, e.data, s.trimmed FROM streams s JOIN events e ON e.stream = s.id"
    " WHERE s.name = ? AND e.last > ? ORDER BY e.last LIMIT ?"
)
GET = "SELECT key, value, sort, label1, label2 FROM records WHERE kind = ? AND key = ?"


def matching(
    kind: str,
    group: str,
    labels: tuple[str | None, str | None],
    since: str,
    before: tuple[str, str] | None,
) -> tuple[str, list[str]]:
    """FROM and WHERE of a list, and their parameters, through the index that reads least."""
    index = "listed2" if labels[1] else "listed" if labels[0] is None else "listed1"
    terms, values = ["kind = ?", "grp = ?", "grp <> ''"], [kind, group]
    if labels[0] is not None:
        terms.append("label1 = ?")
        values.append(labels[0])
    if labels[1] is not None:
        terms.append("label2 = ?" + (" AND label2 <> ''" if labels[1] else ""))
        values.append(labels[1])
    if since:
        terms.append("sort >= ?")
        values.append(since)
    if before is not None:
        terms.append("(sort, key) < (?, ?)")
        values += before
    return f"FROM records INDEXED BY {index} WHERE {' AND '.join(terms)}", values
