"""A server that knows tokens and keys, and callers of it."""

import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from forge import AUDIENCE, ISSUER, NOW, Keys

from a2a_bridge.server.auth import ALGORITHMS, Claims, Issuer, Tokens

collect_ignore_glob = []
if os.environ.get("A2A_BRIDGE_NO_SANDBOX") == "1":  # said by whoever runs the tests: there are no namespaces here
    collect_ignore_glob.append("test_sandbox*.py")
if os.environ.get("A2A_BRIDGE_DOCKER") != "1":  # most machines that run the tests have no engine
    collect_ignore_glob.append("test_docker_engine.py")

Start = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys()


@pytest.fixture
def tokens(keys: Keys, tmp_path: Path) -> Tokens:
    """Bearer tokens of the issuer, at a time that stands still."""
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(keys.jwks()))
    claims = Claims(tenants=None)
    issuer = Issuer(ISSUER, jwks_file=file)
    return Tokens(issuer, AUDIENCE, algorithms=ALGORITHMS, claims=claims, clock=lambda: NOW)


class Heard(logging.Handler):
    """Every record of every logger, with its fields."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def reasons(self) -> list[str]:
        """Why callers were refused."""
        found = [getattr(record, "fields", {}) for record in self.records]
        return [str(fields["reasons"]) for fields in found if "reasons" in fields]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """The log at DEBUG."""
    root = logging.getLogger()
    handler, level = Heard(), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)
