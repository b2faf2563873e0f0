"""Values that are kept sealed: unreadable, bound to their record, with a key that only the owner can read."""

import stat
from pathlib import Path

import pytest

from a2a_bridge.errors import ConfigError, StoreUnavailableError
from a2a_bridge.store.seal import Seal, secret_beside

SECRET = "s" * 32


def test_what_was_sealed_can_be_opened_and_not_read() -> None:
    """Reliability: push credentials are encrypted at rest."""
    seal = Seal(SECRET)
    sealed = seal.close(b"canary", "a/b")
    assert b"canary" not in sealed
    assert seal.open(sealed, "a/b") == b"canary"
    assert seal.close(b"canary", "a/b") != sealed


@pytest.mark.parametrize("part", [0, 5, -1])
def test_a_sealed_value_that_was_altered_or_moved_cannot_be_opened(part: int) -> None:
    """Ours: nobody who can write to the store can make one task's webhook another's."""
    seal = Seal(SECRET)
    sealed = bytearray(seal.close(b"canary", "a/b"))
    for value, about, by in ((bytes(sealed), "a/c", seal), (bytes(sealed), "a/b", Seal("t" * 32)), (b"", "a/b", seal)):
        with pytest.raises(StoreUnavailableError, match="another key"):
            by.open(value, about)
    sealed[part] ^= 1
    with pytest.raises(StoreUnavailableError, match="another key"):
        seal.open(bytes(sealed), "a/b")


def test_a_short_key_is_refused_with_a_way_to_make_one() -> None:
    """Messages say what to do, and never show the key."""
    with pytest.raises(ConfigError, match="token_urlsafe") as caught:
        Seal("canary")
    assert "canary" not in str(caught.value)


def test_the_key_file_is_made_once_and_is_the_owners_only(tmp_path: Path) -> None:
    """Our decision: beside the store, mode 0600."""
    store = tmp_path / "s.sqlite"
    secret = secret_beside(store)
    assert secret_beside(store) == secret
    assert len(secret) >= 32
    path = tmp_path / "s.sqlite.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(StoreUnavailableError, match="chmod 600"):
        secret_beside(store)


def test_a_key_file_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path) -> None:
    """Messages say what to do."""
    store = tmp_path / "s.sqlite"
    (tmp_path / "s.sqlite.key").touch(0o600)
    with pytest.raises(StoreUnavailableError, match="holds no key"):
        secret_beside(store)
    with pytest.raises(StoreUnavailableError, match="cannot be used"):
        secret_beside(tmp_path / "nowhere" / "s.sqlite")
