"""Log in to twistnotify with the drivers of several languages, in every way that there is.

    python tests/drivers/logins.py [--direct] [--only NAME,...] [--cases WORD] [--markdown] [--cache FOLDER]

The exit status is 1 if any answer is not the expected one.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from drivers.building import BuildFailed, Workshop, default_cache, locked
from drivers.login_cases import CASES, NOT_TRIED, Case
from drivers.login_catalogue import LOGINS, Login
from drivers.login_servers import create_users, make_certificates, make_direct, set_ups_in_front, version_with_tls
from drivers.login_table import ABSENT, Answers, table
from drivers.outcome import run_program
from drivers.servers import postgres_server

FILES = ("sslrootcert", "sslcert", "sslkey")
FIELDS = ("sslmode", *FILES, "channel_binding", "require_auth", "sslnegotiation")
"""The options of an attempt, in the order of its line."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the programs log in."""

    ports: Mapping[str, int]
    certificates: Path
    home: Path
    direct: bool

    def line(self, case: Case) -> str:
        """Return the attempt, as `python/attempts.py` describes it."""
        options = dict(case.options)
        options |= {name: str(self.certificates / options[name]) for name in FILES if name in options}
        who = (case.host, str(self.ports[case.set_up]), case.user, case.typed, case.set_up)
        return "\t".join([*who, *(options.get(name, "") for name in FIELDS)])


def main() -> int:
    """Run; return the exit status."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        stack.enter_context(locked(options.cache))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twistnotify-logins-")))
        version = version_with_tls() if options.direct else None
        cases = [case for case in CASES if options.cases in case.name and _exists(case, version)]
        place = _place(stack, folder, version)
        all_answers = list(_all_answers(options.only, cases, options.cache, place))
        sys.stdout.write(table(all_answers, cases, options.markdown))
    return 1 if any(answers.failed or answers.wrong for answers in all_answers) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Log in to twistnotify with the drivers of several languages.")
    parser.add_argument("--direct", action="store_true", help="log in to PostgreSQL itself")
    parser.add_argument("--only", type=_logins, default=LOGINS, metavar="NAME,...", help="only these drivers")
    parser.add_argument("--cases", default="", metavar="WORD", help="only cases with this in their names")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument(
        "--cache",
        type=lambda text: Path(text).absolute(),
        default=default_cache(),
        metavar="FOLDER",
        help="where downloads and builds go, and stay (default: %(default)s)",
    )
    return parser.parse_args()


def _logins(names: str) -> tuple[Login, ...]:
    """Return the programs of the drivers with these names, in the catalogue's order."""
    wanted = set(names.split(","))
    known = [login.driver.name for login in LOGINS]
    if unknown := wanted - set(known):
        raise argparse.ArgumentTypeError(f"no driver {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return tuple(login for login in LOGINS if login.driver.name in wanted)


def _exists(case: Case, version: int | None) -> bool:
    """Tell whether a case can be tried on a version of PostgreSQL itself, or on twistnotify (None)."""
    return version is None or (case.direct != NOT_TRIED and case.since <= version)


def _place(stack: ExitStack, folder: Path, version: int | None) -> Place:
    """Start the servers."""
    certificates, home = folder / "certificates", folder / "home"
    for each in (certificates, home):
        each.mkdir()
    make_certificates(certificates)
    postgres = stack.enter_context(postgres_server(version))
    create_users(postgres)
    if version is None:
        ports = stack.enter_context(set_ups_in_front(postgres, certificates, folder))
    else:
        ports = make_direct(postgres, certificates)
    return Place(ports, certificates, home, direct=version is not None)


def _all_answers(logins: Iterable[Login], cases: Sequence[Case], cache: Path, place: Place) -> Iterator[Answers]:
    """Build toolchain by toolchain, and run program by program."""
    for toolchain, group in itertools.groupby(logins, key=lambda login: login.driver.toolchain):
        workshop = Workshop(toolchain, cache)
        if workshop.missing is not None:
            yield from (Answers(login, not_run=f"no {workshop.missing}") for login in group)
            continue
        try:
            workshop.build()
        except BuildFailed as failure:
            yield from (Answers(login, failed=str(failure)) for login in group)
            continue
        version = workshop.version()
        yield from (_answers(login, login.driver.version(version), workshop, cases, place) for login in group)


def _answers(login: Login, version: str, workshop: Workshop, cases: Sequence[Case], place: Place) -> Answers:
    """Have a program answer all cases."""
    name = login.driver.name
    answers = Answers(login, version)
    for case in cases:
        answers.expected[case] = case.answer(name, place.direct) if login.has(case.options, version) else ABSENT
    # Nothing of what is in the user's home folder, such as libpq's roots, has a say here.
    environment = {**workshop.environment, "HOME": str(place.home), "LC_ALL": "C.UTF-8"}
    started = time.monotonic()
    typed = "".join(f"{place.line(case)}\n" for case in cases)
    output, ending = run_program(workshop.command(login.program), workshop.folder, environment, typed)
    answers.seconds = time.monotonic() - started
    lines = output.splitlines()
    answers.given = dict(zip(cases, lines, strict=False))
    if len(lines) != len(cases):
        answers.failed = f"{len(lines)} answers to {len(cases)} attempts; {ending}"
    sys.stderr.write(f"{name}: {len(cases) - len(answers.wrong)} right, {len(answers.wrong)} wrong\n")
    return answers


if __name__ == "__main__":
    sys.exit(main())
