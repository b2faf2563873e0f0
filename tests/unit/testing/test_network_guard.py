"""The network guard."""

import socket
import threading

import httpx
import pytest

from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.network_guard import network_guard


async def test_a_look_up_is_refused_and_recorded() -> None:
    """Ours: tests use loopback only."""
    with network_guard() as attempts:
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("http://telemetry.invalid/")
    assert attempts == ["telemetry.invalid"]


def test_an_address_is_refused_and_recorded_in_any_thread() -> None:
    """Ours: telemetry sends from threads of its own."""
    refused: list[str] = []

    def connect() -> None:
        with socket.socket() as outside:
            try:
                outside.connect(("192.0.2.1", 80))
            except ConnectionRefusedError as error:
                refused.append(str(error))

    with network_guard() as attempts:
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join(5)
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams, pytest.raises(ConnectionRefusedError):
            datagrams.sendto(b"x", ("192.0.2.2", 53))
    assert attempts == ["192.0.2.1:80", "192.0.2.2:53"]
    assert "network guard" in refused[0]


async def test_loopback_is_let_through() -> None:
    """Ours: the fake model is on it."""
    with network_guard() as attempts, FakeOpenAI() as model:
        for host in ("127.0.0.1", "localhost"):
            async with httpx.AsyncClient(trust_env=False) as client:
                url = model.base_url.replace("127.0.0.1", host) + "/models"
                assert (await client.get(url)).status_code == 200
    assert attempts == []


def test_after_its_block_a_guard_neither_refuses_nor_records() -> None:
    """Ours: one test's guard is not another's."""
    with network_guard() as outer:
        with network_guard() as inner, pytest.raises(socket.gaierror):
            socket.getaddrinfo("first.invalid", 80)
        with pytest.raises(socket.gaierror, match="guard"):
            socket.getaddrinfo("second.invalid", 80)
    assert (outer, inner) == (["first.invalid", "second.invalid"], ["first.invalid"])
