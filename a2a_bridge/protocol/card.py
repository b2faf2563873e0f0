"""The agent card (A2A 1.0.1 §4.4): who an agent is, where it is reached and what it can do."""

from collections.abc import Mapping

from pydantic import Field, StrictBool

from a2a_bridge.protocol.objects import Struct, WireObject
from a2a_bridge.protocol.security import SecurityRequirement, SecurityScheme

PROTOCOL_VERSION = "1.0"
WELL_KNOWN_PATH = "/.well-known/agent-card.json"


class AgentInterface(WireObject):
    """One address of the agent: URL, binding (`JSONRPC`, `HTTP+JSON`, `GRPC`), protocol version."""

    url: str
    protocol_binding: str
    protocol_version: str = PROTOCOL_VERSION
    tenant: str | None = None


class AgentProvider(WireObject):
    """Who offers the agent."""

    url: str
    organization: str


class AgentExtension(WireObject):
    """An extension the agent supports; `required` means that callers must name it."""

    uri: str
    description: str | None = None
    required: StrictBool = False
    params: Struct | None = None


class AgentCapabilities(WireObject):
    """Optional features; False said aloud differs from not said (R-SIGN-01)."""

    streaming: StrictBool | None = None
    push_notifications: StrictBool | None = None
    extensions: tuple[AgentExtension, ...] | None = None
    extended_agent_card: StrictBool | None = None


class AgentSkill(WireObject):
    """One thing the agent can do; at least one tag (§4.4.5)."""

    id: str
    name: str
    description: str
    tags: tuple[str, ...]
    examples: tuple[str, ...] | None = None
    input_modes: tuple[str, ...] | None = None
    output_modes: tuple[str, ...] | None = None
    security_requirements: tuple[SecurityRequirement, ...] | None = None


class AgentCardSignature(WireObject):
    """A detached JWS over the card (§8.4)."""

    protected: str
    signature: str
    header: Struct | None = None


class AgentCard(WireObject):
    """An agent's public description (§4.4.1); interfaces in order of preference."""

    name: str
    description: str
    supported_interfaces: tuple[AgentInterface, ...] = ()
    version: str
    capabilities: AgentCapabilities = Field(default_factory=AgentCapabilities)
    default_input_modes: tuple[str, ...] = ("text/plain",)
    default_output_modes: tuple[str, ...] = ("text/plain",)
    skills: tuple[AgentSkill, ...] = ()
    provider: AgentProvider | None = None
    documentation_url: str | None = None
    icon_url: str | None = None
    security_schemes: Mapping[str, SecurityScheme] | None = None
    security_requirements: tuple[SecurityRequirement, ...] | None = None
    signatures: tuple[AgentCardSignature, ...] | None = None
