"""The Docker Engine API, as much of it as runs one container, over its unix socket. Blocking: for a thread.

Podman speaks the same API. The attached stream carries stdin in one direction and, in frames of an 8 byte header,
stdout and stderr in the other.
"""

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO
from urllib.parse import quote

from a2a_bridge.errors import CodeExecutionError

_NEWEST = (1, 52)
"""The newest version of the API that is spoken. An engine says which is its own; the older of the two is used, because
engines refuse versions that are too old for them (Docker 29: below 1.44) and those that they do not know yet."""
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})")
_STDOUT, _STDERR = 1, 2


class Engine:
    """One engine at one socket. `timeout`: seconds for any single answer but the attached stream."""

    def __init__(self, path: str, timeout: float = 30.0) -> None:
        self._path = path
        self._timeout = timeout
        self._prefix: str | None = None

    def ping(self) -> None:
        """Agree on a version of the API. CodeExecutionError if nobody answers, or another program does."""
        _, headers, _ = self._ask("GET", "/_ping", None, (200,), self._timeout)
        said = _VERSION.fullmatch(headers.get("Api-Version") or "")
        if said is None:
            raise CodeExecutionError(f"what answers at {self._path} is no Docker engine: it names no version of an API")
        major, minor = min(_NEWEST, (int(said[1]), int(said[2])))
        self._prefix = f"/v{major}.{minor}"

    @property
    def _api(self) -> str:
        if self._prefix is None:
            self.ping()
        assert self._prefix is not None
        return self._prefix

    def create(self, body: dict[str, Any]) -> str:
        """A container that does not run yet; its id."""
        status, answer = self._call("POST", "/containers/create", body, (201, 404, 400, 409, 500))
        if status == 404:
            image = body["Image"]
            raise CodeExecutionError(f"Docker has no image {image!r} here, and none is fetched: docker pull {image}")
        if status != 201:
            raise CodeExecutionError(f"Docker does not make a container: {answer.get('message', status)}")
        return str(answer["Id"])

    def start(self, container: str) -> None:
        """Run it."""
        status, answer = self._call("POST", f"/containers/{quote(container)}/start", None, (204, 304, 400, 404, 500))
        if status not in (204, 304):
            raise CodeExecutionError(f"Docker does not start the container: {answer.get('message', status)}")

    def wait(self, container: str, deadline: float) -> bool:
        """Wait until it has ended: its streams may end first, and its state says nothing true before. False if it has
        not by then."""
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            self._call("POST", f"/containers/{quote(container)}/wait", None, (200,), left)
        except CodeExecutionError:
            if time.monotonic() < deadline:
                raise
            return False
        return True

    def state(self, container: str) -> dict[str, Any]:
        """Whether it runs, its exit code, and whether it ran out of memory."""
        _, answer = self._call("GET", f"/containers/{quote(container)}/json", None, (200,))
        found: dict[str, Any] = answer["State"]
        return found

    def kill(self, container: str) -> None:
        """All its processes; one that has ended is no error."""
        self._call("POST", f"/containers/{quote(container)}/kill", None, (204, 404, 409))

    def remove(self, container: str) -> None:
        """The container with what it has written, running or not."""
        self._call("DELETE", f"/containers/{quote(container)}?force=1&v=1", None, (204, 404, 409))

    def attach(self, container: str, deadline: float) -> "Attached":
        """Its streams, to be opened before it is started."""
        path = f"{self._api}/containers/{quote(container)}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        sock = self._connect(self._timeout)
        file = sock.makefile("rb")
        try:
            sock.sendall(
                f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                "Content-Length: 0\r\n\r\n".encode()
            )
            line = file.readline(1024).split()
            http.client.parse_headers(file)
        except (OSError, http.client.HTTPException) as error:
            line = [repr(error).encode()]
        if len(line) < 2 or line[1] not in (b"101", b"200"):
            file.close()
            sock.close()
            raise CodeExecutionError(f"Docker does not attach to the container: {line!r}")
        return Attached(sock, file, deadline)

    def _connect(self, timeout: float) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(self._path)
        except OSError as error:
            sock.close()
            raise CodeExecutionError(
                f"no Docker engine answers at {self._path} ({error.strerror or error}), so no code is run: start it,"
                " set DOCKER_HOST=unix:///path, or use BubblewrapExecutor"
            ) from None
        return sock

    def _call(
        self, method: str, path: str, body: Any, expected: tuple[int, ...], timeout: float | None = None
    ) -> tuple[int, dict[str, Any]]:
        status, _, found = self._ask(method, f"{self._api}{path}", body, expected, timeout or self._timeout)
        return status, found

    def _ask(
        self, method: str, path: str, body: Any, expected: tuple[int, ...], timeout: float
    ) -> tuple[int, http.client.HTTPMessage, dict[str, Any]]:
        connection = http.client.HTTPConnection("docker", timeout=timeout)
        connection.sock = self._connect(timeout)
        try:
            data = None if body is None else json.dumps(body).encode()
            headers = {"Connection": "close"} | ({"Content-Type": "application/json"} if data else {})
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            said = answer.read(4 * 1024 * 1024)
        except (OSError, http.client.HTTPException) as error:
            raise CodeExecutionError(f"the Docker engine at {self._path} does not answer: {error!r}") from None
        finally:
            connection.close()
        try:
            found = json.loads(said) if said[:1] == b"{" else {}
        except ValueError:
            found = {}
        if answer.status not in expected:
            raise CodeExecutionError(f"the Docker engine answered {answer.status} to {method} {path}: {found}")
        return answer.status, answer.headers, found


class Attached:
    """The streams of one container. `close` may be called from any thread: it ends a reading one."""

    def __init__(self, sock: socket.socket, file: BinaryIO, deadline: float) -> None:
        self._sock = sock
        self._file = file
        self._deadline = deadline

    def send(self, data: bytes) -> None:
        """All of stdin, and its end."""
        with suppress(BrokenPipeError, ConnectionResetError):  # the container has ended already, which its state says
            self._wait()
            self._sock.sendall(data)
            self._sock.shutdown(socket.SHUT_WR)

    def frames(self) -> Iterator[tuple[bool, bytes]]:
        """Pieces, (is it stdout, bytes), until the container has ended. TimeoutError when its time is over."""
        while True:
            header = self._read(8)
            if len(header) < 8:
                return
            left = int.from_bytes(header[4:], "big")
            while left:
                piece = self._read(min(left, 65536))
                if not piece:
                    return
                left -= len(piece)
                if header[0] in (_STDOUT, _STDERR):
                    yield header[0] == _STDOUT, piece

    def _read(self, size: int) -> bytes:
        self._wait()
        try:
            return self._file.read(size)
        except (ConnectionError, ValueError):  # ValueError: closed by `close`
            return b""

    def _wait(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close what is left, once nobody reads."""
        self.close()
        self._file.close()
        self._sock.close()
