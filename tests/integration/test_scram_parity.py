"""The server's side of SCRAM says what a real PostgreSQL says to the same bytes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from support.postgres import PostgresServer, bin_folder
from support.raw import RawClient
from support.versions import VERSIONS

from twistnotify.auth.password import prepared
from twistnotify.auth.scram import ServerStart
from twistnotify.auth.scram_keys import (
    MAX_MESSAGE,
    MECHANISM,
    MECHANISM_PLUS,
    ScramFault,
    client_key,
    client_proof,
    salted_password,
)
from twistnotify.auth.secrets import ScramSecret, format_secret, matches_salted, parse_secret, scram_secret
from twistnotify.wire.authentication import (
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    SASLInitialResponse,
    SASLResponse,
)
from twistnotify.wire.errors import ErrorResponse

USER = "tn_scram"
TOLD = "tn_told"
PASSWORD = "sécret \u00ad,="
OURS = "b" * 24
"""The server's part of a nonce, as long as PostgreSQL's."""
FIRST = b"n,,n=,r=abc"
PROOF = b",p=" + b64encode(bytes(32))
LET_IN = ("00000", "", None)
WRONG = ("28P01", f'password authentication failed for user "{USER}"', None)

Outcome = tuple[str, str, str | None]
Final = Callable[[bytes], bytes]


@pytest.fixture(scope="module", params=VERSIONS, ids=[f"pg{version}" for version in VERSIONS])
def guarded_postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A PostgreSQL with roles that have to prove their passwords by SCRAM."""
    folder = bin_folder(request.param)
    if folder is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed")
    postgres = PostgresServer(folder, request.param)
    try:
        postgres.start()
        for user in (USER, TOLD):
            postgres.fetch(f"CREATE ROLE {user} LOGIN")
        set_password(postgres, USER, PASSWORD)
        guard(postgres)
        postgres.restart()
        yield postgres
    finally:
        postgres.destroy()


def set_password(postgres: PostgresServer, user: str, password: str) -> None:
    """Give a role a password, or the SCRAM secret of one."""
    with closing(postgres.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET password_encryption = 'scram-sha-256'")
        cursor.execute(f"ALTER ROLE {user} PASSWORD %s", [password])


def guard(postgres: PostgresServer) -> None:
    """Have the roles prove their passwords."""
    hba = postgres.folder / "data" / "pg_hba.conf"
    lines = [f"host all {user} 127.0.0.1/32 scram-sha-256\n" for user in (USER, TOLD)]
    hba.write_text("".join(lines) + hba.read_text())


@pytest.fixture(scope="module")
def secret(guarded_postgres: PostgresServer) -> ScramSecret:
    """What PostgreSQL keeps of the password."""
    ((text,),) = guarded_postgres.fetch("SELECT rolpassword FROM pg_authid WHERE rolname = %s", USER)
    parsed = parse_secret(text)
    assert isinstance(parsed, ScramSecret)
    assert format_secret(parsed) == text
    return parsed


def postgresql_says(
    postgres: PostgresServer, mechanism: str, first: bytes | None, final: Final, user: str = USER
) -> Outcome:
    """Return SQLSTATE, message and detail of what PostgreSQL says to an exchange."""
    with RawClient(postgres.port, database=None) as client:
        client.send_startup("postgres", user=user)
        assert client.read() == AuthenticationSASL((MECHANISM,))
        client.send(SASLInitialResponse(mechanism.encode(), first))
        answer = client.read()
        if first is None and isinstance(answer, AuthenticationSASLContinue):
            assert answer.data == b""
            client.send(SASLResponse(FIRST))
            answer = client.read()
        if isinstance(answer, AuthenticationSASLContinue):
            client.send(SASLResponse(final(answer.data)))
            answer = client.read()
        if isinstance(answer, AuthenticationSASLFinal):
            assert client.read() == AuthenticationOk()
            return LET_IN
        assert isinstance(answer, ErrorResponse), answer
        return answer.fields.sqlstate, answer.fields.message, answer.fields.detail


def we_say(secret: ScramSecret, mechanism: str, first: bytes | None, final: Final) -> Outcome:
    """Return the same of what the project's own server says."""
    try:
        start = ServerStart(secret, doomed=False, nonce=OURS, binding=None)
        challenge = start.challenge(mechanism, FIRST if first is None else first)
        if challenge.verify(final(challenge.message)) is not None:
            return LET_IN
    except ScramFault as fault:
        return WRONG if fault.sqlstate == "28P01" else (fault.sqlstate, fault.message, fault.detail)
    return WRONG


def proving(first: bytes, bound: bytes = b"biws", extensions: bytes = b"", password: str = PASSWORD) -> Final:
    """Return what answers a challenge by the right proof."""

    def answer(challenge: bytes) -> bytes:
        nonce, salt, iterations = (part[2:] for part in challenge.split(b","))
        salted = salted_password(prepared(password), b64decode(salt), int(iterations))
        without_proof = b"c=" + bound + b",r=" + nonce + extensions
        signed = b",".join((first.split(b",", 2)[2], challenge, without_proof))
        return without_proof + b",p=" + b64encode(client_proof(client_key(salted), signed))

    return answer


def nonce_of(challenge: bytes) -> bytes:
    """Return the nonce of both sides."""
    return challenge[2 : challenge.index(b",")]


def with_nonce(template: bytes) -> Final:
    """Return an answer that has the nonce in place of a "%b"."""
    return lambda challenge: template.replace(b"%b", nonce_of(challenge))


@pytest.mark.parametrize(
    "first",
    [
        FIRST,
        b"y,,n=,r=abc",
        b"n,,n=somebody,r=abc",
        b"n,,n=a=2Cb,r=abc",
        b"n,,n=\xff\x01,r=abc",
        b"n,,n=,r=",
        b"n,,n=,r=abc,",
        b"n,,n=,r=abc,x=1,Y=,z=a=b",
        b"n,,n=,r=abc,r=other",
        # PostgreSQL counts the mechanism and three more fields of the message.
        b"n,,n=,r=abc,x=" + b"1" * (MAX_MESSAGE - len(FIRST) - len(MECHANISM) - 12),
    ],
)
def test_what_postgresql_lets_in_is_let_in(guarded_postgres: PostgresServer, secret: ScramSecret, first: bytes) -> None:
    final = proving(first, b64encode(first[:3]))
    assert postgresql_says(guarded_postgres, MECHANISM, first, final) == LET_IN
    assert we_say(secret, MECHANISM, first, final) == LET_IN


def test_the_first_message_may_come_later(guarded_postgres: PostgresServer, secret: ScramSecret) -> None:
    assert postgresql_says(guarded_postgres, MECHANISM, None, proving(FIRST)) == LET_IN
    assert we_say(secret, MECHANISM, None, proving(FIRST)) == LET_IN


@pytest.mark.parametrize("mechanism", [MECHANISM_PLUS, "", "SCRAM-SHA-1", "scram-sha-256", "OAUTHBEARER"])
@pytest.mark.parametrize("first", [None, b"", FIRST])
def test_a_mechanism_that_is_not_offered_is_the_same_fault(
    guarded_postgres: PostgresServer, secret: ScramSecret, mechanism: str, first: bytes | None
) -> None:
    theirs = postgresql_says(guarded_postgres, mechanism, first, proving(FIRST))
    assert theirs == ("08P01", "client selected an invalid SASL authentication mechanism", None)
    assert we_say(secret, mechanism, first, proving(FIRST)) == theirs


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"\0",
        FIRST + b"\0",
        b"n",
        b"y",
        b"p",
        b"x,,n=,r=abc",
        b"\xff,,n=,r=abc",
        b" ,,n=,r=abc",
        b"N,,n=,r=abc",
        b"n=,,n=,r=abc",
        b"nn,n=,r=abc",
        b"y\x7f,n=,r=abc",
        b"p=tls-server-end-point,,n=,r=abc",
        b"p=tls-unique,,n=,r=abc",
        b"p,,n=,r=abc",
        b"n,",
        b"n,a=somebody,n=,r=abc",
        b"n,a,n=,r=abc",
        b"n,b=somebody,n=,r=abc",
        b"n,,",
        b"n,,m=must,n=,r=abc",
        b"n,,m",
        b"n,,n",
        b"n,,n:,r=abc",
        b"n,,n=",
        b"n,,n=,",
        b"n,,r=abc",
        b"n,,r=abc,n=",
        b"n,,n=,,r=abc",
        b"n,,n=,r",
        b"n,,n=,r:abc",
        b"n,,n=,r=a b",
        b"n,,n=,r=a\x7fb",
        b"n,,n=,r=a\xffb",
        b"n,,n=,r=abc,,",
        b"n,,n=,r=abc,1=x",
        b"n,,n=,r=abc,\xe9=x",
        b"n,,n=,r=abc,x",
        b"n,,n=,r=abc,x:1",
        b"n,,n=,r=abc,xy=1",
        FIRST + b",x=" + b"1" * MAX_MESSAGE,
    ],
)
def test_a_first_message_that_is_refused_is_the_same_fault(
    guarded_postgres: PostgresServer, secret: ScramSecret, first: bytes
) -> None:
    theirs = postgresql_says(guarded_postgres, MECHANISM, first, proving(FIRST))
    assert theirs != LET_IN
    assert we_say(secret, MECHANISM, first, proving(FIRST)) == theirs


@pytest.mark.parametrize(
    "final",
    [
        b"",
        b"\0",
        b"c",
        b"c=",
        b"c=biws",
        b"c=eSws,r=%b" + PROOF,
        b"c=,r=%b" + PROOF,
        b"c=" + b64encode(b"p=tls-server-end-point,,") + b",r=%b" + PROOF,
        b"c:biws,r=%b" + PROOF,
        b"C=biws,r=%b" + PROOF,
        b"r=%b,c=biws" + PROOF,
        b"c=biws,r=",
        b"c=biws,r=%b",
        b"c=biws,r=%b,",
        b"c=biws,r=%b,x=1",
        b"c=biws,r=%b,x=1,",
        b"c=biws,r=%b,1=x" + PROOF,
        b"c=biws,r=%b,xx=1" + PROOF,
        b"c=biws,r=" + PROOF,
        b"c=biws,r=abc" + PROOF,
        b"c=biws,r=other%b" + PROOF,
        b"c=biws,r=%bmore" + PROOF,
        b"c=biws,r=\xff%b" + PROOF,
        b"c=biws,r=abc,p=AAAA",
        b"c=biws,r=%b,p",
        b"c=biws,r=%b,p=",
        b"c=biws,r=%b,p=AAAA",
        b"c=biws,r=%b,p=*",
        b"c=biws,r=%b,p=" + b64encode(bytes(31)),
        b"c=biws,r=%b,p=" + b64encode(bytes(33)),
        b"c=biws,r=%b" + PROOF[:-1],
        b"c=biws,r=%b" + PROOF + b"=",
        b"c=biws,r=%b" + PROOF + b"\n",
        b"c=biws,r=%b" + PROOF + b",x=1",
        b"c=biws,r=%b" + PROOF + b",",
        b"c=biws,r=%b" + PROOF + b"\0",
        b"c=biws,r=%b" + PROOF,
        b"c=biws,r=%b,x=1" + PROOF,
        b"c=biws,r=%b,x=" + b"1" * MAX_MESSAGE + PROOF,
    ],
)
def test_a_final_message_that_is_refused_is_the_same_fault(
    guarded_postgres: PostgresServer, secret: ScramSecret, final: bytes
) -> None:
    theirs = postgresql_says(guarded_postgres, MECHANISM, FIRST, with_nonce(final))
    assert theirs != LET_IN
    assert we_say(secret, MECHANISM, FIRST, with_nonce(final)) == theirs


@pytest.mark.parametrize("first", [FIRST, b"y,,n=,r=abc"])
def test_the_flag_has_to_be_repeated(guarded_postgres: PostgresServer, secret: ScramSecret, first: bytes) -> None:
    final = proving(first, b"biws" if first[:1] == b"y" else b"eSws")
    theirs = postgresql_says(guarded_postgres, MECHANISM, first, final)
    assert theirs[0] == "08P01"
    assert we_say(secret, MECHANISM, first, final) == theirs


def test_extensions_of_the_final_message_are_signed(guarded_postgres: PostgresServer, secret: ScramSecret) -> None:
    final = proving(FIRST, extensions=b",x=1,Y=")
    assert postgresql_says(guarded_postgres, MECHANISM, FIRST, final) == LET_IN
    assert we_say(secret, MECHANISM, FIRST, final) == LET_IN


def test_a_comma_at_the_end_is_passed_over(guarded_postgres: PostgresServer, secret: ScramSecret) -> None:
    def final(challenge: bytes) -> bytes:
        return proving(FIRST)(challenge) + b","

    assert postgresql_says(guarded_postgres, MECHANISM, FIRST, final) == LET_IN
    assert we_say(secret, MECHANISM, FIRST, final) == LET_IN


def test_a_wrong_password_is_the_same_refusal(guarded_postgres: PostgresServer, secret: ScramSecret) -> None:
    final = proving(FIRST, password="another")
    assert postgresql_says(guarded_postgres, MECHANISM, FIRST, final) == WRONG
    assert we_say(secret, MECHANISM, FIRST, final) == WRONG


def test_the_password_is_known_again_in_what_postgresql_keeps(secret: ScramSecret) -> None:
    assert scram_secret(PASSWORD, secret.salt, secret.iterations) == secret
    assert matches_salted(secret, salted_password(prepared(PASSWORD), secret.salt, secret.iterations))
    assert not matches_salted(secret, salted_password(b"another", secret.salt, secret.iterations))


@pytest.mark.parametrize("iterations", [1, 4096, 5000])
def test_postgresql_takes_a_secret_that_is_made_here(guarded_postgres: PostgresServer, iterations: int) -> None:
    made = scram_secret(PASSWORD, b"a salt of 16 by.", iterations)
    set_password(guarded_postgres, TOLD, format_secret(made))
    ((kept,),) = guarded_postgres.fetch("SELECT rolpassword FROM pg_authid WHERE rolname = %s", TOLD)
    assert kept == format_secret(made)
    assert postgresql_says(guarded_postgres, MECHANISM, FIRST, proving(FIRST), user=TOLD) == LET_IN
