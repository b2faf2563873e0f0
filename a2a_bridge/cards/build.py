"""An agent card for any agent, and what a server writes into a card (A2A 1.0.1 §4.4, §8).

Pure functions: nothing here knows where the card goes. What they promise is that no member that the specification
calls REQUIRED is ever missing or empty (R-CARD-07), whatever the agent forgot to say about itself.
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from itertools import chain

from a2a_bridge.agent import Agent, Traits, traits_of
from a2a_bridge.errors import CardError
from a2a_bridge.protocol.card import (
    PROTOCOL_VERSION,
    AgentCapabilities,
    AgentCard,
    AgentExtension,
    AgentInterface,
    AgentProvider,
    AgentSkill,
)
from a2a_bridge.protocol.extensions import ROOM_EXTENSION, TURN_EXTENSION
from a2a_bridge.protocol.objects import JSONValue, dump, json_bytes

SERVED_BINDINGS = ("JSONRPC", "HTTP+JSON")
"""The bindings that our server speaks, in order of preference."""

DEFAULT_VERSION = "0.1.0"
"""The version of an agent that does not say which version of itself it is."""

_TURN_ABOUT = "Tool activity, token usage and the questions of a pause, as metadata."
_ROOM = AgentExtension(
    uri=ROOM_EXTENSION, description="Who spoke in a group chat, and why that one was chosen, as metadata."
)


def build_card(
    agent: Agent,
    *,
    url: str,
    version: str = DEFAULT_VERSION,
    skills: Iterable[AgentSkill] | None = None,
    streaming: bool = True,
    provider: AgentProvider | None = None,
    documentation_url: str | None = None,
    icon_url: str | None = None,
) -> AgentCard:
    """A valid v1.0 card for `agent`, reached at `url` (absolute, used as it is).

    Skills come from `skills`, else from the agent's traits, else one is made from its name and description; what a
    skill lacks is filled in. Push notifications are denied aloud. Our extensions are offered, never required.
    """
    traits = traits_of(agent)
    name = agent.name.strip() or "agent"
    description = agent.description.strip() or f"The agent {name}."
    given = tuple(traits.skills if skills is None else skills)
    return AgentCard(
        name=name,
        description=description,
        version=version.strip() or DEFAULT_VERSION,
        supported_interfaces=_interfaces(url),
        capabilities=AgentCapabilities(
            streaming=streaming,
            push_notifications=False,
            extensions=(_turn(traits), _ROOM) if is_room(agent) else (_turn(traits),),
        ),
        default_input_modes=traits.input_modes or ("text/plain",),
        default_output_modes=traits.output_modes or ("text/plain",),
        skills=tuple(_completed(skill, description, _tags(agent, traits)) for skill in given)
        or (_only_skill(name, description, _tags(agent, traits)),),
        provider=provider,
        documentation_url=documentation_url,
        icon_url=icon_url,
    )


def _turn(traits: Traits) -> AgentExtension:
    """The turn extension; its parameters name the framework, so that a room can say where a remote seat comes from, and
    say whether a cancel leaves work behind."""
    params: dict[str, JSONValue] = {"framework": traits.framework} if traits.framework else {}
    if not traits.stops_on_cancel:
        params["stopsOnCancel"] = False
    return AgentExtension(uri=TURN_EXTENSION, description=_TURN_ABOUT, params=params or None)


def is_room(agent: Agent) -> bool:
    """Whether the agent is a group chat: rooms are told by the attribute `groupchat`, which AutoGen named."""
    return getattr(agent, "groupchat", None) is not None


def with_push(card: AgentCard) -> AgentCard:
    """The card of an agent whose tasks are reported to webhooks."""
    offered = card.capabilities.model_copy(update={"push_notifications": True})
    return card.model_copy(update={"capabilities": offered})


def with_extended(card: AgentCard) -> AgentCard:
    """The card of an agent that has another one for callers who have said who they are."""
    offered = card.capabilities.model_copy(update={"extended_agent_card": True})
    return card.model_copy(update={"capabilities": offered})


def with_url(card: AgentCard, url: str, *, push: bool = False, extended: bool = False) -> AgentCard:
    """The card as our server can truthfully serve it at `url` (R-CARD-05).

    Interfaces of the bindings we speak are replaced by ours; those of others (gRPC behind another address, say) stay
    behind them if they name a URL. Capabilities that the card leaves open are said aloud; `push` tells whether
    webhooks are served, to which a card may still say no. Signatures are dropped: they covered other words. Raises
    CardError for a card that promises what this server does not offer: webhooks without `push`, an extended card
    without `extended`.
    """
    offered = card.capabilities
    if (offered.push_notifications and not push) or (offered.extended_agent_card and not extended):
        which = "pushNotifications" if offered.push_notifications and not push else "extendedAgentCard"
        raise CardError(f"card {card.name!r}: capabilities.{which} is true, but this server does not offer it")
    pushes = push if offered.push_notifications is None else offered.push_notifications
    ours = {binding.upper() for binding in SERVED_BINDINGS}
    others = tuple(i for i in card.supported_interfaces if i.url and i.protocol_binding.upper() not in ours)
    streaming = True if offered.streaming is None else offered.streaming
    return card.model_copy(
        update={
            "supported_interfaces": _interfaces(url) + others,
            "capabilities": offered.model_copy(update={"streaming": streaming, "push_notifications": pushes}),
            "signatures": None,
        }
    )


def input_modes(card: AgentCard) -> tuple[str, ...]:
    """Every media type that the card says is taken, by the agent or by one of its skills (R-SEND-07)."""
    return tuple(dict.fromkeys(chain(card.default_input_modes, *(skill.input_modes or () for skill in card.skills))))


def card_json(card: AgentCard) -> dict[str, JSONValue]:
    """The card's JSON object with every REQUIRED member present, also one that equals its default (R-DM-09)."""
    found: dict[str, JSONValue] = dump(card)
    found["supportedInterfaces"] = [
        dump(i) | {"protocolVersion": i.protocol_version} for i in card.supported_interfaces
    ]
    found["capabilities"] = dump(card.capabilities)
    found["defaultInputModes"] = list(card.default_input_modes)
    found["defaultOutputModes"] = list(card.default_output_modes)
    found["skills"] = dump(card.skills)
    return found


def card_bytes(card: AgentCard) -> bytes:
    """`card_json` as compact UTF-8 bytes: what the well-known path serves."""
    return json_bytes(card_json(card))


def card_etag(body: bytes) -> str:
    """A strong entity tag for these exact bytes, quotes included (R-CARD-08)."""
    return f'"{sha256(body).hexdigest()[:32]}"'


def _interfaces(url: str) -> tuple[AgentInterface, ...]:
    """HTTP+JSON without the slash at the end: its routes begin with one, and clients put the two together."""
    return tuple(
        AgentInterface(
            url=url if binding == "JSONRPC" else url.rstrip("/"),
            protocol_binding=binding,
            protocol_version=PROTOCOL_VERSION,
        )
        for binding in SERVED_BINDINGS
    )


def _tags(agent: Agent, traits: Traits) -> tuple[str, ...]:
    kind = "group-chat" if is_room(agent) else "agent"
    return (kind, traits.framework) if traits.framework else (kind,)


def _only_skill(name: str, description: str, tags: tuple[str, ...]) -> AgentSkill:
    return AgentSkill(id=_slug(name), name=name, description=description, tags=tags)


def _completed(skill: AgentSkill, description: str, tags: tuple[str, ...]) -> AgentSkill:
    """The skill with what other frameworks tend to leave out: a description, a tag."""
    name = skill.name.strip() or skill.id.strip() or "skill"
    return skill.model_copy(
        update={
            "id": skill.id.strip() or _slug(name),
            "name": name,
            "description": skill.description.strip() or description,
            "tags": tuple(tag for tag in skill.tags if tag.strip()) or tags,
        }
    )


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "agent"
