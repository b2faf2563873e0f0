"""Values that must not lie in a store in the clear: sealed before they are put, opened when they are read.

AES-256 in GCM (NIST SP 800-38D) with a random nonce for each value, and the record's key as associated data, so that a
value is worth nothing under another record's key. The secret is a setting, or a file beside the store that only its
owner can read: a copy of the store alone gives nothing away, a copy of both gives everything. Whoever loses the secret
loses the values, and nothing else.

The library, `cryptography`, comes with the extra `security`; it is loaded when the first `Seal` is made.
"""

import base64
import hashlib
import os
import secrets
from importlib.util import find_spec
from pathlib import Path

from a2a_bridge.errors import ConfigError, StoreUnavailableError

MIN_SECRET = 32
"""Characters that a secret must have at least."""
_FORM = b"\x01"
_NONCE = 12


def can_seal() -> bool:
    """Whether the library is there."""
    return find_spec("cryptography") is not None


class Seal:
    """Seals and opens with one secret: text of at least 32 characters that nobody can guess."""

    def __init__(self, secret: str) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise ConfigError(
                'what is kept encrypted needs a library: pip install "a2a-agent-bridge[security]"'
            ) from None
        if len(secret) < MIN_SECRET:
            raise ConfigError(
                f"the key has {len(secret)} characters, and must have {MIN_SECRET} or more: make one with"
                " python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        self._cipher = AESGCM(hashlib.blake2b(secret.encode(), digest_size=32, person=b"a2a-bridge seal").digest())
        self._broken = InvalidTag

    def close(self, value: bytes, about: str) -> bytes:
        """The value, unreadable; `about` names the record it is for."""
        nonce = os.urandom(_NONCE)
        return _FORM + nonce + self._cipher.encrypt(nonce, value, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """The inverse of `close`. StoreUnavailableError when it was closed with another secret, or altered."""
        nonce, value = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            if sealed[:1] != _FORM:
                raise ValueError
            return self._cipher.decrypt(nonce, value, about.encode())
        except (self._broken, ValueError):
            raise StoreUnavailableError(
                "a sealed record cannot be opened: it was written with another key. Give the key that was used then"
            ) from None


def secret_beside(store: Path) -> str:
    """The secret in `<store>.key`, made on first use, readable for its owner only.

    StoreUnavailableError when the file cannot be read or made, or when others may read it.
    """
    path = store.with_name(store.name + ".key")
    try:
        try:
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _kept(path)
        with os.fdopen(made, "w", encoding="ascii") as file:
            file.write(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())  # what is sealed with it must not outlive it
        return _kept(path)
    except OSError as error:
        raise StoreUnavailableError(f"the key file {path} cannot be used: {error.strerror or error}") from error


def _kept(path: Path) -> str:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise StoreUnavailableError(f"others may read the key file {path}: chmod 600 it")
    secret = path.read_text("ascii", "replace").strip()
    if len(secret) < MIN_SECRET:
        raise StoreUnavailableError(
            f"the key file {path} holds no key. If it was cut short, restore it; what was sealed is lost without it"
        )
    return secret
