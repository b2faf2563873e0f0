"""Files into the sandbox and out of it, as tar archives over pipes: no directory is shared with the host.

What comes out was written by untrusted code, so it is only ever read in memory: plain files with plain relative names,
no links, no devices, within limits. A broken archive gives the files before the break.
"""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from a2a_bridge.chat.execution.contract import CodeBlock, Limits
from a2a_bridge.errors import CodeExecutionError

HIDDEN = ".code"
"""Where blocks without a filename are, and what does not come back."""

SCRIPT = f"""\
cd "$WORK" && tar -xf - || {{ echo 'sandbox: no tar' >&2; exit 125; }}
ulimit -c 0
ulimit -n 256
ulimit -v "$MEMORY_KB" && ulimit -f "$FILE_BLOCKS" && ulimit -t "$CPU_SECONDS" || exit 125
[ -z "$PROCESSES" ] || ulimit -u "$PROCESSES" 2>/dev/null || ulimit -p "$PROCESSES" 2>/dev/null || exit 125
code=0
while [ $# -gt 0 ]; do
  "$1" "$2" </dev/null >&2
  code=$?
  [ $code = 0 ] || break
  shift 2
done
tar -cf - --exclude=./{HIDDEN} . 2>/dev/null
exit $code
"""
"""What runs in the sandbox, in any POSIX shell: files from stdin, limits, the blocks (pairs of interpreter and file),
files to stdout. All that the blocks say goes to stderr."""


def environment(limits: Limits, work: str) -> dict[str, str]:
    """All of the environment that the code sees."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": work,
        "WORK": work,
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MEMORY_KB": str(limits.memory_mb * 1024),
        "FILE_BLOCKS": str(limits.disk_mb * 2048),
        "CPU_SECONDS": str(int(limits.timeout) + 1),
        "PROCESSES": str(limits.processes),
    }


def pack(blocks: Sequence[CodeBlock], files: Mapping[str, bytes], python: str) -> tuple[bytes, list[str]]:
    """The archive that goes in, and the script's arguments: an interpreter and a file for each block."""
    arguments: list[str] = []
    held = {plain_name(name): data for name, data in files.items()}
    for number, block in enumerate(blocks, 1):
        ending = "py" if block.language == "python" else "sh"
        name = plain_name(block.filename) if block.filename else f"{HIDDEN}/{number}.{ending}"
        held[name] = block.code.encode("utf-8", "replace")
        arguments += [python if block.language == "python" else "sh", f"./{name}"]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in held.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue(), arguments


def unpack(archive: bytes, limits: Limits, before: Mapping[str, bytes]) -> dict[str, bytes]:
    """What came out: new and changed files."""
    known = {plain_name(name): data for name, data in before.items()}
    found: dict[str, bytes] = {}
    left = limits.disk_mb * 1024 * 1024
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r|") as opened:
            for member in opened:
                name = _safe(member.name)
                if name is None or not member.isreg() or member.size > left or len(found) >= limits.files:
                    continue
                read = opened.extractfile(member)
                data = read.read() if read is not None else b""
                left -= len(data)
                if known.get(name) != data:
                    found[name] = data
    except (tarfile.TarError, EOFError, ValueError, OSError):
        pass  # killed in the middle, or made up by the code: what came before counts
    return found


def _safe(name: str) -> str | None:
    path = PurePosixPath(name)
    parts = [part for part in path.parts if part != "."]
    if path.is_absolute() or not parts or ".." in parts or "\x00" in name or parts[0] == HIDDEN:
        return None
    return "/".join(parts) if name.isprintable() else None


def plain_name(name: str) -> str:
    """The name as a relative path. CodeExecutionError for one that leaves the working directory."""
    found = _safe(name)
    if found is None:
        raise CodeExecutionError(f"{name!r} cannot be the name of a file in the working directory: give a relative one")
    return found
