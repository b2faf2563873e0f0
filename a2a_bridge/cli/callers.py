"""Who may call, as the settings say it: `[auth]` of `a2a-bridge.toml` becomes `Auth`."""

from collections.abc import Iterable

from a2a_bridge.auth_settings import (
    ApiKeySettings,
    AuthSettings,
    BasicSettings,
    CertificateSettings,
    KeySettings,
    TokenSettings,
)
from a2a_bridge.errors import ConfigError
from a2a_bridge.server.auth import ALGORITHMS, Auth, Claims, Issuer, Tokens
from a2a_bridge.server.identity import ApiKeys, Basic, Certificates, Identity, Key, Scheme, networks


def auth_of(settings: AuthSettings) -> Auth:
    """The `Auth` of a served process. ConfigError names the setting that cannot work."""
    schemes: dict[str, Scheme] = {}
    for name, said in settings.schemes.items():
        try:
            schemes[name] = _scheme(said)
        except (ValueError, ConfigError) as error:
            raise ConfigError(f"auth.schemes.{name}: {error}") from None
    try:
        proxies = networks(settings.trusted_proxies)
    except ValueError as error:
        raise ConfigError(f"auth.trusted_proxies: {error}") from None
    return Auth(
        schemes=schemes,
        require=settings.require,
        allow_anonymous=settings.allow_anonymous,
        tenants=settings.tenants,
        trusted_proxies=proxies,
    )


def _scheme(said: ApiKeySettings | BasicSettings | TokenSettings | CertificateSettings) -> Scheme:
    if isinstance(said, ApiKeySettings):
        return ApiKeys(_keys(said.keys), name=said.name, location=said.location)
    if isinstance(said, BasicSettings):
        return Basic(_keys(said.keys))
    if isinstance(said, CertificateSettings):
        names = None
        if said.principals is not None:
            names = {name: Identity(f"cert:{name}") for name in said.principals}
        return Certificates(names=names, header=said.header, proxies=said.proxies)
    return Tokens(
        Issuer(said.issuer, said.jwks_url, said.jwks_file, said.discovery_url),
        said.audience,
        algorithms=ALGORITHMS if said.algorithms is None else said.algorithms,
        claims=Claims(principal=said.principal_claim, tenants=said.tenant_claim),
        token_url=said.token_url,
        scopes=said.scopes,
    )


def _keys(keys: Iterable[KeySettings]) -> list[Key]:
    return [
        Key.of(key.principal, key.secret, tenants=key.tenants, scopes=key.scopes)
        if key.secret is not None
        else Key(key.principal, key.digest or "", key.tenants, frozenset(key.scopes))
        for key in keys
    ]
