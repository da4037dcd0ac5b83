"""What the configuration and its files say of log-ins, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.tls import ROOT, SERVER

from twistnotify.auth.secrets import MAX_ITERATIONS, Md5Secret, PlainSecret, ScramSecret, format_secret, scram_secret
from twistnotify.config.loader import load
from twistnotify.config.problems import ConfigurationError
from twistnotify.relay.tls import NO_KEY
from twistnotify.server.authentication import Security
from twistnotify.server.security import read_security

SCRAM = scram_secret("open sesame", b"some salt", 7)
DATABASES = "[databases]\napp = host=/run\n"
TLS = {"client_tls_sslmode": "require", "client_tls_cert_file": "server.crt", "client_tls_key_file": "server.key"}


def read(folder: Path, sections: str = "", **settings: object) -> Security:
    """Read a configuration in a folder, whose files may be named without it."""
    settings = {"auth_type": "trust", **settings}
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    config = load(f"[twistnotify]\n{lines}{DATABASES}{sections}", "config.ini")
    return read_security(config, folder, "config.ini")


def problems(folder: Path, **settings: object) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, **settings)
    return str(caught.value).splitlines()


def write(folder: Path, name: str, text: str, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    path.chmod(mode)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder with a certificate, its key and an authority."""
    SERVER.write(tmp_path, "server")
    ROOT.write(tmp_path, "root")
    return tmp_path


# What there is


def test_without_files_there_is_nothing_but_the_settings(tmp_path: Path) -> None:
    security = read(tmp_path, scram_iterations=5000)

    assert (security.auth_type, security.scram_iterations) == ("trust", 5000)
    assert (security.users, security.rules, security.tls) == ({}, (), None)
    assert security.rights.of("alice") is None


def test_users_have_secrets_of_four_kinds(tmp_path: Path) -> None:
    secrets = {"plain": "open sesame", "md5": "md5" + "0" * 32, "scram": format_secret(SCRAM), "none": ""}
    write(tmp_path, "userlist.txt", "".join(f'"{user}" "{secret}"\n' for user, secret in secrets.items()))

    users = read(tmp_path, auth_file="userlist.txt").users

    kinds = {user: type(secret) for user, secret in users.items()}
    assert kinds == {"plain": PlainSecret, "md5": Md5Secret, "scram": ScramSecret, "none": type(None)}
    assert users["scram"] == SCRAM


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    write(tmp_path, "userlist.txt", '"alice" "open sesame"')

    assert "sesame" not in repr(read(tmp_path, auth_file="userlist.txt"))


def test_names_may_be_any_bytes(tmp_path: Path) -> None:
    (tmp_path / "userlist.txt").write_bytes(b'"\xff" "secret"')
    (tmp_path / "userlist.txt").chmod(0o600)

    assert list(read(tmp_path, auth_file="userlist.txt").users) == ["\udcff"]


def test_an_absolute_path_is_one(tmp_path: Path) -> None:
    path = write(tmp_path, "userlist.txt", '"alice" "secret"')

    assert list(read(Path("/nowhere"), auth_file=path).users) == ["alice"]


def test_the_lines_of_hba_include_files_that_are_beside_them(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    write(tmp_path, "etc/hba.conf", "local all @admins trust\nhost all all 127.0.0.1/32 md5\n", 0o644)
    write(tmp_path, "etc/admins", "alice\nbob\n", 0o644)
    write(tmp_path, "userlist.txt", "")

    rules = read(tmp_path, auth_type="hba", auth_file="userlist.txt", auth_hba_file="etc/hba.conf").rules

    assert [(rule.line, rule.method) for rule in rules] == [(1, "trust"), (2, "md5")]
    assert rules[0].users.names == {"alice", "bob"}


def test_they_are_not_read_where_they_do_not_count(tmp_path: Path) -> None:
    assert read(tmp_path, auth_hba_file="nowhere").rules == ()


def test_rights_are_those_of_the_channels(tmp_path: Path) -> None:
    sections = "[groups]\nstaff = bob, carol\n[channels]\njobs = listen=alice,@staff notify=nobody\n"
    rights = read(tmp_path, sections, acl_default="deny").rights
    alice, dave = rights.of("alice"), rights.of("dave")

    assert alice is not None
    assert dave is not None
    assert (alice.may_listen("jobs"), alice.may_notify("jobs"), alice.may_listen("other")) == (True, False, False)
    assert not dave.may_listen("jobs")


def test_tls_is_made_of_files_in_the_folder(pair: Path) -> None:
    tls = read(pair, **TLS, client_tls_ca_file="root.crt").tls

    assert tls is not None
    assert tls.required


# What is wrong


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o606])
def test_secrets_that_everybody_may_read_are_refused(pair: Path, mode: int) -> None:
    write(pair, "userlist.txt", '"alice" "secret"', mode)
    (pair / "server.key").chmod(mode)

    (user, key) = problems(pair, auth_file="userlist.txt", **TLS)

    hint = "which holds secrets: chmod o-rwx it"
    assert user == f"config.ini: [twistnotify] auth_file: everybody may read userlist.txt, {hint}"
    assert key == f"config.ini: [twistnotify] client_tls_key_file: everybody may read server.key, {hint}"


@pytest.mark.parametrize("mode", [0o400, 0o640, 0o660])
def test_a_group_may_read_them(pair: Path, mode: int) -> None:
    write(pair, "userlist.txt", '"alice" "secret"', mode)
    (pair / "server.key").chmod(mode)

    assert read(pair, auth_file="userlist.txt", **TLS).users


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    found = problems(tmp_path, auth_type="hba", auth_file="users", auth_hba_file="hba", **TLS)

    assert [line for line in found if "cannot read" in line] == [
        "config.ini: [twistnotify] auth_file: cannot read users: No such file or directory",
        "config.ini: [twistnotify] auth_hba_file: cannot read hba: No such file or directory",
        "config.ini: [twistnotify] client_tls_key_file: cannot read server.key: No such file or directory",
    ]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "userlist.txt").mkdir(0o700)

    (problem,) = problems(tmp_path, auth_file="userlist.txt")

    assert problem == "config.ini: [twistnotify] auth_file: cannot read userlist.txt: Is a directory"


def test_lines_that_are_wrong_are_named_by_file_and_line_all_at_once(tmp_path: Path) -> None:
    write(tmp_path, "users", '"alice" "a"\nnonsense\n"alice" "b"\n')
    write(tmp_path, "hba", "# fine\nhost all all somewhere trust\nlocal all all trust\nlocal all @gone md5\n")

    found = problems(tmp_path, auth_type="hba", auth_file="users", auth_hba_file="hba")

    assert found == [
        'users:2: the line is not "user" "secret"',
        "users:3: this user is in line 1 already",
        "hba:2: somewhere is not an address (host names are not supported)",
        "hba:4: cannot read gone: No such file or directory",
    ]


def test_a_scram_secret_of_too_many_iterations_is_refused_without_being_shown(tmp_path: Path) -> None:
    secret = format_secret(SCRAM).replace("$7:", f"${MAX_ITERATIONS + 1}:")
    write(tmp_path, "users", f'"alice" "{secret}"')

    (problem,) = problems(tmp_path, auth_file="users")

    assert problem.startswith("config.ini: [twistnotify] auth_file: users: ")
    assert f"1 to {MAX_ITERATIONS} iterations" in problem
    assert secret.rpartition("$")[2] not in problem


def test_what_tls_can_not_use_is_named(pair: Path) -> None:
    (pair / "server.key").write_bytes(SERVER.key_pem("a passphrase"))

    (problem,) = problems(pair, **TLS)

    assert problem == f"config.ini: [twistnotify]: client_tls_key_file cannot be used: {NO_KEY}"
