"""Settings about callers: the keys, tokens and certificates by which they are known."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A table of the settings; unknown keys are errors, and errors do not show values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def listed(value: object) -> object:
    """A list as it is, a text as the list of its words between commas."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(listed)]
"""A list of texts; in the environment one text with commas."""


class KeySettings(Section):
    """One caller and its key: the digest of it (`a2a-bridge auth key` makes both), or the key itself from the
    environment, as `secret = "${NAME}"`. `tenants`: those that it may name; the first is meant if it names none."""

    principal: str = Field(min_length=1)
    digest: str | None = Field(default=None, repr=False)
    secret: str | None = Field(default=None, repr=False)
    tenants: Words = ("",)
    scopes: Words = ()

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
    keys: tuple[KeySettings, ...] = Field(min_length=1)


class BasicSettings(Section):
    """HTTP basic: `principal` is the user name."""

    kind: Literal["basic"]
    keys: tuple[KeySettings, ...] = Field(min_length=1)


class TokenSettings(Section):
    """JWTs as bearer tokens; `a2a_bridge.server.auth.Tokens` tells what each setting means. `discovery_url` makes it
    OpenID Connect in the card, `token_url` OAuth 2 client credentials. `scopes` only stand in the card; `require` of
    [auth] says which a token must bring."""

    kind: Literal["jwt"]
    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    jwks_url: str | None = None
    jwks_file: Path | None = None
    discovery_url: str | None = None
    algorithms: Words | None = None
    token_url: str | None = None
    scopes: Mapping[str, str] = Field(default_factory=dict)
    principal_claim: str = "sub"
    tenant_claim: str | None = None


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
SCHEMES: Mapping[str, type[BaseModel]] = {
    "api_key": ApiKeySettings, "basic": BasicSettings, "jwt": TokenSettings, "mtls": CertificateSettings,
}  # fmt: skip


class AuthSettings(Section):
    """Who may call. `require`: alternatives, each a table of schemes that are needed together and the scopes of each;
    any one scheme if not given. `allow_anonymous`: anybody who reaches the server. `tenants`: those that such callers
    may name. `trusted_proxies`: addresses whose X-Forwarded-For is believed."""

    allow_anonymous: bool = False
    tenants: Words = ("",)
    trusted_proxies: Words = ()
    require: tuple[Mapping[str, tuple[str, ...]], ...] | None = None
    schemes: Mapping[str, SchemeSettings] = Field(default_factory=dict)
