"""Security schemes and requirements of an agent card (A2A 1.0.1 §4.5)."""

from collections.abc import Mapping

from pydantic import Field, StrictBool

from a2a_bridge.protocol.objects import WireObject


class APIKeySecurityScheme(WireObject):
    """A key in a header, a query parameter or a cookie."""

    location: str
    name: str
    description: str | None = None


class HTTPAuthSecurityScheme(WireObject):
    """A scheme of the HTTP Authorization header, such as Bearer."""

    scheme: str
    bearer_format: str | None = None
    description: str | None = None


class AuthorizationCodeOAuthFlow(WireObject):
    """OAuth 2 authorization code flow."""

    authorization_url: str
    token_url: str
    refresh_url: str | None = None
    scopes: Mapping[str, str] = Field(default_factory=dict)
    pkce_required: StrictBool = False


class ClientCredentialsOAuthFlow(WireObject):
    """OAuth 2 client credentials flow."""

    token_url: str
    refresh_url: str | None = None
    scopes: Mapping[str, str] = Field(default_factory=dict)


class DeviceCodeOAuthFlow(WireObject):
    """OAuth 2 device code flow."""

    device_authorization_url: str
    token_url: str
    refresh_url: str | None = None
    scopes: Mapping[str, str] = Field(default_factory=dict)


class ImplicitOAuthFlow(WireObject):
    """OAuth 2 implicit flow: deprecated, read and never offered."""

    authorization_url: str | None = None
    refresh_url: str | None = None
    scopes: Mapping[str, str] = Field(default_factory=dict)


class PasswordOAuthFlow(WireObject):
    """OAuth 2 password flow: deprecated, read and never offered."""

    token_url: str | None = None
    refresh_url: str | None = None
    scopes: Mapping[str, str] = Field(default_factory=dict)


class OAuthFlows(WireObject):
    """The one flow of an OAuth 2 scheme."""

    authorization_code: AuthorizationCodeOAuthFlow | None = None
    client_credentials: ClientCredentialsOAuthFlow | None = None
    device_code: DeviceCodeOAuthFlow | None = None
    implicit: ImplicitOAuthFlow | None = None
    password: PasswordOAuthFlow | None = None


class OAuth2SecurityScheme(WireObject):
    """OAuth 2."""

    flows: OAuthFlows
    oauth2_metadata_url: str | None = Field(default=None, alias="oauth2MetadataUrl")
    description: str | None = None


class OpenIdConnectSecurityScheme(WireObject):
    """OpenID Connect discovery."""

    open_id_connect_url: str
    description: str | None = None


class MutualTlsSecurityScheme(WireObject):
    """The client shows a certificate."""

    description: str | None = None


class SecurityScheme(WireObject):
    """One way to authenticate: exactly one member is set, and its name is the kind."""

    api_key_security_scheme: APIKeySecurityScheme | None = None
    http_auth_security_scheme: HTTPAuthSecurityScheme | None = None
    oauth2_security_scheme: OAuth2SecurityScheme | None = Field(default=None, alias="oauth2SecurityScheme")
    open_id_connect_security_scheme: OpenIdConnectSecurityScheme | None = None
    mtls_security_scheme: MutualTlsSecurityScheme | None = None


class ScopeList(WireObject):
    """The scopes that one scheme of a requirement needs."""

    list: tuple[str, ...] = ()


class SecurityRequirement(WireObject):
    """Schemes that are needed together; a list of requirements offers alternatives."""

    schemes: Mapping[str, ScopeList] = Field(default_factory=dict)
