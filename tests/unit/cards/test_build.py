"""Cards made from agents, and what the server writes into a card."""

from typing import Any

import pytest
from a2a.types import AgentCard as OfficialCard
from google.protobuf.json_format import Parse

from a2a_bridge.adaptation import FunctionAgent
from a2a_bridge.agent import Traits
from a2a_bridge.cards.build import build_card, card_bytes, card_etag, card_json, with_url
from a2a_bridge.cards.load import card_from_json
from a2a_bridge.errors import CardError
from a2a_bridge.protocol.card import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from a2a_bridge.protocol.extensions import ROOM_EXTENSION, TURN_EXTENSION

URL = "https://agents.example/planner/"


class Spoken:
    """An agent that says about itself only what a test lets it say."""

    def __init__(self, name: str = "planner", description: str = "Plans trips.", **more: Any) -> None:
        self.name, self.description = name, description
        for key, value in more.items():
            setattr(self, key, value)

    async def run(self, turn: Any) -> Any:
        yield "done"


def test_a_card_of_any_agent_is_valid_and_names_the_given_url() -> None:
    """R-CARD-05, R-CARD-07: the strict reader accepts what the builder makes, and the URL is not touched."""
    card = build_card(Spoken(), url=URL)
    assert card_from_json(card_bytes(card)) == card
    assert [(i.url, i.protocol_binding, i.protocol_version) for i in card.supported_interfaces] == [
        (URL, "JSONRPC", "1.0"),
        (URL.rstrip("/"), "HTTP+JSON", "1.0"),
    ]


def test_the_official_sdk_reads_a_built_card_whole() -> None:
    """Our decision: the official types find every REQUIRED member on the wire, also those equal to our defaults."""
    agent = Spoken(traits=Traits(input_modes=("text/plain",), output_modes=("text/plain",)))
    theirs = Parse(card_bytes(build_card(agent, url=URL)), OfficialCard())
    assert list(theirs.default_input_modes) == ["text/plain"]
    assert list(theirs.default_output_modes) == ["text/plain"]
    assert theirs.supported_interfaces[0].protocol_version == "1.0"
    assert theirs.skills[0].tags


def test_no_required_member_is_empty_even_when_the_agent_says_nothing() -> None:
    """R-CARD-07: names, descriptions, modes and tags have fallbacks."""
    silent = Spoken(name=" ", description="\n", traits=Traits(input_modes=(), output_modes=()))
    card = build_card(silent, url=URL, version=" ")
    assert card_from_json(card_bytes(card)) == card
    assert card.name == "agent"
    assert card.description == "The agent agent."
    assert card.default_input_modes == ("text/plain",)


def test_what_a_skill_of_another_framework_lacks_is_filled_in() -> None:
    """R-CARD-07: tags need an element, and adapters cannot always know one."""
    bare = AgentSkill(id="", name="Find flights", description="", tags=("",))
    card = build_card(Spoken(traits=Traits(framework="langgraph", skills=(bare,))), url=URL)
    [skill] = card.skills
    assert (skill.id, skill.description, skill.tags) == ("find-flights", "Plans trips.", ("agent", "langgraph"))


def test_given_skills_win_over_those_of_the_agent() -> None:
    """Our decision: who publishes knows best."""
    own = AgentSkill(id="a", name="a", description="a", tags=("a",))
    given = AgentSkill(id="b", name="b", description="b", tags=("b",))
    assert build_card(Spoken(traits=Traits(skills=(own,))), url=URL, skills=[given]).skills == (given,)


def test_what_is_not_offered_is_denied_aloud() -> None:
    """R-CAP-01, R-CAP-02: false said aloud is on the wire, and streaming can be switched off."""
    wire = card_json(build_card(Spoken(), url=URL, streaming=False))
    assert wire["capabilities"]["streaming"] is False  # type: ignore[index,call-overload]
    assert wire["capabilities"]["pushNotifications"] is False  # type: ignore[index,call-overload]


def test_a_card_names_the_framework_where_a_remote_seat_looks_for_it() -> None:
    """Our decision: a room says of each speaker in which framework it runs, of remote ones too."""
    (turn,) = build_card(Spoken(traits=Traits(framework="langgraph")), url=URL).capabilities.extensions or ()
    assert turn.params == {"framework": "langgraph"}


def test_a_card_tells_that_a_cancel_leaves_work_behind_and_nothing_otherwise() -> None:
    """Issue 5: a room names the seats that it could not stop at once, remote ones too."""
    (turn,) = build_card(Spoken(traits=Traits(stops_on_cancel=False)), url=URL).capabilities.extensions or ()
    assert turn.params == {"stopsOnCancel": False}
    (turn,) = build_card(Spoken(), url=URL).capabilities.extensions or ()
    assert turn.params is None


def test_only_a_room_offers_the_room_extension_and_none_is_required() -> None:
    """Our decision: a peer that knows neither extension misses nothing it needs."""
    alone = build_card(Spoken(), url=URL).capabilities.extensions or ()
    room = build_card(Spoken(groupchat=object()), url=URL)
    offered = room.capabilities.extensions or ()
    assert [e.uri for e in alone] == [TURN_EXTENSION]
    assert [e.uri for e in offered] == [TURN_EXTENSION, ROOM_EXTENSION]
    assert not any(e.required for e in offered)
    assert room.skills[0].tags == ("group-chat",)


def test_a_function_gets_a_card_from_its_name_and_docstring() -> None:
    """Our decision: publishing a function takes no words beside its own."""

    def translate(text: str) -> str:
        """Translates into French."""
        return text

    card = build_card(FunctionAgent(translate), url=URL)
    assert (card.name, card.description, card.skills[0].id) == ("translate", "Translates into French.", "translate")


def _loaded(**more: Any) -> AgentCard:
    return build_card(Spoken(), url="").model_copy(update={"supported_interfaces": (), **more})


def test_the_server_fills_in_urls_and_says_open_capabilities_aloud() -> None:
    """R-CARD-05: interfaces are what the server really speaks."""
    card = with_url(_loaded(capabilities=AgentCapabilities()), URL)
    assert [i.url for i in card.supported_interfaces] == [URL, URL.rstrip("/")]
    assert card.capabilities == AgentCapabilities(streaming=True, push_notifications=False)


def test_an_interface_of_a_binding_that_we_do_not_speak_stays_behind_ours() -> None:
    """Our decision: a card may point at a gRPC server of its owner, and ours replaces only what is ours."""
    grpc = AgentInterface(url="agents.example:443", protocol_binding="GRPC")
    stale = AgentInterface(url="https://old.example/", protocol_binding="jsonrpc")
    card = with_url(_loaded(supported_interfaces=(grpc, stale)), URL)
    assert [i.url for i in card.supported_interfaces] == [URL, URL.rstrip("/"), "agents.example:443"]


@pytest.mark.parametrize("promise", ["push_notifications", "extended_agent_card"])
def test_a_card_that_promises_what_the_server_lacks_is_refused(promise: str) -> None:
    """R-CARD-05: cards must be truthful."""
    with pytest.raises(CardError, match="does not offer"):
        with_url(_loaded(capabilities=AgentCapabilities(**{promise: True})), URL)


def test_the_entity_tag_follows_the_bytes() -> None:
    """R-CARD-08: quoted, the same for the same bytes, another for others."""
    assert card_etag(b"{}") == card_etag(b"{}") != card_etag(b"{ }")
    assert card_etag(b"{}")[0] == card_etag(b"{}")[-1] == '"'
