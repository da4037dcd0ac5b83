"""Try twistnotify with the drivers of several languages.

    python tests/drivers/run.py [--direct] [--only NAME,...] [--markdown] [--postgres VERSION] [--cache FOLDER]

The exit status is 1 if any step of any driver failed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from drivers.building import BuildFailed, Workshop, default_cache, locked
from drivers.catalogue import DRIVERS, Driver
from drivers.outcome import Outcome, run_program
from drivers.servers import VERSIONS, BackendCount, postgres_server, twistnotify_server
from drivers.table import table
from support.postgres import PostgresServer, bin_folder


def main() -> int:
    """Run; return the exit status."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        stack.enter_context(locked(options.cache))
        postgres = stack.enter_context(postgres_server(options.postgres))
        # psql comes with the server where the system has none.
        os.environ["PATH"] += f":{bin_folder(postgres.version)}"
        port = postgres.port
        if not options.direct:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="twistnotify-drivers-"))
            port = stack.enter_context(twistnotify_server(postgres, Path(folder))).port
        outcomes = list(_outcomes(options.only, options.cache, postgres, port))
        sys.stdout.write(table(outcomes, options.markdown))
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Try twistnotify with the drivers of several languages.")
    parser.add_argument("--direct", action="store_true", help="connect the programs to PostgreSQL itself")
    parser.add_argument("--only", type=_drivers, default=DRIVERS, metavar="NAME,...", help="only these drivers")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--postgres", type=int, choices=VERSIONS, help="version of PostgreSQL")
    parser.add_argument(
        "--cache",
        type=lambda text: Path(text).absolute(),
        default=default_cache(),
        metavar="FOLDER",
        help="where downloads and builds go, and stay (default: %(default)s)",
    )
    return parser.parse_args()


def _drivers(names: str) -> tuple[Driver, ...]:
    """Return the drivers with these names, in the catalogue's order."""
    wanted = set(names.split(","))
    unknown = wanted - {driver.name for driver in DRIVERS}
    if unknown:
        known = ", ".join(driver.name for driver in DRIVERS)
        raise argparse.ArgumentTypeError(f"no driver {', '.join(sorted(unknown))}; there are {known}")
    return tuple(driver for driver in DRIVERS if driver.name in wanted)


def _outcomes(drivers: Iterable[Driver], cache: Path, postgres: PostgresServer, port: int) -> Iterator[Outcome]:
    """Build toolchain by toolchain, and run program by program."""
    for toolchain, group in itertools.groupby(drivers, key=lambda driver: driver.toolchain):
        workshop = Workshop(toolchain, cache)
        if workshop.missing is not None:
            yield from (Outcome(driver, not_run=f"no {workshop.missing}") for driver in group)
            continue
        version, problem = workshop.version(), _build(workshop)
        for driver in group:
            outcome = Outcome(driver, driver.version(version), f"{toolchain.name} {version}")
            if problem is None:
                _try(outcome, workshop, postgres, port)
            else:
                outcome.failed["build"] = problem
            yield outcome


def _build(workshop: Workshop) -> str | None:
    """Build; return why it failed."""
    sys.stderr.write(f"building {workshop.folder.name}\n")
    try:
        workshop.build()
    except BuildFailed as failure:
        return str(failure)
    return None


def _try(outcome: Outcome, workshop: Workshop, postgres: PostgresServer, port: int) -> None:
    """Run a program, and see to it that nothing of it is left."""
    place = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
    environment = {**workshop.environment, **place, "DRIVERS_NAME": f"drivers_{secrets.token_hex(4)}"}
    started = time.monotonic()
    with BackendCount(postgres) as backends:
        outcome.read(*run_program(workshop.command(outcome.driver.program), workshop.folder, environment))
        outcome.seconds = time.monotonic() - started
        if left := backends.left():
            outcome.failed["end"] = f"{left} backends outlive the program"
    outcome.backends = backends.most
    sys.stderr.write(f"{outcome.driver.name}: {len(outcome.passed)} passed, {len(outcome.failed)} failed\n")


if __name__ == "__main__":
    sys.exit(main())
