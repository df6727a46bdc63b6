"""The command line: ``hepmtp --help`` lists its commands.

The rule: thin. A command turns its words into calls of the library, shows how far it is, and says
what came out. Wrong input ends with exit code 2 and one line that says what to do. Commands import
what they need, so that --help is quick.
"""

from __future__ import annotations

import codecs
import contextlib
import gc
import importlib.metadata
import io
import itertools
import logging
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from hepmtp.cli import (
    analysis,
    detectors,
    failures,
    files,
    hepdata,
    jets,
    results,
    scoring,
    statistics,
    studies,
)
from hepmtp.cli.terminal import PlainFormatter, say
from hepmtp.plugins import allow_plugins

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


#: The option that lets files name classes of a user's own modules.
PLUGINS = "--allow-plugins"
#: Letters of our tables that a terminal may not know, and what is written for them.
_PLAIN = {
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{GREEK SMALL LETTER EPSILON}": "eps",
    "\N{GREEK SMALL LETTER SIGMA}": "sigma",
    "\N{GREEK SMALL LETTER CHI}": "chi",
    "\N{GREEK SMALL LETTER ETA}": "eta",
    "\N{GREEK SMALL LETTER PHI}": "phi",
    "\N{SUPERSCRIPT TWO}": "2",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{EN DASH}": "-",
}


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``hepmtp``; always raises SystemExit.

    Exit codes: 0 done; 1 an empty or incomplete result, or an error that nobody foresaw; 2 wrong
    input, or what a user can mend; 130 stopped by Ctrl-C.
    """
    words = sys.argv[1:] if arguments is None else arguments
    words = _anywhere_first(words)
    debug = "--debug" in words
    codecs.register_error("hepmtp", _plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # in LC_ALL=C a sigma ends no command
            stream.reconfigure(errors="hepmtp")
    try:
        with _rare_collections():
            app(words, prog_name="hepmtp")
    except KeyboardInterrupt as error:
        _stop(error)
    except SystemExit as exit_:
        if exit_.code == failures.STOPPED:
            _stop(exit_)
        raise
    except Exception as error:
        if debug:
            raise
        line, code = failures.told(error)
        say(line, color="red", err=True)
        sys.exit(code)


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for unused objects less often: imports and figures make many, and few are unused."""
    before = gc.get_threshold()
    gc.set_threshold(10_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _anywhere_first(words: Sequence[str]) -> list[str]:
    """The options of all commands, which may stand anywhere, before the command.

    Examples
    --------
    >>> _anywhere_first(["run", "a.csv", "--allow-plugins", "mine", "--debug"])
    ['--allow-plugins', 'mine', '--debug', 'run', 'a.csv']
    """
    first, rest, left = [], [], iter(words)
    for word in left:
        if word == PLUGINS:
            first += [word, *itertools.islice(left, 1)]
        elif word == "--debug" or word.startswith(f"{PLUGINS}="):
            first.append(word)
        else:
            rest.append(word)
    return [*first, *rest]


def _plain_letters(error: UnicodeError) -> tuple[str, int]:
    """What is written for letters that the terminal does not know."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(_PLAIN.get(one) or ascii(one)[1:-1] for one in found), error.end


def _stop(error: BaseException) -> None:
    """Say in a line what a command that was stopped has left."""
    chain = failures.chain(error)
    said = next((str(one) for one in chain if isinstance(one, KeyboardInterrupt) and one.args), "")
    say(said or "stopped; what was written before is kept", color="red", err=True)
    sys.exit(failures.STOPPED)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"hepmtp {importlib.metadata.version('hepmtp')}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error and every log line.")
    ] = False,
    plugins: Annotated[
        list[str] | None,
        typer.Option(
            PLUGINS,
            metavar="MODULE",
            help="Let manifests and saved folders name classes of this module of yours; may be "
            "repeated, and stand anywhere, as --debug.",
        ),
    ] = None,
    _: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Find LHC events that a transformer, trained on background only, cannot predict.

    Start with `hepmtp demo`: it trains on the embedded sample, scores it and writes a report, in a
    few minutes.
    """
    lines = logging.StreamHandler()
    lines.setFormatter(PlainFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, handlers=[lines])
    allow_plugins(*(plugins or ()))


#: In the order of --help, which is that of the work.
COMMANDS = (
    analysis.demo,
    files.datasets,
    files.fetch,
    files.inspect,
    files.convert,
    analysis.train,
    scoring.run,
    results.compare,
    results.report,
    statistics.fit,
    hepdata.hepdata,
    detectors.export,
    studies.tokenizer_report,
    studies.league,
)
for _command in COMMANDS:
    app.command()(_command)
app.add_typer(jets.app, name="jets")
