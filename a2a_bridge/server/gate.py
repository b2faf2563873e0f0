"""Who comes in: what a card promises, asked of every request before its body is read (R-SEC-02, R-SEC-10).

Who does what. `admit` runs in the request's own task; the only thing it may wait for is the keys of an issuer. What
was sent is not kept and not logged: the log has the reason, the address and the names of the schemes, the answer has
the names only. A good credential is never refused because others from the same address were bad.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from starlette.types import Scope

from a2a_bridge.agent import Caller
from a2a_bridge.errors import ConfigError, TaskNotFoundError
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.security import ScopeList, SecurityRequirement, SecurityScheme
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.http import Forbidden, Refused, TooManyRequests, Unauthenticated, Unavailable, later
from a2a_bridge.server.identity import Denied, Head, Identity, address_of, peer_of
from a2a_bridge.server.jwks import KeysUnavailable
from a2a_bridge.server.limits import Buckets, Limits

_log = logging.getLogger(__name__)

KEYS_RETRY = 30
"""What Retry-After says, in seconds, while the keys of an issuer cannot be had."""

Alternatives = tuple[tuple[tuple[str, frozenset[str]], ...], ...]
"""Any one of these is enough; all schemes of one are needed together, each with its scopes."""


@dataclass(frozen=True, slots=True)
class Admitted(Caller):
    """A caller, and the tenants that it may name."""

    tenants: tuple[str, ...] = ("",)


class Gate:
    """Asks for what the cards of the agents promise, and holds callers to their rate."""

    def __init__(
        self,
        auth: Auth,
        cards: Mapping[str, AgentCard],
        limits: Limits = Limits(),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._auth = auth
        self._required = {agent: alternatives(card) for agent, card in cards.items()}
        self._requests = Buckets(limits.rate, limits.burst, clock=clock)
        self._attempts = Buckets(limits.attempts, limits.attempts_burst, clock=clock)
        self._anonymous = {agent: Identity("anonymous", _tenants(card, auth.tenants)) for agent, card in cards.items()}

    async def admit(self, scope: Scope, agent: str) -> Caller:
        """Who calls, in the tenant that is meant when none is named; `Refused` says with which status not."""
        required, found = self._required[agent], self._anonymous[agent]
        if required:
            found = await self._identify(scope, required) or found
        if found is self._anonymous[agent]:
            key = f"address {address_of(scope, self._auth.trusted_proxies)}"
        else:
            key = found.principal
        if wait := self._requests.take(key):
            raise _later(TooManyRequests("Too many requests: try again after the seconds in Retry-After."), wait)
        return Admitted(found.principal, found.tenants[0], found.scopes, found.tenants)

    def enter(self, caller: Caller, tenant: str) -> Caller:
        """The caller in this tenant; TaskNotFoundError for any that is not the caller's, whether it exists or not
        (R-TEN-04)."""
        if not isinstance(caller, Admitted) or tenant not in caller.tenants:
            raise TaskNotFoundError
        return Admitted(caller.principal, tenant, caller.scopes, caller.tenants)

    async def _identify(self, scope: Scope, required: Alternatives) -> Identity | None:
        head = Head(scope, peer_of(scope))
        seen: dict[str, Identity | None] = {}
        reasons: list[str] = []
        if len(required[0]) == 1:  # as it is nearly always: one scheme is enough
            name, scopes = required[0][0]
            identity = seen[name] = await self._ask(name, head, reasons)
            if identity is not None and scopes <= identity.scopes:
                return identity
        return await self._compared(head, required, seen, reasons)

    async def _compared(
        self, head: Head, required: Alternatives, seen: dict[str, Identity | None], reasons: list[str]
    ) -> Identity | None:
        lacking: frozenset[str] = frozenset()
        for alternative in required:
            for name, _ in alternative:
                if name not in seen:
                    seen[name] = await self._ask(name, head, reasons)
            together = [(seen[name], scopes) for name, scopes in alternative]
            who = [identity for identity, _ in together if identity is not None]
            if len(who) < len(together):
                continue
            lacking = frozenset(
                scope for found, scopes in together if found is not None for scope in scopes - found.scopes
            )
            if who and not lacking:
                return _joined(who)
            if not who and not reasons:  # nobody need say who he is, and nobody tried to
                return None
        address = address_of(head.scope, self._auth.trusted_proxies)
        told = "; ".join(reasons) or "nothing sent"
        fields = {"address": address, "schemes": ",".join(sorted(seen)), "reasons": told}
        _log.warning("a request was refused: who calls?", extra={"fields": fields})
        if lacking:
            raise self._forbidden(lacking)
        if wait := self._attempts.take(f"address {address}"):
            raise _later(TooManyRequests("Too many attempts: try again after the seconds in Retry-After."), wait)
        raise self._unauthenticated(seen, sent=bool(reasons))

    async def _ask(self, name: str, head: Head, reasons: list[str]) -> Identity | None:
        try:
            return await self._auth.schemes[name].identify(head)
        except Denied as denied:
            reasons.append(f"{name}: {denied}")
            return None
        except KeysUnavailable:
            _log.warning("scheme %s: the issuer's keys cannot be had", name)
            raise _later(Unavailable("Callers cannot be recognised at present: try again later."), KEYS_RETRY) from None

    def _unauthenticated(self, schemes: Iterable[str], *, sent: bool) -> Refused:
        """R-SEC-02: 401 names the schemes, and says no word about what was wrong."""
        challenges = [self._auth.schemes[name].challenge for name in schemes]
        told = [
            f'{challenge} error="invalid_token"' if sent and challenge == "Bearer" else challenge
            for challenge in challenges
            if challenge is not None
        ]
        headers = tuple((b"www-authenticate", each.encode("latin-1")) for each in told or ["Mutual"])
        return Refused(Unauthenticated(), headers=headers)

    def _forbidden(self, lacking: Iterable[str]) -> Refused:
        scopes = " ".join(sorted(lacking))
        challenge = f'Bearer error="insufficient_scope", scope="{scopes}"'
        return Refused(
            Forbidden(f"The credentials lack the scopes: {scopes}"),
            headers=((b"www-authenticate", challenge.encode("latin-1", "replace")),),
        )


def _tenants(card: AgentCard, more: tuple[str, ...]) -> tuple[str, ...]:
    """Those that callers may name who need not say who they are: what the card names in public, and what is given."""
    named = (interface.tenant for interface in card.supported_interfaces if interface.tenant)
    return tuple(dict.fromkeys([*more, *named]))


def _later(error: TooManyRequests | Unavailable, seconds: float) -> Refused:
    return Refused(error, headers=later(seconds))


def _joined(who: list[Identity]) -> Identity:
    """One caller of several schemes that were needed together: all of its names, the tenants that all may name."""
    if len(who) == 1:
        return who[0]
    tenants = tuple(tenant for tenant in who[0].tenants if all(tenant in each.tenants for each in who))
    scopes = frozenset().union(*(each.scopes for each in who))
    if not tenants:
        raise Refused(Forbidden("The credentials are of different tenants."))
    return Identity(" + ".join(each.principal for each in who), tenants, scopes)


# --- what cards promise


def alternatives(card: AgentCard) -> Alternatives:
    """What a card requires. () for nothing at all: one alternative that needs no scheme lets everybody in."""
    found = tuple(
        tuple((name, frozenset(needed.list)) for name, needed in requirement.schemes.items())
        for requirement in card.security_requirements or ()
    )
    # Who sends credentials is known by them, so what needs none comes last, whatever the order of the card.
    return () if not any(found) else tuple(sorted(found, key=lambda alternative: not alternative))


def secured(card: AgentCard, auth: Auth) -> AgentCard:
    """The card with what `auth` asks for, unless it says itself what its agent asks for.

    ConfigError when it promises what is not configured, or could not be enforced.
    """
    for name, promised in (card.security_schemes or {}).items():
        configured = auth.schemes.get(name)
        if configured is None or _essence(configured.card()) != _essence(promised):
            what = "no scheme of that name is configured" if configured is None else "another one is configured"
            raise ConfigError(
                f"card {card.name!r} promises the security scheme {name!r} ({_essence(promised)[0]}), but {what}:"
                f" add it to [auth.schemes.{name}], or take it out of the card"
            )
    if not card.security_requirements and auth.schemes:
        told = {name: scheme.card() for name, scheme in auth.schemes.items()} | dict(card.security_schemes or {})
        required = tuple(
            SecurityRequirement(schemes={name: ScopeList(list=tuple(sorted(scopes))) for name, scopes in each})
            for each in auth.alternatives
        )
        card = card.model_copy(update={"security_schemes": told, "security_requirements": required})
    required_here = alternatives(card)
    for name in (name for each in required_here for name, _ in each):
        if name not in auth.schemes:
            raise ConfigError(
                f"card {card.name!r} requires {name!r}, but no scheme of that name is configured: add it to"
                f" [auth.schemes.{name}], or take it out of securityRequirements"
            )
    _check_skills(card, required_here)
    return card


def _check_skills(card: AgentCard, required: Alternatives) -> None:
    """A request names no skill, so whatever a skill requires must be required of every request to the agent."""
    for skill in card.skills:
        wanted = [
            {(name, word) for name, needed in each.schemes.items() for word in ("", *needed.list)}
            for each in skill.security_requirements or ()
        ]
        for alternative in required or ((),):
            given = {(name, word) for name, scopes in alternative for word in ("", *scopes)}
            if wanted and not any(want <= given for want in wanted):
                raise ConfigError(
                    f"card {card.name!r}: skill {skill.id!r} requires more than the card does, and no request says"
                    " which skill it means: require it in securityRequirements of the card"
                )


def _essence(scheme: SecurityScheme) -> tuple[str, ...]:
    """What a client must do, without the words that describe it."""
    if (key := scheme.api_key_security_scheme) is not None:
        return ("apiKey", key.location, key.name)
    if (http := scheme.http_auth_security_scheme) is not None:
        return ("http", http.scheme.lower())
    if (oidc := scheme.open_id_connect_security_scheme) is not None:
        return ("openIdConnect", oidc.open_id_connect_url)
    if scheme.oauth2_security_scheme is not None:
        return ("oauth2",)
    return ("mtls",) if scheme.mtls_security_scheme is not None else ("unknown",)
