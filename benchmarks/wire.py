"""Workloads over HTTP: W1 one request and its answer, W2 a stream of 200 chunks, W7 both on SQLite.

All servers run at the same time, pinned to one core, and each round loads them one after the other, so that whatever
else the machine does meets them alike. Every request has a message id of its own: a repeated one would be answered
from memory.
"""

import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.processes import Process, free_port

LIMIT, MEMORY, REST, GUARDED, SQLITE, SDK = "limit", "memory", "rest", "guarded", "sqlite", "sdk"
SERVERS = (LIMIT, MEMORY, REST, GUARDED, SQLITE, SDK)
"""REST is the server MEMORY, called over HTTP+JSON; GUARDED is like it, with authentication and limits switched on."""
KEY = "the-key-of-the-benchmark"
AGENTS = {"w1": "answer", "w2": "chunks", "w2w": "waits"}
"""Which agent a workload talks to."""
WARM_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Cell:
    """One server under one workload at one concurrency in one round."""

    workload: str
    workers: int
    server: str
    round: int
    load: load.Load

    @property
    def units(self) -> int:
        """Requests of W1, events of W2."""
        return self.load.requests if self.workload == "w1" else self.load.events

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the server for each request or event."""
        return self.load.cpu / self.units * 1e6

    @property
    def wall_us(self) -> float:
        """Wall microseconds for each request or event, of all workers together."""
        return self.load.wall / self.units * 1e6


class Server:
    """A running server and the port that it listens on."""

    def __init__(self, name: str, process: Process, port: int) -> None:
        self.name = name
        self.process = process
        self.port = port


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: workloads, concurrencies, servers, rounds, and seconds for each measurement, which is taken in
    slices, one server after the other, so that a disturbance of a second does not meet one server alone."""

    workloads: Sequence[str] = ("w1", "w2", "w2w")
    workers: Sequence[int] = (1, 16)
    servers: Sequence[str] = SERVERS
    rounds: int = 3
    seconds: float = 1.0
    slices: int = 4


def requests(port: int, agent: str, *, stream: bool, rest: bool = False, keyed: bool = False) -> Callable[[], bytes]:
    """Gives request after request, each with an id of its own; `keyed`: with a key that says who calls."""
    method = "SendStreamingMessage" if stream else "SendMessage"
    route = ("message:stream" if stream else "message:send") if rest else ""
    credentials = f"x-api-key: {KEY}\r\n" if keyed else ""
    head = (
        f"POST /{agent}/{route} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"{credentials}a2a-version: 1.0\r\naccept: application/json, text/event-stream\r\ncontent-length: "
    ).encode()
    # Ids of their own: the same message over the other binding would be a repetition.
    before = b'{"message":{"messageId":"%b-' % (b"c7e23ec2" if rest else b"b7e23ec2")
    after = b'-4d52-9a6f","role":"ROLE_USER","parts":[{"text":"A question of a few words, as users ask them"}]}}'
    if not rest:
        before, after = f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":'.encode() + before, after + b"}"
    counter = itertools.count()

    def make() -> bytes:
        # Ids of real clients are in no order, and a store feels it.
        body = b"%b%012x%b" % (before, next(counter) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFF, after)
        return b"%b%d\r\n\r\n%b" % (head, len(body), body)

    return make


@contextlib.asynccontextmanager
async def running(names: Sequence[str]) -> AsyncIterator[list[Server]]:
    """Start these servers; the limit learns from ours what to send, so ours is always there."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="a2a-benchmark-")))
        found = {}
        for name in sorted({MEMORY, *names}, key=lambda name: name != MEMORY):
            if name == REST:
                found[name] = Server(name, found[MEMORY].process, found[MEMORY].port)
                continue
            port = free_port()
            arguments = {MEMORY: ("ours", str(port), "memory"), SDK: ("sdk", str(port))}
            arguments[GUARDED] = ("ours", str(port), "memory", KEY)
            arguments[SQLITE] = ("ours", str(port), str(folder / "tasks.sqlite"))
            arguments[LIMIT] = ("limit", str(port), str(folder))
            process = stack.enter_context(Process(*arguments[name]))
            process.wait_for_port(port)
            found[name] = Server(name, process, port)
            if name == MEMORY:
                await _record(port, folder)
        yield [found[name] for name in names]


async def _record(port: int, folder: Path) -> None:
    for name, agent, stream in (("answer", "answer", False), ("stream", "chunks", True)):
        # The id that a warmed-up server would never see again: the recording must not be a repetition later on.
        request = requests(port, agent, stream=stream)().replace(b"b7e23ec2", b"00000000")
        (folder / name).write_bytes(await load.once(port, request))


async def measure(plan: Plan, tell: Callable[[str], None]) -> list[Cell]:
    """Run the plan; `tell` hears what is being done."""
    async with running(plan.servers) as servers:
        make = {
            (server.name, workload): requests(
                server.port,
                AGENTS[workload],
                stream=workload != "w1",
                rest=server.name == REST,
                keyed=server.name == GUARDED,
            )
            for server in servers
            for workload in plan.workloads
        }
        cells = []
        for number, workload, workers in _order(plan):
            tell(f"{workload} c={workers} " + (f"round {number}" if number else "warm-up"))
            taken = {server.name: load.Load() for server in servers}
            for server in [*servers] * (plan.slices if number else 1):
                found = await load.run(
                    server.port,
                    make[server.name, workload],
                    workers=workers,
                    seconds=plan.seconds / plan.slices if number else WARM_SECONDS,
                    stream=workload != "w1",
                    cpu=server.process.cpu,
                )
                taken[server.name].add(found)
            if number:
                cells += [Cell(workload, workers, name, number, found) for name, found in taken.items()]
        return cells


def _order(plan: Plan) -> Iterator[tuple[int, str, int]]:
    """Round 0 warms up: every workload once, at the lowest concurrency."""
    for workload in plan.workloads:
        yield 0, workload, min(plan.workers)
    for number in range(1, plan.rounds + 1):
        for workload in plan.workloads:
            for workers in plan.workers:
                yield number, workload, workers
