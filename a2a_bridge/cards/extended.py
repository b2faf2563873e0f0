"""The card of an agent for callers who have said who they are (A2A 1.0.1 §3.1.11, §13.3).

It may differ from the public one in all but what is true of the server: where the agent is reached, what is offered
there, and how callers authenticate are the public card's (R-CARD-05). What is made for one caller is made anew for each
call, signed, and never shown to another.
"""

import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path

from a2a_bridge.agent import Caller
from a2a_bridge.cards.build import card_json, input_modes
from a2a_bridge.cards.load import card_from_json, load_card
from a2a_bridge.cards.sign import Signer
from a2a_bridge.errors import CardError, ConfigError
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.objects import JSONValue, json_bytes

REMEMBERED = 256
"""How many signed cards of different words are kept."""

MakeCard = Callable[[Caller, AgentCard], AgentCard | Awaitable[AgentCard | None] | None]
ExtendedSource = AgentCard | Path | str | MakeCard
"""A card or the file of one, the same for all; or a function from a caller and the public card to the caller's card,
which may be a coroutine function. None: there is none for this caller."""


class ExtendedCard:
    """What GetExtendedAgentCard answers for one agent; `public` promises it."""

    def __init__(self, source: ExtendedSource, public: AgentCard, signer: Signer | None) -> None:
        self._public = public
        self._signer = signer
        self._make: MakeCard | None = None
        self._same: bytes | None = None
        self._signed: OrderedDict[bytes, bytes] = OrderedDict()
        if callable(source):
            self._make = source
        elif isinstance(source, AgentCard | Path | str):
            self._same = self._finished(source if isinstance(source, AgentCard) else load_card(source))
        else:
            raise ConfigError(f"an extended card is a card, a file or a function, not {type(source).__name__}")

    async def __call__(self, caller: Caller) -> bytes | None:
        """The card for this caller as JSON of 1.0, or None. Whatever the function raises is raised."""
        if self._make is None:
            return self._same
        found = self._make(caller, self._public)
        card = await found if inspect.isawaitable(found) else found
        if card is None:
            return None
        if not isinstance(card, AgentCard):
            raise TypeError(f"the function for extended cards gave {type(card).__name__}, not an AgentCard or None")
        return self._finished(card)

    def _finished(self, card: AgentCard) -> bytes:
        """Held to the specification, made true and signed; CardError says what is wrong with it."""
        public = self._public
        if more := set(input_modes(card)) - set(input_modes(public)):
            raise CardError(
                f"the extended card of {public.name!r} takes {', '.join(sorted(more))}, which the public one does not"
            )
        body = card_json(
            card.model_copy(
                update={
                    "supported_interfaces": public.supported_interfaces,
                    "capabilities": public.capabilities,
                    "security_schemes": public.security_schemes,
                    "security_requirements": public.security_requirements,
                    "signatures": None,
                }
            )
        )
        card_from_json(body, source=f"the extended card of {public.name!r}")
        plain = json_bytes(body)
        return plain if self._signer is None else self._once(plain, body, self._signer)

    def _once(self, plain: bytes, body: dict[str, JSONValue], signer: Signer) -> bytes:
        """The same words get the same signature while they are remembered, and so the same entity tag."""
        found = self._signed.pop(plain, None) or json_bytes(signer(body))
        self._signed[plain] = found
        if len(self._signed) > REMEMBERED:
            self._signed.popitem(last=False)
        return found
