"""What `card diff` calls breaking, and what not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from a2a_bridge.cards.diff import CHANGES, compare
from a2a_bridge.cards.load import card_from_json

URL = "https://agents.example.org/a"
CARD: dict[str, Any] = {
    "name": "a", "description": "Does it.", "version": "1.0.0",
    "supportedInterfaces": [
        {"url": URL, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        {"url": URL, "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
    ],
    "capabilities": {
        "streaming": True,
        "extensions": [{"uri": "urn:x:1"}, {"uri": "urn:x:2", "required": True}],
    },
    "defaultInputModes": ["text/plain", "application/json"], "defaultOutputModes": ["text/plain"],
    "securitySchemes": {
        "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer"}},
        "key": {"apiKeySecurityScheme": {"location": "header", "name": "k"}},
    },
    "securityRequirements": [{"schemes": {"bearer": {"list": ["a"]}}}],
    "skills": [
        {"id": "one", "name": "One", "description": "One.", "tags": ["t"]},
        {"id": "two", "name": "Two", "description": "Two.", "tags": ["t"], "inputModes": ["text/plain", "image/png"]},
    ],
}  # fmt: skip

Card = dict[str, Any]
ROWS: dict[str, tuple[Callable[[Card], object], set[str]]] = {
    "an interface is removed": (lambda c: c["supportedInterfaces"].pop(), {"D101"}),
    "the URL moves": (lambda c: c["supportedInterfaces"][0].update(url=URL + "/b"), {"D101", "D201"}),
    "a version is replaced": (lambda c: c["supportedInterfaces"][0].update(protocolVersion="1.1"), {"D101", "D201"}),
    "a tenant is asked for": (lambda c: c["supportedInterfaces"][0].update(tenant="t"), {"D101", "D201"}),
    "interfaces change places": (lambda c: c["supportedInterfaces"].reverse(), {"D210"}),
    "a skill is removed": (lambda c: c["skills"].pop(), {"D102"}),
    "a skill is added": (lambda c: c["skills"].append({**c["skills"][0], "id": "three"}), {"D202"}),
    "a skill is described anew": (lambda c: c["skills"][0].update(description="x"), {"D211"}),
    "a skill asks for a scheme": (
        lambda c: c["skills"][0].update(securityRequirements=[{"schemes": {"key": {}}}]), {"D108"},
    ),
    "an input mode is removed": (lambda c: c["defaultInputModes"].pop(), {"D103"}),
    "an input mode in capitals": (lambda c: c.update(defaultInputModes=["TEXT/plain", "application/json"]), set()),
    "an input mode is added": (lambda c: c["defaultInputModes"].append("image/png"), {"D203"}),
    "an output mode is replaced": (lambda c: c.update(defaultOutputModes=["text/html"]), {"D104", "D204"}),
    "a skill's input mode is removed": (lambda c: c["skills"][1]["inputModes"].pop(), {"D103"}),
    "a skill takes what the agent takes": (lambda c: c["skills"][1].pop("inputModes"), {"D103", "D203"}),
    "streaming is withdrawn": (lambda c: c["capabilities"].update(streaming=False), {"D105"}),
    "push is offered": (lambda c: c["capabilities"].update(pushNotifications=True), {"D205"}),
    "push is denied aloud": (lambda c: c["capabilities"].update(pushNotifications=False), set()),
    "an extension is removed": (lambda c: c["capabilities"]["extensions"].pop(), {"D106"}),
    "an extension is added": (lambda c: c["capabilities"]["extensions"].append({"uri": "urn:n"}), {"D206"}),
    "a required extension is added": (
        lambda c: c["capabilities"]["extensions"].append({"uri": "urn:n", "required": True}), {"D107"},
    ),
    "an extension becomes required": (lambda c: c["capabilities"]["extensions"][0].update(required=True), {"D107"}),
    "an extension becomes optional": (lambda c: c["capabilities"]["extensions"][1].pop("required"), {"D207"}),
    "an extension's parameters change": (
        lambda c: c["capabilities"]["extensions"][0].update(params={"a": 1}), {"D211"},
    ),
    "a scope is asked for": (
        lambda c: c["securityRequirements"][0]["schemes"]["bearer"]["list"].append("b"), {"D108"},
    ),
    "a scope is no longer asked for": (
        lambda c: c["securityRequirements"][0]["schemes"]["bearer"].update(list=[]), {"D208"},
    ),
    "a second scheme is asked for": (
        lambda c: c["securityRequirements"][0]["schemes"].update(key={}), {"D108"},
    ),
    "an alternative is added": (lambda c: c["securityRequirements"].append({"schemes": {"key": {}}}), {"D208"}),
    "anybody may call": (lambda c: c.pop("securityRequirements"), {"D208"}),
    "a scheme works differently": (
        lambda c: c["securitySchemes"]["bearer"]["httpAuthSecurityScheme"].update(scheme="Basic"), {"D109"},
    ),
    "a scheme is explained": (
        lambda c: c["securitySchemes"]["bearer"]["httpAuthSecurityScheme"].update(description="x"), set(),
    ),
    "an unused scheme is removed": (lambda c: c["securitySchemes"].pop("key"), {"D209"}),
    "the name changes": (lambda c: c.update(name="b"), {"D110"}),
    "words change": (
        lambda c: c.update(version="2", iconUrl="https://e", provider={"url": "https://e", "organization": "E"}),
        {"D211"},
    ),
    "nothing changes": (lambda c: None, set()),
}  # fmt: skip


@pytest.mark.parametrize("what", ROWS)
def test_a_change_is_called_what_it_is(what: str) -> None:
    """Ours: the question is whether a client of the old card can go on; what breaks comes first."""
    change, expected = ROWS[what]
    card = copy.deepcopy(CARD)
    change(card)
    found = compare(card_from_json(CARD), card_from_json(card))
    assert {each.code for each in found} == expected
    assert [each.is_breaking for each in found] == sorted((each.is_breaking for each in found), reverse=True)


def test_authentication_that_is_new_breaks() -> None:
    """Ours: whoever called without credentials is refused now."""
    public = {name: value for name, value in CARD.items() if not name.startswith("security")}
    found = compare(card_from_json(public), card_from_json(CARD))
    assert [(each.code, each.before, each.after) for each in found if each.is_breaking] == [
        ("D108", "nothing", "bearer (a)")
    ]


def test_every_code_of_a_change_has_a_row() -> None:
    """Ours."""
    assert set().union(*(codes for _, codes in ROWS.values())) == CHANGES.keys()
