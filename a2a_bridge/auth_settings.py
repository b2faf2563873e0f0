"""Settings about callers: the keys, tokens and certificates by which they are known."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A table of the settings; unknown keys are errors, and errors do not show values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def listed(value: object) -> object:
    """A list as it is, a text as the list of its words between commas."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(listed)]
"""A list of texts; in the environment one text with commas."""


def from_json(value: object) -> object:
    """Tables as they are; in the environment they are one text, in JSON."""
    if isinstance(value, str):
        with suppress(ValueError):  # no table then, which is said in the usual words
            return json.loads(value)
    return value


def _one_scope(word: str) -> str:
    if not re.fullmatch(r"[!#-\[\]-~]+", word):  # RFC 6749 section 3.3
        raise ValueError('a scope is one word: printable ASCII without spaces, " and \\')
    return word


Scope = Annotated[str, AfterValidator(_one_scope)]
Scopes = Annotated[tuple[Scope, ...], BeforeValidator(listed)]
"""What callers may do, each a word as OAuth 2 has it."""


class KeySettings(Section):
    """One caller and its key: the digest of it (`a2a-bridge auth key` makes both), or the key itself from the
    environment, as `secret = "${NAME}"`. `tenants`: those that it may name; the first is meant if it names none."""

    principal: str = Field(min_length=1)
    digest: str | None = Field(default=None, repr=False)
    secret: str | None = Field(default=None, repr=False)
    tenants: Words = ("",)
    scopes: Scopes = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> "KeySettings":
        if (self.digest is None) == (self.secret is None):
            raise ValueError("needs either digest or secret")
        return self


class ApiKeySettings(Section):
    """API keys: in a header, a query parameter or a cookie called `name`."""

    kind: Literal["api_key"]
    name: str = "X-API-Key"
    location: Literal["header", "query", "cookie"] = "header"
    keys: Annotated[tuple[KeySettings, ...], BeforeValidator(from_json)] = Field(min_length=1)


class BasicSettings(Section):
    """HTTP basic: `principal` is the user name."""

    kind: Literal["basic"]
    keys: Annotated[tuple[KeySettings, ...], BeforeValidator(from_json)] = Field(min_length=1)


class TokenSettings(Section):
    """JWTs as bearer tokens; `a2a_bridge.server.auth.Tokens` tells what each setting means. `discovery_url` makes it
    OpenID Connect in the card, `token_url` OAuth 2 client credentials, for which the card also tells the `scopes` that
    there are, each with its description; `require` of [auth] says which of them a token must bring."""

    kind: Literal["jwt"]
    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    jwks_url: str | None = None
    jwks_file: Path | None = None
    discovery_url: str | None = None
    algorithms: Words | None = None
    token_url: str | None = None
    scopes: Annotated[Mapping[Scope, str], BeforeValidator(from_json)] = Field(default_factory=dict)
    principal_claim: str = "sub"
    tenant_claim: str | None = None

    @model_validator(mode="after")
    def _only_what_is_used(self) -> "TokenSettings":
        if self.scopes and self.token_url is None:
            raise ValueError(
                "scopes without token_url are told to nobody: set token_url, or leave scopes out and name in"
                " [auth] require what a token must bring"
            )
        return self


class CertificateSettings(Section):
    """Client certificates, checked by [server.tls], or by a proxy that names them in `header` and has one of the
    addresses in `proxies`. `principals`: who may call; everybody with a good certificate if not given."""

    kind: Literal["mtls"]
    header: str | None = None
    proxies: Words = ()
    principals: Words | None = None


SchemeSettings = Annotated[
    ApiKeySettings | BasicSettings | TokenSettings | CertificateSettings, Field(discriminator="kind")
]


class AuthSettings(Section):
    """Who may call. `require`: alternatives, each a table of schemes that are needed together and the scopes that each
    must bring, [] for none; any one scheme if not given. A scope that nobody can bring is refused. `allow_anonymous`:
    anybody who reaches the server. `tenants`: those that such callers may name. `trusted_proxies`: addresses whose
    X-Forwarded-For is believed."""

    allow_anonymous: bool = False
    tenants: Words = ("",)
    trusted_proxies: Words = ()
    require: Annotated[tuple[Mapping[str, tuple[Scope, ...]], ...] | None, BeforeValidator(from_json)] = None
    schemes: Mapping[str, SchemeSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_met(self) -> "AuthSettings":
        for index, alternative in enumerate(self.require or ()):
            for name, scopes in alternative.items():
                if name not in self.schemes:
                    known = ", ".join(self.schemes) or "none at all"
                    raise ValueError(f'require[{index}] names the scheme "{name}", which there is not: {known}')
                for scope in scopes:
                    if said := _never_brought(name, self.schemes[name], scope):
                        raise ValueError(f'require[{index}].{name} asks for the scope "{scope}", {said}')
        return self


def _never_brought(name: str, scheme: SchemeSettings, scope: str) -> str | None:
    """Why no caller can bring this scope, or None: then one may."""
    if isinstance(scheme, CertificateSettings):
        return "and certificates bring none"
    if isinstance(scheme, TokenSettings):
        if not scheme.scopes or scope in scheme.scopes:
            return None
        return f'which is not among the scopes of "{name}": {", ".join(sorted(scheme.scopes))}'
    given = {word for key in scheme.keys for word in key.scopes}
    return None if scope in given else f'which no key of "{name}" has: {", ".join(sorted(given)) or "they have none"}'
