"""Which drivers there are, and what their programs are built and run with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
STEPS = (
    "connect",
    "listen",
    "receive",
    "own_pid",
    "transaction",
    "errors",
    "prepared",
    "cancel",
    "large",
    "copy",
    "reconnect",
)
"""What every program does."""

Command = tuple[str, ...]
"""A program and its arguments: {python}, {cache} and {made} are filled in, and it runs in a copy of its folder."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The language of a folder; what its commands make goes to {made}, what they download anywhere in {cache}."""

    folder: str
    name: str
    needs: tuple[str, ...]
    version: Command
    pins: str = ""
    builds: tuple[Command, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver's program, and what it does beyond `STEPS`; `pin` is what the version stands behind."""

    name: str
    toolchain: Toolchain
    pin: str
    program: Command
    extra: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[str, ...]:
        """Return all of its steps, in their order."""
        return (*STEPS, *self.extra)

    def version(self, own: str) -> str:
        """Return the version that is pinned, or the toolchain's own where the toolchain is the driver."""
        pins = self.toolchain.pins
        if not pins:
            return own
        text = (HERE / self.toolchain.folder / pins).read_text(encoding="utf-8")
        found = re.search(rf"^\W*{re.escape(self.pin)}(?!\w)\D*(\d[\w.]*)", text, re.MULTILINE)
        assert found, f"{self.pin} is not pinned in {pins}"
        return found[1]


PSQL = Toolchain("psql", "libpq", needs=("psql",), version=("psql", "--version"))
PYTHON = Toolchain(
    "python",
    "Python",
    needs=(),
    version=("{python}", "--version"),
    pins="requirements.txt",
    builds=(
        ("{python}", "-m", "venv", "{made}"),
        ("{made}/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "requirements.txt"),
    ),
    environment={"PIP_CACHE_DIR": "{cache}/downloads/pip"},
)
NODE = Toolchain(
    "node",
    "Node",
    needs=("node", "npm"),
    version=("node", "--version"),
    pins="package.json",
    builds=(("npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--silent"),),
    environment={"npm_config_cache": "{cache}/downloads/npm"},
)
GO = Toolchain(
    "go",
    "Go",
    needs=("go",),
    version=("go", "version"),
    pins="go.mod",
    # Without -modcacherw nobody could delete the cache.
    builds=(("go", "build", "-modcacherw", "-o", "{made}/", "./pgx", "./pq", "./logging_in"),),
    environment={"GOMODCACHE": "{cache}/downloads/go", "GOCACHE": "{cache}/go-cache", "CGO_ENABLED": "0"},
)
JAVA = Toolchain(
    "java",
    "Java",
    needs=("java", "javac", "mvn"),
    version=("java", "--version"),
    pins="pom.xml",
    builds=(
        (
            *("mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies"),
            *("-DoutputDirectory={made}/lib", "-Dmaven.repo.local={cache}/downloads/maven"),
        ),
        (
            *("javac", "-cp", "{made}/lib/*", "-d", "{made}/classes"),
            *("WithPgjdbc.java", "LoggingIn.java", "Steps.java", "Sql.java"),
        ),
    ),
)
RUST = Toolchain(
    "rust",
    "Rust",
    needs=("cargo", "rustc"),
    version=("rustc", "--version"),
    pins="Cargo.toml",
    builds=(("cargo", "build", "--locked", "--quiet"),),
    environment={"CARGO_HOME": "{cache}/downloads/cargo", "CARGO_TARGET_DIR": "{made}"},
)


def _python(name: str, pin: str, *extra: str) -> Driver:
    return Driver(name, PYTHON, pin, ("{made}/bin/python", f"with_{name.replace('-', '_')}.py"), extra)


DRIVERS = (
    Driver("psql", PSQL, "", ("{python}", "with_psql.py"), ("describe",)),
    _python("psycopg2", "psycopg2-binary", "cursor"),
    _python("psycopg3", "psycopg[binary]", "cursor", "pipeline", "pipeline_error"),
    _python("psycopg3-async", "psycopg[binary]", "cursor", "pipeline"),
    _python("asyncpg", "asyncpg", "cursor", "pool"),
    _python("pg8000", "pg8000"),
    _python("sqlalchemy-psycopg2", "SQLAlchemy[asyncio]", "pool", "reflection", "cursor"),
    _python("sqlalchemy-asyncpg", "SQLAlchemy[asyncio]", "cursor"),
    _python("django", "Django", "cursor"),
    Driver("pg", NODE, "pg", ("node", "with_pg.mjs"), ("pool",)),
    Driver("postgres.js", NODE, "postgres", ("node", "with_postgres.mjs"), ("cursor",)),
    Driver("pg-listen", NODE, "pg-listen", ("node", "with_pg_listen.mjs")),
    Driver("pgx", GO, "github.com/jackc/pgx/v5", ("{made}/pgx",), ("pool", "batch")),
    Driver("lib/pq", GO, "github.com/lib/pq", ("{made}/pq",)),
    Driver(
        "pgjdbc",
        JAVA,
        "artifactId>postgresql",
        ("java", "-cp", "{made}/classes:{made}/lib/*", "WithPgjdbc"),
        ("cursor", "batch"),
    ),
    Driver("tokio-postgres", RUST, "tokio-postgres", ("{made}/debug/with_tokio_postgres",), ("portal", "pipeline")),
    Driver("sqlx", RUST, "sqlx", ("{made}/debug/with_sqlx",), ("pool",)),
)
"""In the order in which they run; those of a toolchain stand together."""
