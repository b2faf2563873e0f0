"""The chain of a room log: each commit ends with a line that seals it.

A seal is a digest of the seal before it and of the bytes that are committed. It proves that a log is in one piece to
whoever has kept the last seal elsewhere; it is no signature, and who can write the whole log anew can seal it anew.
"""

from binascii import hexlify
from hashlib import blake2b

NO_SEAL = b""
"""What stands before the first commit."""

_START, _END = b'{"kind":"seal","seal":"', b'"}'
_NEXT = b"\n" + _START


def sealed(before: bytes, data: bytes) -> tuple[bytes, bytes]:
    """The record with its seal, and the seal."""
    seal = hexlify(blake2b(before + data, digest_size=16).digest())
    return data + _NEXT + seal + _END, seal


def seal_line(seal: bytes) -> bytes:
    """The line that holds a seal."""
    return _START + seal + _END


def is_seal(line: bytes) -> bool:
    """Whether a line of a log is a seal."""
    return line.startswith(_START)


def seal_in(line: bytes) -> bytes:
    """The seal that a line holds."""
    return line[len(_START) : -len(_END)]
