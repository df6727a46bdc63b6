"""What the checks are, each in an environment of its own: ``nox`` runs lint, mypy and tests; ``nox -s docs`` the docs."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "mypy", "tests"]
nox.options.default_venv_backend = "venv"


def install(session: nox.Session, *groups: str, package: bool = True) -> None:
    """Install hepmtp and these dependency groups in the versions of constraints.txt."""
    if package:
        session.install("-c", "constraints.txt", "torch==2.13.0")
        session.install("-c", "constraints.txt", "-e", ".[league]")
    session.install(
        "-c", "constraints.txt", *nox.project.dependency_groups(nox.project.load_toml(), *groups)
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format."""
    install(session, "lint", package=False)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def mypy(session: nox.Session) -> None:
    """Types, strict."""
    install(session, "lint")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests; arguments after -- go to pytest."""
    install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, into docs/_build."""
    install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build")
