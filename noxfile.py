#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox"]
# ///
"""What the checks are: the commands of each stand here and nowhere else; ``nox -l`` lists them.

The rule: the sessions share one environment, .venv, so that its gigabytes are installed once. Only
the packages are tried in empty environments. All versions, torch's too, are those of
constraints.txt. ``make`` calls these sessions where there is no nox.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "none"  # the sessions use .venv, see `install`

ROOT = Path(__file__).parent.absolute()
BIN = ROOT / ".venv" / "bin"
CONSTRAINTS = ROOT / "constraints.txt"
DIST = ROOT / "dist"


def install(session: nox.Session, *what: str, group: str | None = None) -> None:
    """Install this and a dependency group into .venv, unless they are there already."""
    project = nox.project.load_toml()
    wanted = [*what, *(nox.project.dependency_groups(project, group) if group else ())]
    state = [*wanted, Path("pyproject.toml").read_text(), CONSTRAINTS.read_text()]
    digest = hashlib.sha256("\n".join(state).encode()).hexdigest()[:16]
    done = BIN.parent / f"installed-{digest}"
    if done.exists():
        return
    session.log("Installing into .venv: the first time takes a few minutes")
    if not BIN.exists():
        session.run(sys.executable, "-m", "venv", BIN.parent)
    for words in (["pip"], wanted):
        session.run(BIN / "python", "-m", "pip", "install", "-qq", "-c", CONSTRAINTS, *words)
    done.touch()


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format, spelling."""
    install(session, group="lint")
    session.run(BIN / "ruff", "check")
    session.run(BIN / "ruff", "format", "--check")
    tracked = str(session.run("git", "ls-files", silent=True, external=True)).split()
    session.run(BIN / "codespell", *tracked, log=False)
    session.run(BIN / "rumdl", "check", "-q", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strict."""
    install(session, "-e", ".[league]", group="types")
    session.run(BIN / "mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, into docs/_build."""
    install(session, "-e", ".[export,league]", group="docs")
    shutil.rmtree("docs/api", ignore_errors=True)  # pages of modules that have moved
    session.run(
        BIN / "sphinx-build", *("-q", "-W", "--keep-going", "--jobs=auto"), "docs", "docs/_build"
    )
    session.log("docs/_build/index.html")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, on two cores, a file of them on one; arguments after -- go to pytest."""
    install(session, "-e", ".[league,simulation]", group="test")
    session.run(BIN / "pytest", "--numprocesses=2", "--dist=loadfile", *session.posargs)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """All tests, and a table of the lines they did not run: half as slow again on Python 3.11."""
    install(session, "-e", ".[league,simulation]", group="test")
    core = {"COVERAGE_CORE": "sysmon"} if sys.version_info >= (3, 12) else {}
    session.run(BIN / "pytest", "--cov", "--cov-report=term", *session.posargs, env=core)


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """The main job on the embedded sample, into hepmtp-demo; arguments after -- go to it."""
    install(session, "-e", ".")
    session.run(BIN / "hepmtp", "demo", "--output", "hepmtp-demo", *session.posargs)


@nox.session(name="demo-jets", default=False)
def demo_jets(session: nox.Session) -> None:
    """Jets of the embedded sample, into hepmtp-demo-jets; arguments after -- go to it."""
    install(session, "-e", ".[league]")
    session.run(BIN / "hepmtp", "jets", "demo", "--output", "hepmtp-demo-jets", *session.posargs)


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """The sdist, and the wheel from it, into dist."""
    install(session, group="build")
    shutil.rmtree(DIST, ignore_errors=True)
    session.run(BIN / "python", "-m", "build", "--outdir", DIST)


@nox.session(venv_backend="venv", reuse_venv=False, default=False, requires=["build"])
@nox.parametrize("kind", ["wheel", "sdist"], ids=["wheel", "sdist"])
def packages(session: nox.Session, kind: str) -> None:
    """A quick demo of each package, in an empty environment and an empty folder."""
    (package,) = DIST.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    session.install("-c", str(CONSTRAINTS), "pip")
    session.install("-c", str(CONSTRAINTS), str(package))
    session.run("python", "-m", "pip", "check")
    with session.chdir(session.create_tmp()):
        session.run("hepmtp", "--version")
        session.run("hepmtp", "demo", "--quick", "--output", "results")
        session.run("test", "-s", "results/report.html", external=True)
    shutil.rmtree(session.virtualenv.location)


@nox.session(venv_backend="venv", reuse_venv=False, default=False)
def exported(session: nox.Session) -> None:
    """A detector is exported, and scored in an empty environment that does not have hepmtp."""
    install(session, "-e", ".[league,simulation]", group="test")
    session.install("-c", str(CONSTRAINTS), "numpy", "onnxruntime")
    folder = Path(session.create_tmp()).absolute()
    session.run(BIN / "hepmtp", "demo", "--quick", "--output", folder / "demo", external=True)
    detector = folder / "demo" / "detector"
    session.run(BIN / "hepmtp", "export", detector, "--output", folder / "exported", external=True)
    session.run("python", "-I", folder / "exported" / "scorer.py")
    shutil.rmtree(session.virtualenv.location)


if __name__ == "__main__":
    nox.main()
