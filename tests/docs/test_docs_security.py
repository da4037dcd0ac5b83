"""What the documentation says of security is so: its examples are run, its settings exist, its numbers are the code's.

A block that begins with a comment such as `; example: NAME, FILE` is that file of an example. FILE may be `setup.sql`
(run by the superuser), `command` (run by the shell beforehand) or `client` (commands of psql that have to log in).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn, quote_ident
from support.certificates import authority, certificate
from support.clients import hear, listen, run
from support.postgres import PostgresServer, bin_folder
from support.process import DEADLINE, TwistnotifyProcess
from support.raw import RawClient
from support.security import SYSTEM_USER, guarded
from support.versions import one_version

from twistnotify.auth.hba_file import MAX_LINES, MAX_NAMES
from twistnotify.auth.scram_keys import MAX_ITERATIONS, MAX_MESSAGE, QUICK_ITERATIONS
from twistnotify.auth.throttle import MAX_TRACKED
from twistnotify.auth.userlist import MAX_USERS, read_userlist
from twistnotify.config.loader import load
from twistnotify.config.options import CHANNEL_KEYWORDS, DATABASE_KEYWORDS, OPTIONS
from twistnotify.relay.lookup import IDLE, LOOKUP_TIMEOUT, MAX_CACHED, MAX_NAME, MAX_WAITING
from twistnotify.server.factory import MAX_WRONG_KEYS, WRONG_KEYS_WINDOW
from twistnotify.server.newcomers import PATIENCE
from twistnotify.server.refusals import LOG_WINDOW, LOGGED
from twistnotify.session.authentication import MAX_AUTHENTICATION_MESSAGE
from twistnotify.wire.framing import MAX_STARTUP_PACKET
from twistnotify.wire.printable import LONGEST
from twistnotify.wire.proxy_header import MAX_HEADER, MAX_TEXT
from twistnotify.wire.startup import SSLRequest

ROOT = Path(__file__).parents[2]
README, SECURITY, OPERATIONS = ROOT / "README.md", ROOT / "docs" / "security.md", ROOT / "docs" / "operations.md"
PAGES = (README, SECURITY, OPERATIONS)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARKER = re.compile(r"[;#-]+ example: (\w+), (\S+)\n")
PASSWORD = "open sesame"
PRIVATE = ("userlist.txt", "pg_hba.conf")
PROXY = "127.0.0.7"
"""Stands for the proxy of the example."""
HBA = """\
local all all trust
host all postgres,tn_listen 127.0.0.1/32 trust
host all old 127.0.0.1/32 md5
host all all 127.0.0.1/32 scram-sha-256
"""
ROLES = {"alice": PASSWORD, "old": PASSWORD, "app": "the app's own"}
PSQL = shutil.which("psql")

integration = pytest.mark.integration


def _blocks(page: Path) -> list[str]:
    return [text for _, text in BLOCK.findall(page.read_text(encoding="utf-8"))]


def _examples() -> dict[str, dict[str, str]]:
    """Return the files of each example."""
    found: dict[str, dict[str, str]] = {}
    for page in PAGES:
        for block in _blocks(page):
            if marker := MARKER.match(block):
                name, file = marker.groups()
                assert file not in found.setdefault(name, {}), f"{name} has {file} twice"
                found[name][file] = block
    return found


EXAMPLES = _examples()
WITH_CLIENT = [name for name, files in EXAMPLES.items() if "client" in files]
ON_18 = [name for name in WITH_CLIENT if name != "postgres_tls"]
BY_PASSWORD = [name for name in ON_18 if name not in ("trust", "cert", "peer")]


@dataclass(frozen=True, slots=True)
class Place:
    """Where examples are tried out: a folder for their files, and the PostgreSQL that they speak of."""

    folder: Path
    postgres: PostgresServer

    def put_here(self, text: str) -> str:
        """Return a text of the documentation for this machine."""
        text = text.replace("/run/twistnotify", str(self.folder)).replace("/etc/twistnotify", str(self.folder))
        text = text.replace("listen_addr = 0.0.0.0", "listen_addr = 127.0.0.1").replace("10.0.0.7", PROXY)
        text = text.replace("[twistnotify]\n", "[twistnotify]\nlisten_port = 0\n")
        text = re.sub(r"host=10\.0\.0\.1\b", f"host=127.0.0.1 port={self.postgres.port}", text)
        return text.replace("host=db.", f"hostaddr=127.0.0.1 port={self.postgres.port} host=db.")

    def write(self, name: str) -> None:
        """Write the files of an example, and do what it says to do beforehand."""
        for file, text in EXAMPLES[name].items():
            path = self.folder / file
            path.write_text(self.put_here(text))
            path.chmod(0o600 if file in PRIVATE else 0o644)
        if "setup.sql" in EXAMPLES[name]:
            self.postgres.fetch(EXAMPLES[name]["setup.sql"], dbname="app")
        if "command" in EXAMPLES[name]:
            self.run_command(name)

    def run_command(self, name: str) -> None:
        """Run the commands of an example."""
        command = self.put_here(EXAMPLES[name]["command"])
        if shutil.which(command.split("\n")[1].split()[0]) is None:
            pytest.skip("the command is not installed")
        subprocess.run(["sh", "-ec", command], cwd=self.folder, check=True, capture_output=True, timeout=DEADLINE)

    @contextmanager
    def serve(self) -> Iterator[TwistnotifyProcess]:
        """Run what has been written."""
        process = TwistnotifyProcess((self.folder / "config.ini").read_text(), self.folder)
        process.start()
        try:
            process.wait_until_up()
            yield process
        except BaseException:
            process.kill()
            raise
        process.stop()

    def dsns(self, name: str, port: int) -> list[str]:
        """Return how the clients of an example connect."""
        lines = [shlex.split(line, comments=True) for line in self.put_here(EXAMPLES[name]["client"]).splitlines()]
        dsns = [words[1] for words in lines if words]
        assert all(words[0] == "psql" for words in lines if words)
        on_this_port = [dsn.replace("port=6433", f"port={port}") for dsn in dsns]
        return [dsn.replace("host=notify.", "hostaddr=127.0.0.1 host=notify.") for dsn in on_this_port]


@pytest.fixture
def place(postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A folder with certificates, where clients are started too, and the roles and the database of the examples."""
    monkeypatch.chdir(tmp_path)
    with prepared(postgres, tmp_path) as place:
        yield place


@contextmanager
def prepared(postgres: PostgresServer, folder: Path) -> Iterator[Place]:
    """Have certificates in a folder, and in PostgreSQL roles and a database, for a while."""
    _write_certificates(folder)
    with guarded(postgres, HBA):
        _create_roles(postgres)
        postgres.create_database("app")
        try:
            yield Place(folder, postgres)
        finally:
            postgres.fetch("DROP DATABASE app WITH (FORCE)")
            postgres.fetch(f"DROP ROLE IF EXISTS {', '.join((*ROLES, 'tn_listen', 'tn_auth'))}")


def _create_roles(postgres: PostgresServer) -> None:
    """Create the roles, alice with the secret that the examples have of her."""
    secrets = {
        **read_userlist(EXAMPLES["scram"]["userlist.txt"])[0],
        **read_userlist(EXAMPLES["md5"]["userlist.txt"])[0],
    }
    with closing(postgres.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET password_encryption = 'scram-sha-256'")
        cursor.execute("CREATE ROLE tn_listen LOGIN")
        for name, password in ROLES.items():
            cursor.execute(
                f"CREATE ROLE {quote_ident(name, connection)} LOGIN PASSWORD %s", (secrets.get(name, password),)
            )


def _write_certificates(folder: Path) -> None:
    root = authority("the root")
    root.write(folder, "ca")
    root.write(folder, "postgres-ca")
    certificate(root, "notify.example.com", ["notify.example.com"]).write(folder, "server")
    certificate(root, "db.example.com", ["db.example.com"]).write(folder, "postgres")
    certificate(root, "alice").write(folder, "alice")


@contextmanager
def serving(place: Place, name: str) -> Iterator[tuple[TwistnotifyProcess, list[str]]]:
    """Run the server of an example; yield it, and how its clients connect."""
    place.write(name)
    with place.serve() as server:
        yield server, place.dsns(name, server.port)


@contextmanager
def connected(dsn: str) -> Iterator[Any]:
    """Log in with the right password."""
    with closing(psycopg2.connect(dsn, password=PASSWORD)) as connection:
        connection.autocommit = True
        yield connection


def assert_is_served(dsn: str, user: str) -> None:
    """Log in; hear oneself, and be `user` at PostgreSQL."""
    with connected(dsn) as client:
        run(listen(client, "jobs"), "NOTIFY jobs, 'x'")
        assert hear(client) == [("jobs", "x")]
        assert run(client, "SELECT session_user::text") == [(user,)]
    if PSQL is not None and "sslnegotiation" not in dsn:
        assert _asked_by_psql(dsn) == user


def assert_is_refused(dsn: str, says: str, **keywords: str) -> None:
    """Try to log in with other keywords."""
    with pytest.raises(psycopg2.OperationalError, match=says):
        psycopg2.connect(dsn, **{"password": PASSWORD, **keywords})


def _asked_by_psql(dsn: str) -> str:
    environment = {**os.environ, "PGPASSWORD": PASSWORD}
    command = [str(PSQL), dsn, "-XAtqc", "SELECT session_user"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def expected_user(name: str, dsn: str) -> str:
    """Return who a client is at PostgreSQL: the line's user, or the one it has logged in as."""
    of_line = re.search(r"(?m)^app = .* user=(\w+) password=", EXAMPLES[name]["config.ini"])
    return of_line[1] if of_line else parse_dsn(dsn).get("user", SYSTEM_USER)


@integration
@one_version
@pytest.mark.parametrize("name", ON_18)
def test_an_example_lets_its_client_in(place: Place, name: str) -> None:
    with serving(place, name) as (_, dsns):
        for dsn in dsns:
            assert_is_served(dsn, expected_user(name, dsn))


@integration
@one_version
@pytest.mark.parametrize("name", BY_PASSWORD)
def test_an_example_lets_nobody_in_by_another_password(place: Place, name: str) -> None:
    with serving(place, name) as (_, dsns):
        for dsn in dsns:
            user = parse_dsn(dsn)["user"]
            assert_is_refused(dsn, f'password authentication failed for user "{user}"', password="open barley")
            assert_is_refused(dsn, 'password authentication failed for user "nobody"', user="nobody")


@integration
@one_version
@pytest.mark.parametrize(
    ("name", "keywords", "says"),
    [
        ("scram", {"sslmode": "disable", "channel_binding": "prefer"}, "this server requires TLS"),
        ("plain", {"sslmode": "disable"}, "this server requires TLS"),
        ("cert", {"user": "bob"}, 'certificate authentication failed for user "bob"'),
        ("cert", {"sslcert": "none", "sslkey": "none"}, "certificate required|handshake failure"),
        ("peer", {"user": "nobody_else"}, 'Peer authentication failed for user "nobody_else"'),
        ("peer", {"host": "127.0.0.1"}, "Peer authentication failed for user"),
        ("hba", {"sslmode": "disable"}, 'pg_hba.conf rejects connection for host "127.0.0.1", user "alice"'),
        ("auth_query", {"user": "postgres"}, 'password authentication failed for user "postgres"'),
    ],
)
def test_an_example_refuses_others(place: Place, name: str, keywords: dict[str, str], says: str) -> None:
    with serving(place, name) as (_, dsns):
        for dsn in dsns:
            assert_is_refused(dsn, says, **keywords)


@integration
@one_version
def test_secrets_come_out_of_postgresql_by_the_command(place: Place) -> None:
    place.write("scram")
    userlist = place.folder / "userlist.txt"
    written = read_userlist(userlist.read_text())[0]
    userlist.unlink()
    place.run_command("secrets")
    users, faults = read_userlist(userlist.read_text())
    assert not faults
    assert users["alice"] == written["alice"]
    assert set(ROLES) <= set(users)
    userlist.chmod(0o640)
    with place.serve() as server:
        (dsn,) = place.dsns("scram", server.port)
        assert_is_served(dsn, "alice")


@integration
@one_version
def test_a_secret_that_differs_at_postgresql_serves_for_pub_sub_only(place: Place) -> None:
    place.postgres.fetch("ALTER ROLE alice PASSWORD %s", PASSWORD)
    with serving(place, "scram") as (_, (dsn,)), connected(dsn) as client:
        with pytest.raises(psycopg2.errors.InvalidPassword, match="the SCRAM secrets of the user differ here and at"):
            run(client, "SELECT session_user")
        run(listen(client, "jobs"), "NOTIFY jobs, 'x'")
        assert hear(client) == [("jobs", "x")]


@integration
@one_version
def test_rights_are_as_the_example_says(place: Place) -> None:
    with serving(place, "rights") as (_, (dsn,)), connected(dsn) as client:
        for allowed in ("LISTEN jobs", "NOTIFY jobs", "LISTEN twistnotify_gap", "UNLISTEN elsewhere"):
            run(client, allowed)
        for sql in ('LISTEN "orders.paid"', 'NOTIFY "orders.new"', "LISTEN elsewhere", 'LISTEN "Jobs"'):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="permission denied for channel"):
                run(client, sql)


@integration
@one_version
def test_a_notify_is_judged_where_it_is_seen_and_a_listen_always(place: Place) -> None:
    with serving(place, "rights") as (_, (dsn,)), connected(dsn) as client:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(client, "SELECT pg_notify('orders.paid', 'x')")
        run(client, "DO $$BEGIN EXECUTE 'LISTEN \"orders.paid\"'; END$$")
        # It goes to PostgreSQL, and the session there hears it.
        run(client, "SELECT pg_notify('orders.' || 'paid', 'x')")
        run(listen(client, "jobs"), "NOTIFY jobs, 'y'")
        assert hear(client) == [("jobs", "y")]


@integration
@one_version
def test_a_proxy_of_the_example_has_to_begin_with_a_header(place: Place) -> None:
    header = f"PROXY TCP4 203.0.113.9 {PROXY} 5 6\r\n".encode()
    with serving(place, "proxy") as (server, _):
        with RawClient(server.port, database=None, source=PROXY) as client:
            client.send(header + SSLRequest().encode())
            assert client.socket.recv(1) == b"N"
        for source, sent in ((PROXY, SSLRequest().encode()), ("127.0.0.1", header)):
            with RawClient(server.port, database=None, source=source) as client:
                client.send(sent)
                assert client.until_end() == []


@integration
def test_the_certificate_of_postgresql_is_checked_as_the_example_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL 15 is the system's: the one inside the wheel has no TLS."""
    folder = bin_folder(15)
    if folder is None:
        pytest.skip("PostgreSQL 15 is not installed")
    monkeypatch.chdir(tmp_path)
    postgres = PostgresServer(folder, 15)
    try:
        postgres.start()
        with prepared(postgres, tmp_path) as place:
            _restart_with_tls(place)
            _check_that_it_is_used(place)
            _check_that_another_name_is_refused(place)
    finally:
        postgres.destroy()


def _restart_with_tls(place: Place) -> None:
    postgres = place.postgres
    owner = postgres.folder.stat()
    for kind in ("crt", "key"):
        copy = shutil.copy(place.folder / f"postgres.{kind}", postgres.folder)
        os.chown(copy, owner.st_uid, owner.st_gid)
    files = {"ssl_cert_file": "postgres.crt", "ssl_key_file": "postgres.key"}
    postgres.restart_with(ssl="on", **{name: str(postgres.folder / file) for name, file in files.items()})


def _check_that_it_is_used(place: Place) -> None:
    with serving(place, "postgres_tls") as (_, (dsn,)), connected(dsn) as client:
        run(client, "SELECT session_user")
        query = "SELECT usename::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl"
        assert {("alice",), ("tn_listen",)} <= set(place.postgres.fetch(query))


def _check_that_another_name_is_refused(place: Place) -> None:
    config = place.folder / "config.ini"
    config.write_text(re.sub(r"db(\.example\.com dbname=app shards)", r"other\1", config.read_text()))
    assert "other.example.com" in config.read_text()
    with place.serve() as server:
        (dsn,) = place.dsns("postgres_tls", server.port)
        with connected(dsn) as client:
            run(client, "LISTEN jobs")
            with pytest.raises(psycopg2.OperationalError, match="does not match the host name"):
                run(client, "SELECT session_user")


# Names and numbers

KNOWN = {option.name for option in OPTIONS} | {word.name for word in (*DATABASE_KEYWORDS, *CHANNEL_KEYWORDS)}
LIKE_A_SETTING = re.compile(
    r"\b(?:auth|client|server|listen|max|tcp|proxy|unix|scram|acl|notify|fd|shard|query|fanout|unlisten|fence|relay|ssl)"
    r"(?:_[a-z0-9]+)+\b"
)
OF_OTHERS = {
    "client_encoding",
    "client_min_messages",
    "auth_ident_file",
}
"""Names of PostgreSQL and PgBouncer that look like ours."""
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)


def _settings_named(page: Path) -> set[str]:
    code = " ".join(CODE.findall(page.read_text(encoding="utf-8")))
    # A name that is a part of a longer one, or of a file's, is none.
    return {name[0] for name in LIKE_A_SETTING.finditer(code) if not code[name.start() - 1 : name.end() + 1].count("/")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    named = _settings_named(page)
    assert len(named & KNOWN) >= 5
    assert named - KNOWN - OF_OTHERS == set()


def test_every_setting_of_security_is_explained() -> None:
    prefixes = (
        "auth_",
        "client_tls_ss",
        "client_tls_c",
        "client_tls_k",
        "server_tls_ss",
        "proxy_",
        "scram_",
        "acl_",
        "unix_",
    )
    wanted = {option.name for option in OPTIONS if option.name.startswith(prefixes)} - {"client_tls_ciphers"}
    assert wanted <= _settings_named(SECURITY)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_configuration_of_a_page_can_be_loaded(page: Path) -> None:
    texts = [text for text in _blocks(page) if re.search(r"(?m)^\[(twistnotify|databases)\]$", text)]
    assert texts
    for text in texts:
        # A part of a configuration is shown without what is not its subject.
        head = "" if "[twistnotify]" in text else "[twistnotify]\nauth_type = trust\n"
        load(head + text, page.name)


def _row(begins: str) -> str:
    """Return the row of a table, or the sentence, that begins so."""
    text = SECURITY.read_text(encoding="utf-8")
    assert text.count(begins) == 1, f"{begins!r} is there {text.count(begins)} times"
    return text[text.index(begins) :].partition("\n\n")[0].splitlines()[0]


def _default(name: str) -> str:
    return next(option.default for option in OPTIONS if option.name == name)


@pytest.mark.parametrize(
    ("begins", "numbers"),
    [
        ("| connections that are not logged in", (int(_default("max_login_conn")), PATIENCE)),
        ("| time to log in", (int(_default("client_login_timeout")),)),
        ("| PROXY header", (MAX_TEXT, MAX_HEADER)),
        ("| start-up packet", (MAX_STARTUP_PACKET,)),
        ("| an answer (password", (MAX_AUTHENTICATION_MESSAGE, MAX_MESSAGE)),
        ("| rounds of PBKDF2", (QUICK_ITERATIONS,)),
        ("| rounds that a secret", (MAX_ITERATIONS,)),
        ("| users that wait", (MAX_WAITING, LOOKUP_TIMEOUT)),
        ("| name that is looked up", (MAX_NAME,)),
        ("| users whose answers", (MAX_CACHED,)),
        ("| failures that are counted", (MAX_TRACKED,)),
        ("| log lines about", (LOGGED, LOG_WINDOW)),
        ("After `auth_fail_limit`", tuple(int(_default(f"auth_fail_{name}")) for name in ("limit", "window", "block"))),
        ("After 100 wrong ones", (MAX_WRONG_KEYS, WRONG_KEYS_WINDOW)),
        ("rejects. There may be", (MAX_LINES, MAX_NAMES)),
        ('the password; `""` is', (MAX_USERS,)),
        ("one backend a database", (IDLE,)),
        ("shown with control characters", (LONGEST,)),
    ],
)
def test_the_numbers_are_those_of_the_code(begins: str, numbers: tuple[float, ...]) -> None:
    row = _row(begins)
    said = re.findall(r"\d[\d,]*\d|\d", row)
    assert [number for number in numbers if f"{number:,.0f}" not in said] == [], row


LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"(?m)^#+ (.*)$")


def _anchors(page: Path) -> set[str]:
    """Return what can stand behind #, as GitHub makes it of headings."""
    headings = HEADING.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page", [README, ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name
)
def test_every_link_within_the_documentation_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link
