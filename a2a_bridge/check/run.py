"""Asking all cases of one agent, and what came of it.

Concurrency: one request at a time, in the task of whoever calls `check_agent`; nothing runs behind it. The whole is
bound by one deadline, each request by a shorter one; what there is no time left for is told as such.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from a2a_bridge.check import of_cards, of_envelopes, of_old, of_operations, of_rest, of_streams
from a2a_bridge.check.case import Case, Cases, Failed, NotApplicable, Verdict
from a2a_bridge.check.line import MAX_ANSWER, Line
from a2a_bridge.check.of_operations import NOBODY
from a2a_bridge.client.auth import Auth, Keyring
from a2a_bridge.client.endpoint import Endpoint
from a2a_bridge.client.interface import ANY, OLD_VERSION, Wanted, choose_interface, dialect_of
from a2a_bridge.client.resolve import card_url, fetch_card
from a2a_bridge.errors import BridgeError, ClientError, ConnectionFailedError, RemoteTimeoutError
from a2a_bridge.net import ClientCertificate, Deadline, Http, Timeouts, shared, shown
from a2a_bridge.protocol.card import AgentCard, AgentInterface

TEXT = "ping"
WEBHOOK = "https://example.com/a2a-check"
_CARD = "CARD"
_MODULES: tuple[Cases, ...] = (
    of_envelopes.CASES,
    of_operations.CASES,
    of_streams.CASES,
    of_rest.CASES,
    of_old.CASES,
    of_old.RPC,
    of_old.REST,
)
CARD_CASES: tuple[Case, ...] = tuple(of_cards.CASES.found)
CASES: tuple[Case, ...] = tuple(case for module in _MODULES for case in module.found)
"""The cases of interfaces, in the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one case on one interface: `where` is its binding and version, or CARD."""

    case: Case
    where: str
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """How an agent is asked. `text` is said to it three times per interface: it should be harmless and cheap to answer.

    `headers` go with every request but those that are to be refused for lack of credentials.
    `webhook` is an address that a server accepts for a task which has ended, so that nothing is sent there. `total`
    bounds the whole in seconds, `each` one request.
    """

    url: str
    auth: Auth | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    wanted: Wanted = ANY
    allow_other_origin: bool = False
    text: str = TEXT
    webhook: str = WEBHOOK
    total: float = 120.0
    each: float = 30.0

    @property
    def timeouts(self) -> Timeouts:
        """For one request."""
        return Timeouts(connect=min(5.0, self.each), first_byte=self.each, idle=self.each, total=self.each)


async def check_agent(probe: Probe) -> AsyncGenerator[Finding, None]:
    """Every finding as it is made: about the card first, then interface by interface.

    CardError and ClientError when there is no card to begin with, or no interface that is wanted and spoken;
    ConnectionFailedError, with its status, when an interface wants other credentials: nothing could be learned there.
    """
    deadline = Deadline(probe.total)
    about_card, lines = await _lines(probe, deadline)
    for line in lines:
        await _check_known(line, probe, deadline)
    for line, cases in [(about_card, CARD_CASES), *((line, CASES) for line in lines)]:
        where = _CARD if line is about_card else f"{line.binding} {line.version}"
        for case in cases:
            if case.suits(line.binding, line.version):
                yield await _asked(case, line, where, probe, deadline)


async def _check_known(line: Line, probe: Probe, whole: Deadline) -> None:
    line.deadline = Deadline(whole.cut(probe.each))
    try:
        reply = await line.ask("GetTask", {"id": NOBODY})
    except (BridgeError, NotApplicable):
        return  # what is wrong is for the cases to find
    if reply.status == 401:
        schemes = ", ".join(line.card.security_schemes or ()) or "none"
        raise ConnectionFailedError(
            f"{shown(line.endpoint.url)} answered HTTP 401: it wants credentials (schemes in its card: {schemes})",
            status=401,
        )


async def _asked(case: Case, line: Line, where: str, probe: Probe, whole: Deadline) -> Finding:
    if whole.is_over:
        return Finding(case, where, Verdict.NOT_ASKED, "there was no time left")
    line.deadline = Deadline(whole.cut(probe.each))
    try:
        async with asyncio.timeout(whole.cut(probe.each * 2)):
            await case.run(line)
    except NotApplicable as found:
        return Finding(case, where, Verdict.NOT_APPLICABLE, str(found))
    except Failed as found:
        return Finding(case, where, Verdict.FAILED, str(found))
    except (TimeoutError, RemoteTimeoutError):
        return Finding(case, where, Verdict.FAILED, "no answer in time")
    except BridgeError as error:
        return Finding(case, where, Verdict.FAILED, error.message)
    # What a server sends is read as it comes: a case may stumble over a shape that nobody has thought of.
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return Finding(case, where, Verdict.FAILED, f"the answer cannot be read ({type(error).__name__}: {error})")
    return Finding(case, where, Verdict.OK)


async def _lines(probe: Probe, deadline: Deadline) -> tuple[Line, list[Line]]:
    timeouts = probe.timeouts
    keyring = Keyring(probe.auth, shared, timeouts, any_origin=probe.allow_other_origin)

    shown_there = keyring.certificate
    trusted = None if shown_there is None or shown_there.ca is None else ClientCertificate(ca=shown_there.ca)

    async def http() -> Http:
        return await shared(shown_there)

    async def as_stranger() -> Http:
        return await shared(trusted)

    address = card_url(probe.url)
    card, offered = await _card(probe, keyring, http, address)

    def line(url: str, binding: str, version: str, tenant: str | None = None) -> Line:
        def endpoint(*, known: bool) -> Endpoint:
            signer, way = (keyring.signer(card, url), http) if known else (None, as_stranger)
            headers = probe.headers if known else {}
            return Endpoint(url, way, headers=headers, timeouts=timeouts, max_answer_bytes=MAX_ANSWER, signer=signer)

        return Line(
            binding=binding,
            version=version,
            card=card,
            endpoint=endpoint(known=True),
            stranger=endpoint(known=False),
            deadline=deadline,
            text=probe.text,
            webhook=probe.webhook,
            tenant=tenant or None,
            extensions=_required(card),
            needs_certificate=shown_there is not None and shown_there.cert is not None,
        )

    lines = [
        line(entry.url, entry.protocol_binding.upper(), dialect_of(entry.protocol_version) or "1.0", entry.tenant)
        for entry in _chosen(offered, card, address, probe)
    ]
    for one in lines:
        one.others = tuple(other for other in lines if other is not one)
    return line(address, _CARD, "1.0"), lines


async def _card(
    probe: Probe, keyring: Keyring, http: Callable[[], Awaitable[Http]], address: str
) -> tuple[AgentCard, list[AgentInterface]]:
    """The card of 1.0, and the interfaces of the cards of all versions: servers may have one for each."""
    headers = dict(probe.headers)
    try:
        card = (await fetch_card(await http(), address, headers=headers, timeouts=probe.timeouts)).card
    except ClientError:
        if not keyring.given:
            raise
        headers |= await keyring.for_card(Deadline(probe.each))
        card = (await fetch_card(await http(), address, headers=headers, timeouts=probe.timeouts)).card
    offered = list(card.supported_interfaces)
    with contextlib.suppress(BridgeError):
        asked = {**headers, "a2a-version": OLD_VERSION}
        older = (await fetch_card(await http(), address, headers=asked, timeouts=probe.timeouts)).card
        known = {_kind(entry) for entry in offered}
        offered += [entry for entry in older.supported_interfaces if _kind(entry) not in known]
    return card, offered


def _kind(entry: AgentInterface) -> tuple[str, str | None]:
    return entry.protocol_binding.upper(), dialect_of(entry.protocol_version)


def _chosen(offered: list[AgentInterface], card: AgentCard, address: str, probe: Probe) -> list[AgentInterface]:
    """Every interface that is spoken and wanted; CardError when there is none, or one is on another origin."""
    found = []
    for entry in [entry for entry in offered if probe.wanted.accepts(entry)] or offered:
        alone = card.model_copy(update={"supported_interfaces": (entry,)})
        allow = probe.allow_other_origin
        found.append(choose_interface(alone, address, wanted=probe.wanted, allow_other_origin=allow))
    return list(dict.fromkeys(found))


def _required(card: AgentCard) -> str | None:
    """The extensions that the card requires, as a header names them."""
    return ", ".join(found.uri for found in card.capabilities.extensions or () if found.required) or None
