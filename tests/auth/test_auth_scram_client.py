"""The client's side of SCRAM-SHA-256."""

from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.auth.password import prepared
from twistnotify.auth.scram_client import ClientFinal, ClientFirst
from twistnotify.auth.scram_keys import MAX_ITERATIONS, MAX_MESSAGE, ScramFault, client_key, salted_password, server_key

# RFC 7677, section 3.
PASSWORD = "pencil"
FIRST = ClientFirst("rOprNGfwEbeRWgbNEkqO", "user")
NONCE = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CHALLENGE = b"r=" + NONCE + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
PROOF = b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
VERDICT = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def answer(challenge: bytes, password: str = PASSWORD) -> ClientFinal:
    """Read a challenge and answer it."""
    read = FIRST.read(challenge)
    salted = salted_password(prepared(password), read.salt, read.iterations)
    return FIRST.answer(read, client_key(salted), server_key(salted))


@pytest.fixture
def final() -> ClientFinal:
    """The client that has answered the challenge of the RFC."""
    return answer(CHALLENGE)


def test_the_exchange_is_that_of_the_rfc(final: ClientFinal) -> None:
    assert FIRST.message == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert final.message == b"c=biws,r=" + NONCE + b",p=" + PROOF
    final.verify(VERDICT)


def test_postgresql_needs_no_name() -> None:
    assert ClientFirst("abc").message == b"n,,n=,r=abc"


def test_a_name_may_hold_what_separates_attributes() -> None:
    assert ClientFirst("abc", "a,b=c").message == b"n,,n=a=2Cb=3Dc,r=abc"


@pytest.mark.parametrize("nonce", ["", "a,b", "a b", "a\n", "é", "\udcff"])
def test_a_nonce_is_printable_ascii_without_a_comma(nonce: str) -> None:
    with pytest.raises(ValueError):
        ClientFirst(nonce)


def test_a_challenge_tells_what_the_keys_are_derived_with() -> None:
    challenge = FIRST.read(CHALLENGE)
    assert (challenge.message, challenge.nonce) == (CHALLENGE, NONCE)
    assert (b64encode(challenge.salt), challenge.iterations) == (b"W22ZaJ0SNY7soEsUEjb6gQ==", 4096)


def test_extensions_that_are_not_known_are_passed_over(final: ClientFinal) -> None:
    assert answer(CHALLENGE + b",x=1,Y=a=b").message.startswith(b"c=biws,r=" + NONCE + b",p=")
    final.verify(VERDICT + b",x=1")


@pytest.mark.parametrize("nonce", [b"rOprNGfwEbeRWgbNEkqO", b"rOprNGfwEbeRWgbNEkq", b"other" + NONCE])
def test_the_servers_nonce_has_to_extend_ours(nonce: bytes) -> None:
    with pytest.raises(ScramFault, match="does not extend") as caught:
        FIRST.read(b"r=" + nonce + b",s=c2FsdA==,i=1")
    assert caught.value.sqlstate == "28000"


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=" + NONCE,
        b"r=" + NONCE + b",s=c2FsdA==",
        b"r=" + NONCE + b",s=,i=1",
        b"r=" + NONCE + b",s=c2F,i=1",
        b"r=" + NONCE + b",s=c2F*,i=1",
        b"r=" + NONCE + b",s=c2FsdA==,i=0",
        b"r=" + NONCE + b",s=c2FsdA==,i=-1",
        b"r=" + NONCE + b",s=c2FsdA==,i=01",
        b"r=" + NONCE + b",s=c2FsdA==,i=12345678901",
        b"r=" + NONCE + b",s=c2FsdA==,i=1,",
        b"r=" + NONCE + b",s=c2FsdA==,i=1\n",
        b"r=" + NONCE + b"\xff,s=c2FsdA==,i=1",
        b"m=must," + CHALLENGE,
        b"s=c2FsdA==,i=1,r=" + NONCE,
    ],
)
def test_a_challenge_that_is_not_scram_is_a_fault(challenge: bytes) -> None:
    with pytest.raises(ScramFault, match=r"^malformed SCRAM message$") as caught:
        FIRST.read(challenge)
    assert caught.value.sqlstate == "08P01"


def test_the_work_that_a_server_may_ask_for_is_bounded() -> None:
    assert FIRST.read(b"r=%b,s=c2FsdA==,i=%d" % (NONCE, MAX_ITERATIONS)).iterations == MAX_ITERATIONS
    with pytest.raises(ScramFault, match=f"asks for {MAX_ITERATIONS + 1} SCRAM iterations") as caught:
        FIRST.read(b"r=%b,s=c2FsdA==,i=%d" % (NONCE, MAX_ITERATIONS + 1))
    assert caught.value.sqlstate == "28000"


def test_the_length_of_a_message_is_bounded(final: ClientFinal) -> None:
    longest = CHALLENGE + b",x=" + b"1" * (MAX_MESSAGE - len(CHALLENGE) - 3)
    assert FIRST.read(longest).nonce == NONCE
    for attempt in (lambda: FIRST.read(longest + b"1"), lambda: final.verify(bytes(MAX_MESSAGE + 1))):
        with pytest.raises(ScramFault, match=r"^SCRAM message of 1025 bytes is too long$") as caught:
            attempt()
        assert caught.value.sqlstate == "08P01"


@pytest.mark.parametrize("forged", [bytes(32), b"", b"short", bytes(33)])
def test_a_server_that_does_not_know_the_password_is_not_trusted(final: ClientFinal, forged: bytes) -> None:
    with pytest.raises(ScramFault) as caught:
        final.verify(b"v=" + b64encode(forged))
    assert caught.value.sqlstate == ("28000" if forged else "08P01")


def test_a_server_that_knows_another_password_is_not_trusted() -> None:
    with pytest.raises(ScramFault, match=r"^the SCRAM signature of the server is wrong$"):
        answer(CHALLENGE, "crayon").verify(VERDICT)


def test_a_refusal_says_why(final: ClientFinal) -> None:
    with pytest.raises(ScramFault, match=r"^the server has refused the SCRAM exchange: invalid-proof$") as caught:
        final.verify(b"e=invalid-proof")
    assert caught.value.sqlstate == "28000"


@pytest.mark.parametrize("verdict", [b"", b"v=", b"v=*", b"v=abc", b"e=", b"e=Not\nso", VERDICT + b"\n"])
def test_a_verdict_that_is_not_scram_is_a_fault(final: ClientFinal, verdict: bytes) -> None:
    with pytest.raises(ScramFault, match=r"^malformed SCRAM message$") as caught:
        final.verify(verdict)
    assert caught.value.sqlstate == "08P01"


def test_no_repr_shows_a_secret(final: ClientFinal) -> None:
    assert repr(final) == "ClientFinal()"
    assert repr(FIRST.read(CHALLENGE)) == "Challenge(iterations=4096)"


@settings(deadline=None)
@given(st.binary(), st.binary())
def test_garbage_is_a_fault(challenge: bytes, verdict: bytes) -> None:
    with pytest.raises(ScramFault):
        FIRST.read(challenge)
    with pytest.raises(ScramFault):
        answer(CHALLENGE).verify(verdict)
