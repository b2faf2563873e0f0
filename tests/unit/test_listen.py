"""Where we listen, who is let in under which name, and TLS with certificates of clients."""

import asyncio
import contextlib
import datetime
import ipaddress
import resource
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from a2a_bridge.bridge import Bridge, serve
from a2a_bridge.check.case import Verdict
from a2a_bridge.check.run import Probe, check_agent
from a2a_bridge.client.client import Wanted
from a2a_bridge.connection import certificate_name
from a2a_bridge.errors import ConfigError
from a2a_bridge.listen import (
    TLS,
    Listening,
    check_bind,
    check_certificates,
    context_of,
    guarded,
    run_server,
    server_for,
    take_open_files,
)
from a2a_bridge.net import ClientCertificate, shared
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.identity import ApiKeys, Certificates, Key
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.server import free_socket
from a2a_bridge.testing.transport import AppTransport
from a2a_bridge.testing.wire import eventually, say


@pytest.fixture
def open_files() -> Iterator[Callable[[int], None]]:
    """Sets how many files this process may have open now; put back afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda few: resource.setrlimit(resource.RLIMIT_NOFILE, (few, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_server_takes_as_many_open_files_as_it_may_have(
    open_files: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: each connection is one, and a shell begins with few. What is beyond the limit is dropped without a word, so
    few are told in advance."""
    open_files(300)
    monkeypatch.setattr("a2a_bridge.listen.OPEN_FILES", 400)
    take_open_files()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 400
    assert "only 400 files may be open here" in caplog.text
    monkeypatch.undo()
    take_open_files()
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert few == (65_536 if most == resource.RLIM_INFINITY else min(most, 65_536))
    open_files(300)
    with pytest.raises(ConfigError):
        run_server(Bridge(Obedient(), store=MemoryStore()), Listening(host="0.0.0.0"))
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == few


KEYED = Auth(schemes={"key": ApiKeys([Key.of("ann", "a-key-of-this-test-file")])})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "agents.example.org", "127.0.0.1.example.org"])
def test_strangers_are_not_let_in_by_accident(host: str) -> None:
    """Issue: without authentication loopback only, unless told otherwise in so many words; the sentence has them."""
    with pytest.raises(ConfigError, match=r"allow_anonymous = true .* --allow-anonymous"):
        check_bind(host, Auth())
    check_bind(host, KEYED)
    check_bind(host, Auth(allow_anonymous=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_this_machine_is_let_in(host: str) -> None:
    check_bind(host, Auth())


def test_serve_refuses_as_well() -> None:
    """The sync edge, before anything is opened or bound."""
    with pytest.raises(ConfigError, match="nothing says who may call"):
        serve(Obedient(), host="0.0.0.0", store="memory")


async def status(app: Any, host: str | None, path: str = "/tasks") -> int:
    headers = {"a2a-version": "1.0"} | ({} if host is None else {"host": host})
    async with httpx.AsyncClient(transport=AppTransport(app), base_url="http://x") as http:
        return (await http.get(path, headers=headers)).status_code


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("localhost.", 200),
        ("[::1]:8080", 200),
        ("agents.example.org", 200),
        ("agents.example.org:443", 200),
        ("more.example.org", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:8080", 421),
        ("evil.example@127.0.0.1", 421),
        ("", 421),
        ("10.0.0.1", 421),
    ],
)
async def test_on_loopback_only_names_of_ours_are_answered(host: str, expected: int) -> None:
    """DNS rebinding: a page whose name was made to point to this machine sends that name."""
    bridge = Bridge(Obedient(), public_url="https://agents.example.org")
    app = guarded(bridge, Listening(allowed_hosts=("more.example.org",)))
    async with _open(bridge):
        assert await status(app, host) == expected
        assert await status(app, host, "/healthz") == 200
        assert await status(app, host, "/.well-known/agent-card.json") == expected


@pytest.mark.parametrize(
    ("listening", "expected"),
    [
        (Listening("0.0.0.0"), 200),
        (Listening("0.0.0.0", allowed_hosts=("agents.example.org",)), 421),
        (Listening("127.0.0.1", allowed_hosts=("*",)), 200),
    ],
)
async def test_elsewhere_names_are_checked_if_some_are_given(listening: Listening, expected: int) -> None:
    """Ours: whoever listens for others knows better under which names, and says so."""
    bridge = Bridge(Obedient(), auth=Auth(allow_anonymous=True))
    async with _open(bridge):
        assert await status(guarded(bridge, listening), "evil.example") == expected


@contextlib.asynccontextmanager
async def _open(bridge: Bridge) -> AsyncIterator[None]:
    await bridge.start()
    yield
    await bridge.stop()


# --- TLS


class Authority:
    """A certificate authority of this test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        self.file = self._write("ca", self._sign(self._name, self._key, [], is_ca=True), None)[0]

    def issue(self, name: str, *names: x509.GeneralName) -> tuple[Path, Path]:
        """Certificate and key for this common name and these alternatives."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._write(name.replace("/", "-"), self._sign(subject, key, list(names)), key)

    def _sign(self, subject: x509.Name, key: Any, names: list[x509.GeneralName], *, is_ca: bool = False) -> Any:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if is_ca:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            made = made.add_extension(usage, critical=True)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: Any, key: Any) -> tuple[Path, Path]:
        cert_file, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        if key is not None:
            pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
            key_file.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
        return cert_file, key_file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextlib.asynccontextmanager
async def asking(authority: Authority, agent: Any, *, client_required: bool) -> AsyncIterator[str]:
    """A server that asks for certificates; its URL."""
    certfile, keyfile = authority.issue("server", x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    bound = free_socket()
    port = bound.getsockname()[1]
    bound.close()
    url = f"https://127.0.0.1:{port}"
    bridge = Bridge(agent, public_url=url, auth=Auth(schemes={"c": Certificates()}))
    tls = TLS(certfile, keyfile, authority.file, client_required=client_required)
    server = server_for(bridge, Listening(port=port, tls=tls))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    yield url
    server.should_exit = True
    await running


@pytest.fixture
async def secure(authority: Authority) -> AsyncIterator[tuple[Obedient, Callable[..., Any]]]:
    """The agent of a server that asks for certificates, and a caller with a certificate or none."""
    agent = Obedient()
    async with asking(authority, agent, client_required=False) as url:

        async def call(shown: tuple[Path, Path] | None) -> int:
            context = ssl.create_default_context(cafile=str(authority.file))
            if shown is not None:
                context.load_cert_chain(*shown)
            async with httpx.AsyncClient(verify=context, base_url=url) as http:
                call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say()}
                return (await http.post("/", json=call, headers={"a2a-version": "1.0"})).status_code

        yield agent, call


@pytest.mark.parametrize("client_required", [False, True])
async def test_a_check_with_a_certificate_finds_nothing_wrong(authority: Authority, client_required: bool) -> None:
    """R-SEC-02: its stranger shows none, and is refused by an answer or already by TLS."""
    certfile, keyfile = authority.issue("ann")
    shown = ClientCertificate(str(certfile), str(keyfile), ca=str(authority.file))
    async with asking(authority, Obedient(), client_required=client_required) as url:
        probe = Probe(url, auth=shown, wanted=Wanted("JSONRPC", "1.0"))
        findings = [finding async for finding in check_agent(probe)]
        for pool in (shown, ClientCertificate(ca=shown.ca)):
            await (await shared(pool)).aclose()
    wrong = [f.case.name for f in findings if f.verdict in (Verdict.FAILED, Verdict.NOT_ASKED)]
    assert wrong == (["card-is-public"] if client_required else [])  # which is so, then
    assert "credentials-are-asked-for" in {f.case.name for f in findings if f.verdict is Verdict.OK}


async def test_a_certificate_says_who_calls(secure: Any, authority: Authority, tmp_path: Path) -> None:
    """Issue, part 5: mutual TLS by uvicorn; the URI of a certificate goes before its other names."""
    agent, call = secure
    spiffe = x509.UniformResourceIdentifier("spiffe://example.org/ann")
    assert await call(authority.issue("ann", x509.DNSName("ann.example.org"), spiffe)) == 200
    assert await call(authority.issue("bob")) == 200
    assert [turn.caller.principal for turn in agent.turns] == ["cert:spiffe://example.org/ann", "cert:bob"]
    assert await call(None) == 401
    (tmp_path / "other").mkdir()
    with pytest.raises(httpx.TransportError):  # of another authority: TLS itself refuses
        await call(Authority(tmp_path / "other").issue("ann", spiffe))
    assert len(agent.turns) == 2


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        ({"subjectAltName": (("DNS", "a"), ("URI", "spiffe://b"))}, "spiffe://b"),
        ({"subjectAltName": (("IP Address", "::1"), ("DNS", "a"))}, "a"),
        ({"subject": ((("countryName", "ZA"),), (("commonName", "c"),))}, "c"),
        ({}, ""),
    ],
)
def test_a_certificate_has_one_name(certificate: Any, name: str) -> None:
    assert certificate_name(certificate) == name


def test_tls_that_cannot_work_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whose certificates are good"):
        context_of(TLS("x", client_required=True))
    with pytest.raises(ConfigError, match=r"none\.pem cannot be used: No such file"):
        context_of(TLS(tmp_path / "none.pem"))
    certfile, keyfile = Authority(tmp_path).issue("server")
    with pytest.raises(ConfigError, match=r"tls: .*none\.key cannot be used: No such file"):
        context_of(TLS(certfile, tmp_path / "none.key"))
    with pytest.raises(ConfigError, match=r"PEM lib\. If the private key is in a file of its own, set keyfile$"):
        context_of(TLS(certfile))
    with pytest.raises(ConfigError, match=r"tls: ca_certs .*server\.key cannot be used"):
        context_of(TLS(certfile, keyfile, keyfile))
    for tls in (None, TLS(tmp_path / "none.pem")):
        bridge = Bridge(Obedient(), auth=Auth(schemes={"c": Certificates()}))
        with pytest.raises(ConfigError, match="'c' wants client certificates, and nothing here asks for them"):
            server_for(bridge, Listening(port=0, tls=tls))
    check_certificates(Auth(schemes={"c": Certificates(header="x-cert", proxies=["10.0.0.0/8"])}), None)
