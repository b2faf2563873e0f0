"""DockerExecutor with a real engine: collected where A2A_BRIDGE_DOCKER=1 says that there is one, with the image."""

from a2a_bridge.chat.execution.contract import CodeBlock, Limits
from a2a_bridge.chat.execution.docker import DockerExecutor


async def test_a_real_engine_runs_code_behind_the_same_walls() -> None:
    """Issue 4: where an engine is, for real."""
    executor = DockerExecutor(limits=Limits(timeout=20, disk_mb=8))
    code = (
        "import os, socket\nopen('out', 'w').write(open('in').read())\nprint(os.getuid(), os.listdir('/work'))\n"
        "for attempt in (lambda: open('/etc/x', 'w'), lambda: socket.create_connection(('1.1.1.1', 53), 2),"
        " lambda: os.setuid(0), lambda: open('/tmp/x', 'wb').write(bytes(20 << 20))):\n"
        "    try: print('ESC' 'APED', attempt())\n"
        "    except OSError as error: print(type(error).__name__)\n"
    )
    result = await executor.execute([CodeBlock("python", code)], {"in": b"given"})
    assert result.exit_code == 0, result.output
    assert result.files == {"out": b"given"}
    assert result.output.startswith("65534")
    assert "ESCAPED" not in result.output


async def test_a_real_engine_ends_what_takes_too_long() -> None:
    """Issue 4: time."""
    result = await DockerExecutor(limits=Limits(timeout=1)).execute([CodeBlock("sh", "while :; do :; done")])
    assert result.stopped_by == "timeout"
