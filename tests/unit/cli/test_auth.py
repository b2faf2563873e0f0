"""`a2a-bridge auth key`, and what `[auth]` of the settings file becomes."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.auth_settings import AuthSettings
from a2a_bridge.cli.callers import auth_of
from a2a_bridge.config import load_config
from a2a_bridge.errors import ConfigError
from a2a_bridge.server.auth import Auth, Tokens
from a2a_bridge.server.identity import ApiKeys, Basic, Certificates, Key, digest_of

SECRET = "a-secret-of-this-test-file"


def test_a_key_and_its_digest_belong_together(shell: Any) -> None:
    """Standard output is the key alone, for a pipe; the line for the file is on standard error."""
    made = shell("auth", "key", "ann")
    assert made.code == 0
    key = made.out.strip()
    line = re.search(r"\{.*\}", made.err)
    assert line is not None
    said = tomllib.loads(f"key = {line.group()}")["key"]
    assert said == {"principal": "ann", "digest": digest_of(key)}
    assert key not in made.err
    assert shell("auth", "key", "ann").out.strip() != key
    assert Key(said["principal"], said["digest"]).identity.principal == "ann"


def written(folder: Path, text: str) -> Path:
    file = folder / "a2a-bridge.toml"
    file.write_text(text)
    return file


SCHEMES = """
[auth]
require = [{ key = ["read"] }, { sso = [] }]
trusted_proxies = ["10.0.0.0/8"]
[auth.schemes.key]
kind = "api_key"
keys = [{ principal = "ann", secret = "${ANN}", tenants = ["blue"], scopes = ["read"] }]
[auth.schemes.door]
kind = "basic"
keys = [{ principal = "bob", digest = "DIGEST" }]
[auth.schemes.sso]
kind = "jwt"
issuer = "https://login.example.org"
audience = "us"
jwks_url = "https://login.example.org/jwks"
algorithms = ["ES256"]
[auth.schemes.cert]
kind = "mtls"
header = "X-Cert"
proxies = ["10.0.0.1"]
principals = ["ann"]
""".replace("DIGEST", digest_of(SECRET))
TOLD = 'token_url = "https://login.example.org/token"\nscopes = { read = "Reads.", write = "Writes." }'


def test_every_kind_of_scheme_can_be_said_in_the_file(tmp_path: Path) -> None:
    settings = load_config(written(tmp_path, SCHEMES), {"ANN": SECRET})
    auth = auth_of(settings.auth)
    kinds = {name: type(scheme) for name, scheme in auth.schemes.items()}
    assert kinds == {"key": ApiKeys, "door": Basic, "sso": Tokens, "cert": Certificates}
    assert auth.alternatives == ((("key", frozenset({"read"})),), (("sso", frozenset()),))
    assert len(auth.trusted_proxies) == 1
    assert SECRET not in repr(settings)


def test_the_environment_says_in_so_many_words_that_anybody_may_call() -> None:
    """For containers."""
    found = load_config(None, {"A2A_BRIDGE_AUTH__ALLOW_ANONYMOUS": "true", "A2A_BRIDGE_AUTH__TENANTS": "a, b"})
    assert auth_of(found.auth) == Auth(allow_anonymous=True, tenants=("a", "b"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"${ANN}"', f'"{SECRET}"'), "auth.schemes.key.keys[0].secret: a secret must not stand in the file"),
        (('"${ANN}"', '"x${ANN}"'), "a secret must not stand in the file"),
        (('secret = "${ANN}",', ""), "auth.schemes.key.keys[0]: needs either digest or secret"),
        (
            ('kind = "basic"', 'kind = "password"'),
            'auth.schemes.door.kind: must be "api_key", "basic", "jwt" or "mtls"',
        ),
        (("audience", "audiense"), 'auth.schemes.sso.audiense: there is no such setting. Did you mean "audience"?'),
        (("tenants =", "tenant ="), 'keys[0].tenant: there is no such setting. Did you mean "tenants"?'),
        (("trusted_proxies", "trusted_proxys"), 'Did you mean "trusted_proxies"?'),
        (('"10.0.0.0/8"', '"ten"'), "auth.trusted_proxies: 'ten'"),
        (("https://login.example.org/jwks", "http://login.example.org/jwks"), "auth.schemes.sso: 'http://login"),
        (("ES256", "HS256"), "auth.schemes.sso: algorithms: HS256 cannot sign tokens"),
        (('header = "X-Cert"\n', ""), "auth.schemes.cert: certificates: header and proxies go together"),
        (("sha256:", "md5:"), "auth.schemes.door: the digest of bob's key must be"),
        (
            ('key = ["read"]', 'key = ["raed"]'),
            'require[0].key asks for the scope "raed", which no key of "key" has: read',
        ),
        (('key = ["read"]', 'key = "read"'), "auth.require[0].key: must be a list of texts"),
        (('key = ["read"]', 'key = ["read all"]'), "auth.require[0].key[0]: a scope is one word"),
        (('scopes = ["read"]', 'scopes = "read all"'), "auth.schemes.key.keys[0].scopes[0]: a scope is one word"),
        (
            ("{ sso = [] }", "{ soo = [] }"),
            'require[1] names the scheme "soo", which there is not: key, door, sso, cert',
        ),
        (
            ("{ sso = [] }", '{ cert = ["read"] }'),
            'require[1].cert asks for the scope "read", and certificates bring none',
        ),
        (('["ES256"]', '["ES256"]\nscopes = { read = "Reads." }'), "auth.schemes.sso: scopes without token_url"),
        (
            ("{ sso = [] }]", '{ sso = ["rite"] }]', 'audience = "us"', f'audience = "us"\n{TOLD}'),
            'require[1].sso asks for the scope "rite", which is not among the scopes of "sso": read, write',
        ),
    ],
)
def test_what_cannot_be_meant_is_a_sentence_without_the_secret(
    tmp_path: Path, change: tuple[str, ...], said: str
) -> None:
    text = SCHEMES
    for was, now in zip(change[::2], change[1::2], strict=True):
        text = text.replace(was, now)
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        auth_of(load_config(file, {"ANN": SECRET}).auth)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_files_of_keys_are_looked_for_beside_the_settings(tmp_path: Path) -> None:
    text = '[auth.schemes.s]\nkind = "jwt"\nissuer = "i"\naudience = "a"\njwks_file = "keys.json"\n'
    (tmp_path / "keys.json").write_text('{"keys": []}')
    settings = load_config(written(tmp_path, text + '[server.tls]\ncertfile = "c.pem"\n'), {})
    assert auth_of(settings.auth).schemes.keys() == {"s"}
    assert settings.server.tls is not None
    assert settings.server.tls.certfile == tmp_path / "c.pem"
    assert settings.server.base_url == "https://127.0.0.1:8080"


def test_nothing_said_is_nobody_recognised() -> None:
    assert auth_of(AuthSettings()) == Auth()
