"""The OpenAPI document of the HTTP+JSON binding: valid, complete, and true."""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from a2a_bridge.bridge import Bridge
from a2a_bridge.cards.build import build_card
from a2a_bridge.protocol.card import AgentCapabilities, AgentCard
from a2a_bridge.protocol.methods import OPERATIONS
from a2a_bridge.protocol.openapi import openapi_document
from a2a_bridge.protocol.routes import ROUTES
from a2a_bridge.protocol.security import (
    APIKeySecurityScheme,
    ScopeList,
    SecurityRequirement,
    SecurityScheme,
)
from a2a_bridge.testing.agents import Obedient


def card(**capabilities: bool) -> AgentCard:
    found = build_card(Obedient(), url="https://agents.example/obedient/")
    return found.model_copy(update={"version": "1", "capabilities": AgentCapabilities(**capabilities)})


RECORDED = Path(__file__).with_name("openapi.json")
EVERYTHING = card(streaming=True, push_notifications=True, extended_agent_card=True)


@pytest.mark.parametrize("shown", [card(), EVERYTHING], ids=["nothing more", "everything"])
def test_the_document_is_valid(shown: AgentCard) -> None:
    """Issue: OpenAPI 3.1, whatever the card offers."""
    schemathesis.openapi.from_dict(openapi_document(shown)).validate()


def test_every_operation_that_is_offered_is_listed_and_no_other() -> None:
    """Issue: from the table of operations; a path of the document leads to the operation that it names."""
    found = openapi_document(EVERYTHING)
    listed = set()
    for path, verbs in found["paths"].items():
        route = ROUTES.find([segment.encode() for segment in path.split("/")[1:]])
        assert route is not None
        for verb, described in verbs.items():
            assert route.verbs[verb.upper()][0].name == described["summary"]
            listed.add((described["summary"], verb.upper()))
    assert listed == {(operation.name, verb) for operation in OPERATIONS for verb in operation.verbs}
    names = {
        described["summary"] for verbs in openapi_document(card())["paths"].values() for described in verbs.values()
    }
    assert names == {operation.name for operation in OPERATIONS if operation.needs is None}


def test_the_document_says_how_to_authenticate() -> None:
    """Issue: what the card promises, in the words of OpenAPI."""
    scheme = SecurityScheme(api_key_security_scheme=APIKeySecurityScheme(location="header", name="X-Key"))
    secured = EVERYTHING.model_copy(
        update={
            "security_schemes": {"key": scheme},
            "security_requirements": (SecurityRequirement(schemes={"key": ScopeList(list=("a",))}),),
        }
    )
    found = openapi_document(secured)
    assert found["components"]["securitySchemes"] == {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}
    assert found["security"] == [{"key": ["a"]}]


def test_the_document_is_the_one_that_was_looked_at() -> None:
    """Our decision: what others generate clients from changes only when that is meant.

    After a change that was meant: RECORD_GOLDEN=1 python -m pytest tests/wire/test_openapi.py, and look at the file.
    """
    told = json.dumps(openapi_document(EVERYTHING), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("RECORD_GOLDEN"):
        RECORDED.write_text(told, "utf-8")
    assert json.loads(told) == json.loads(RECORDED.read_text("utf-8"))


def test_no_schema_speaks_of_null_or_of_this_project() -> None:
    """R-DM-09: a member that is not there is left out."""
    text = str(openapi_document(EVERYTHING))
    assert "'null'" not in text
    assert "R-" not in text


async def test_the_document_is_served_beside_the_card(start: Any) -> None:
    """Issue: at the root and under the name, each with its own URL, without version or credentials."""
    http: httpx.AsyncClient = await start(Bridge(Obedient(), public_url="https://agents.example"))
    del http.headers["a2a-version"]
    for name in ("", "/obedient"):
        path, url = f"{name}/openapi.json", f"https://agents.example{name}"
        response = await http.get(path)
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
        assert response.json()["servers"] == [{"url": url}]
        assert (await http.head(path)).content == b""
        assert (await http.post(path)).headers["allow"] == "GET, HEAD"
