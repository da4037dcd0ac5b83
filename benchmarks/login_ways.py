"""The servers to log in to: PostgreSQL itself, PgBouncer and twistnotify, with the same users and certificate."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks import servers
from benchmarks.certificate import Certificate
from benchmarks.login import Account
from benchmarks.ways import DIRECT, OURS, POOLER, Way, find_pgbouncer, pgbouncer_version, unprivileged
from benchmarks.workers import BenchmarkFailed

DATABASE = "postgres"
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")
PROVES, TRUSTED = "proves", "trusted"
"""Users of PostgreSQL."""
PASSWORD = "a password of the benchmark"
RULES = f"host all {PROVES} 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
"""A pg_hba.conf: the servers in between log in as postgres, and are believed."""
PGBOUNCER = """\
[databases]
{database} = {conninfo}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = session
max_client_conn = 500
log_connections = 0
log_disconnections = 0
{settings}
"""
"""It is not to log each client: the others do not."""


@dataclass(frozen=True, slots=True)
class Case:
    """Say what is asked of clients: a proof or none, checked by a secret or by the password, and whether TLS is."""

    name: str
    label: str
    proves: bool = True
    knows_password: bool = False
    tls: bool = False

    @property
    def account(self) -> Account:
        """Return who logs in."""
        return Account(PROVES if self.proves else TRUSTED, PASSWORD, DATABASE, self.proves)

    @property
    def method(self) -> str:
        """Return what the settings call it."""
        return "scram-sha-256" if self.proves else "trust"


CASES = (
    Case("trust", "no proof", proves=False),
    Case("scram", "SCRAM"),
    Case("password", "SCRAM by password", knows_password=True),
    Case("trust_tls", "TLS, no proof", proves=False, tls=True),
    Case("scram_tls", "TLS and SCRAM", tls=True),
)


@dataclass(frozen=True, slots=True)
class Origin:
    """The PostgreSQL behind all; `has_tls` where its programs can, `secret` is what it keeps of the password."""

    postgres: servers.Postgres
    has_tls: bool
    secret: str
    certificate: Certificate

    @property
    def conninfo(self) -> str:
        """Return libpq's connection line for the servers in between."""
        return f"host={servers.HOST} port={self.postgres.port} dbname={DATABASE} user=postgres"


@contextmanager
def login_origin(folder: Path, certificate: Certificate) -> Iterator[Origin]:
    """Run a PostgreSQL with the users: the system's newest, since the wheel's has no TLS, or else the wheel's."""
    # Whoever the servers run as has to come in.
    folder.chmod(0o755)
    programs = _system_programs()
    if programs is None:
        cluster, tls = servers.bundled_cluster(folder / "postgres"), {}
    else:
        cluster = _initialized(programs, folder / "postgres")
        crt, key = certificate.write(cluster.data, unprivileged().get("user"))
        tls = {"ssl": "on", "ssl_cert_file": str(crt), "ssl_key_file": str(key)}
    (cluster.data / "pg_hba.conf").write_text(RULES)
    with servers.postgres_of(cluster, **tls) as postgres:
        postgres.fetch("SET password_encryption = 'scram-sha-256';" + _role(PROVES) + _role(TRUSTED))
        secret = postgres.fetch("SELECT rolpassword FROM pg_authid WHERE rolname = %s", PROVES)
        yield Origin(postgres, bool(tls), str(secret), certificate)


def _role(name: str) -> str:
    return f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}';"


def _system_programs() -> Path | None:
    found = sorted(SYSTEM_POSTGRES.glob("*/bin"), key=lambda path: int(path.parts[-2]))
    return next((path for path in reversed(found) if (path / "initdb").exists()), None)


def _initialized(programs: Path, data: Path) -> servers.Cluster:
    """Make a data folder with the system's programs."""
    identity = unprivileged()
    data.mkdir()
    if identity:
        os.chown(data, identity["user"], identity["group"])
    command = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"]
    made = subprocess.run(command, cwd="/", capture_output=True, text=True, **identity)
    if made.returncode:
        raise BenchmarkFailed(f"initdb has failed: {made.stderr.strip()}")
    return servers.Cluster(programs, data, identity)


@contextmanager
def login_ways(folder: Path, origin: Origin, case: Case) -> Iterator[list[Way]]:
    """Open every way that knows a case, each of which has let in one client."""
    folder.mkdir()
    with ExitStack() as stack:
        ways = []
        if not case.knows_password and (origin.has_tls or not case.tls):
            ways.append(_straight(origin, case))
        if (program := find_pgbouncer()) is not None:
            ways.append(stack.enter_context(_pgbouncer(folder / POOLER, origin, case, program)))
        ways.append(stack.enter_context(_twistnotify(folder / OURS, origin, case)))
        for way in ways:
            _connect(way, case).close()
        yield ways


def _straight(origin: Origin, case: Case) -> Way:
    postgres = origin.postgres
    version = postgres.version.partition(" ")[0]
    return _way(DIRECT, version, postgres.port, case, postgres.pid, None)


def _way(name: str, version: str, port: int, case: Case, pid: int | None, behind: int | None) -> Way:
    return Way(name, version, (servers.HOST, port), DATABASE, case.account.user, pid, behind)


@contextmanager
def _pgbouncer(folder: Path, origin: Origin, case: Case, program: str) -> Iterator[Way]:
    folder.mkdir()
    port = servers.free_port()
    settings = {"auth_type": case.method, "auth_file": str(_userlist(folder, origin, case, 0o644))}
    if case.tls:
        settings |= _tls_settings(folder, origin, unprivileged().get("user"))
    configuration = folder / "pgbouncer.ini"
    lines = "\n".join(f"{name} = {value}" for name, value in settings.items())
    configuration.write_text(PGBOUNCER.format(database=DATABASE, conninfo=origin.conninfo, port=port, settings=lines))
    way = _way(POOLER, pgbouncer_version(program), port, case, None, origin.postgres.pid)
    log = folder / "log"
    with servers.running([program, str(configuration)], log, signal.SIGTERM, **unprivileged()) as process:
        servers.wait_for(lambda: servers.accepts(lambda: _connect(way, case)), process, log)
        yield replace(way, pid=process.pid)


@contextmanager
def _twistnotify(folder: Path, origin: Origin, case: Case) -> Iterator[Way]:
    folder.mkdir()
    settings = {"auth_type": case.method, "auth_file": str(_userlist(folder, origin, case, 0o600))}
    if case.tls:
        settings |= _tls_settings(folder, origin, None)
    with servers.twistnotify(folder, origin.conninfo, **settings) as (port, pid):
        yield _way(OURS, "", port, case, pid, origin.postgres.pid)


def _userlist(folder: Path, origin: Origin, case: Case, mode: int) -> Path:
    secret = PASSWORD if case.knows_password else origin.secret
    path = folder / "userlist.txt"
    path.touch(mode)
    path.write_text(f'"{PROVES}" "{secret}"\n"{TRUSTED}" "{secret}"\n')
    return path


def _tls_settings(folder: Path, origin: Origin, owner: int | None) -> dict[str, str]:
    """Return the settings of TLS, which are called the same by both."""
    certificate, key = origin.certificate.write(folder, owner)
    return {
        "client_tls_sslmode": "require",
        "client_tls_cert_file": str(certificate),
        "client_tls_key_file": str(key),
    }


def _connect(way: Way, case: Case) -> Any:
    host, port = way.address
    account = case.account
    return psycopg2.connect(
        host=host,
        port=port,
        dbname=way.database,
        user=account.user,
        password=account.password,
        sslmode="require" if case.tls else "disable",
    )
