"""The log-in to a server, which is played here by the messages it would send."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.auth.scram import client_key, client_proof, salted_password, server_key, signature
from twistnotify.relay.login import LoginRefused, UpstreamSession, log_in
from twistnotify.wire.authentication import (
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    PasswordMessage,
    SASLInitialResponse,
    SASLResponse,
)
from twistnotify.wire.catalog import BACKEND_MESSAGES, BackendMessage
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.session_status import MAX_PARAMETERS, ParameterStatus, ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete
from twistnotify.wire.startup import (
    PROTOCOL_3_0,
    PROTOCOL_3_2,
    BackendKeyData,
    NegotiateProtocolVersion,
    StartupMessage,
)
from twistnotify.wire.violations import ProtocolViolation

PARAMETERS = {"user": "bob", "database": "app", "client_encoding": "UTF8"}
PASSWORD = "sécret"
NONCE = "ours"
SALT = b"salt"
SCRAM = AuthenticationSASL(("SCRAM-SHA-256",))
NOTICE = NoticeResponse(ErrorFields("WARNING", "01000", "careful"))
REFUSED = ErrorFields("FATAL", "28P01", 'password authentication failed for user "bob"')
GREETING = (
    ParameterStatus("server_version", "15.4"),
    ParameterStatus("client_encoding", "UTF8"),
    BackendKeyData(4711, b"key!"),
    ReadyForQuery("I"),
)
SESSION = UpstreamSession({"server_version": "15.4", "client_encoding": "UTF8"}, 4711, b"key!")


class Server:
    """A log-in, and a server on the other side of it."""

    def __init__(self, password: str | None = PASSWORD) -> None:
        self.session: UpstreamSession | None = None
        self._login = log_in(PARAMETERS, password, NONCE)
        self.said = next(self._login)

    def send(self, *messages: BackendMessage | bytes) -> bytes:
        """Send messages, or frames; return what the last one is answered with."""
        for message in messages:
            frame = message if isinstance(message, bytes) else message.encode()
            try:
                self.said = self._login.send((frame[0], frame[5:]))
            except StopIteration as end:
                self.session = end.value
        return self.said


def answer_of(*messages: BackendMessage, password: str | None = PASSWORD) -> bytes:
    """Return what the last of a server's messages is answered with."""
    return Server(password).send(*messages)


def refusal_by(*messages: BackendMessage | bytes, password: str | None = PASSWORD) -> ErrorFields:
    """Return the error that a server's messages end in."""
    with pytest.raises(LoginRefused) as caught:
        Server(password).send(*messages)
    return caught.value.fields


def scram_of_the_server(password: bytes = PASSWORD.encode()) -> tuple[bytes, bytes, bytes]:
    """Return a challenge, the client's right answer and the server's proof."""
    salted = salted_password(password, SALT, 2)
    challenge = b"r=ours+theirs,s=" + b64encode(SALT) + b",i=2"
    without_proof = b"c=biws,r=ours+theirs"
    signed = b"n=,r=ours," + challenge + b"," + without_proof
    proof = client_proof(client_key(salted), signed)
    return (
        challenge,
        without_proof + b",p=" + b64encode(proof),
        b"v=" + b64encode(signature(server_key(salted), signed)),
    )


def test_the_first_words_are_the_startup_message() -> None:
    assert Server().said == StartupMessage(PROTOCOL_3_0, PARAMETERS).encode()


def test_the_parameters_keep_their_order() -> None:
    assert Server().said[8:] == b"user\0bob\0database\0app\0client_encoding\0UTF8\0\0"


def test_a_server_that_trusts_asks_for_nothing() -> None:
    server = Server(password=None)
    assert server.send(AuthenticationOk()) == b""
    server.send(*GREETING)
    assert server.session == SESSION


def test_a_password_is_sent_as_it_is() -> None:
    assert answer_of(AuthenticationCleartextPassword()) == b"p\0\0\0\x0cs\xc3\xa9cret\0"


def test_a_password_is_digested_with_the_user_and_the_salt() -> None:
    answer = answer_of(AuthenticationMD5Password(b"\x01\x02\x03\xff"))
    assert answer == PasswordMessage(b"md536ada74ed52375c26259c953714d67da").encode()


@pytest.mark.parametrize("request_", [AuthenticationCleartextPassword(), AuthenticationMD5Password(b"salt")])
def test_a_proof_is_followed_by_the_greeting(request_: BackendMessage) -> None:
    server = Server()
    assert server.send(request_, AuthenticationOk()) == b""
    server.send(*GREETING)
    assert server.session == SESSION


def test_a_password_is_proved_by_scram() -> None:
    challenge, proof, verdict = scram_of_the_server()
    server = Server()
    assert server.send(SCRAM) == SASLInitialResponse(b"SCRAM-SHA-256", b"n,,n=,r=ours").encode()
    assert server.send(AuthenticationSASLContinue(challenge)) == SASLResponse(proof).encode()
    assert server.send(AuthenticationSASLFinal(verdict)) == b""
    server.send(AuthenticationOk(), *GREETING)
    assert server.session == SESSION


def test_channel_binding_is_offered_in_vain() -> None:
    offered = AuthenticationSASL(("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"))
    assert answer_of(offered) == answer_of(SCRAM)


def test_a_server_without_a_mechanism_of_ours_is_refused() -> None:
    error = refusal_by(AuthenticationSASL(("SCRAM-SHA-256-PLUS", "OAUTHBEARER")))
    assert error == ErrorFields("FATAL", "0A000", "unsupported SASL mechanisms: SCRAM-SHA-256-PLUS, OAUTHBEARER")


def test_an_authentication_method_that_is_not_spoken_is_refused() -> None:
    error = refusal_by(b"R\0\0\0\x08\0\0\0\x07")
    assert error == ErrorFields("FATAL", "0A000", "unsupported authentication request 7")


@pytest.mark.parametrize("password", [None, ""])
@pytest.mark.parametrize("request_", [AuthenticationCleartextPassword(), AuthenticationMD5Password(b"salt"), SCRAM])
def test_a_password_that_is_needed_must_be_there(request_: BackendMessage, password: str | None) -> None:
    error = refusal_by(request_, password=password)
    assert error == ErrorFields("FATAL", "28P01", "no password supplied, and the server asks for one")


def test_a_server_that_does_not_know_the_password_is_refused() -> None:
    challenge, _, verdict = scram_of_the_server(b"another")
    error = refusal_by(SCRAM, AuthenticationSASLContinue(challenge), AuthenticationSASLFinal(verdict))
    assert error == ErrorFields("FATAL", "28000", "the SCRAM signature of the server is wrong")


def test_a_challenge_that_is_not_scram_is_refused() -> None:
    error = refusal_by(SCRAM, AuthenticationSASLContinue(b"r=ours"))
    assert error == ErrorFields("FATAL", "08P01", "malformed SCRAM message")


@pytest.mark.parametrize(
    "before",
    [
        (),
        (NOTICE,),
        (AuthenticationCleartextPassword(),),
        (AuthenticationMD5Password(b"salt"),),
        (SCRAM,),
        (SCRAM, AuthenticationSASLContinue(scram_of_the_server()[0])),
        (AuthenticationOk(),),
        (AuthenticationOk(), *GREETING[:2]),
    ],
)
def test_an_error_of_the_server_ends_the_log_in_at_any_time(before: Iterable[BackendMessage]) -> None:
    assert refusal_by(*before, ErrorResponse(REFUSED)) == REFUSED


def test_a_refusal_reads_as_the_servers_words() -> None:
    assert str(LoginRefused(REFUSED)) == 'FATAL 28P01: password authentication failed for user "bob"'


def test_notices_change_nothing_but_the_turn() -> None:
    server = Server()
    assert server.send(NOTICE) == b""
    assert server.send(AuthenticationCleartextPassword()) != b""
    assert server.send(NOTICE) == b""
    server.send(AuthenticationOk(), NOTICE, *GREETING[:3], NOTICE, GREETING[3])
    assert server.session == SESSION


def test_a_server_may_not_know_our_options() -> None:
    server = Server()
    assert server.send(NegotiateProtocolVersion(PROTOCOL_3_0, ("_pq_.a",))) == b""
    server.send(AuthenticationOk(), *GREETING)
    assert server.session == SESSION


def test_another_protocol_version_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation, match=r"3\.0 was asked for$"):
        Server().send(NegotiateProtocolVersion(PROTOCOL_3_2, ()))


def test_the_parameters_may_come_around_the_key_and_change() -> None:
    # A pooler has its own order, and its key is random from end to end.
    server = Server()
    server.send(AuthenticationOk(), ParameterStatus("a", "1"), BackendKeyData(-7, b"\0\xff\0\xff"))
    server.send(ParameterStatus("b", "2"), ParameterStatus("a", "3"), ReadyForQuery("I"))
    assert server.session == UpstreamSession({"a": "3", "b": "2"}, -7, b"\0\xff\0\xff")


def test_a_server_may_give_no_key() -> None:
    server = Server()
    server.send(AuthenticationOk(), ReadyForQuery("I"))
    assert server.session == UpstreamSession({}, 0, b"")


def test_a_parameter_keeps_bytes_that_are_not_utf_8() -> None:
    server = Server()
    server.send(AuthenticationOk(), ParameterStatus("application_name", "é").encode("latin-1"), ReadyForQuery("I"))
    assert server.session is not None
    assert server.session.parameters["application_name"].encode("utf-8", "surrogateescape") == b"\xe9"


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ((), ReadyForQuery("I")),
        ((), ParameterStatus("a", "b")),
        ((), AuthenticationSASLFinal(b"")),
        ((AuthenticationCleartextPassword(),), AuthenticationCleartextPassword()),
        ((AuthenticationMD5Password(b"salt"),), SCRAM),
        ((SCRAM,), AuthenticationOk()),
        ((SCRAM, AuthenticationSASLContinue(scram_of_the_server()[0])), AuthenticationOk()),
        ((AuthenticationOk(),), AuthenticationOk()),
        ((AuthenticationOk(),), CommandComplete("SELECT 1")),
        ((AuthenticationOk(),), ReadyForQuery("T")),
        ((AuthenticationOk(),), NegotiateProtocolVersion(PROTOCOL_3_0, ())),
    ],
)
def test_a_message_out_of_its_place_is_a_violation(before: Iterable[BackendMessage], message: BackendMessage) -> None:
    server = Server()
    server.send(*before)
    with pytest.raises(ProtocolViolation, match=f"^unexpected {type(message).__name__} in the log-in$"):
        server.send(message)


def test_a_message_out_of_its_place_is_a_violation_without_a_password_too() -> None:
    with pytest.raises(ProtocolViolation, match="unexpected ReadyForQuery"):
        Server(password=None).send(ReadyForQuery("I"))


@pytest.mark.parametrize(
    "frame", [b"?\0\0\0\x04", b"R\0\0\0\x04", b"R\0\0\0\x07\0\0\0", b"Z\0\0\0\x05X", b"E\0\0\0\x04"]
)
def test_garbage_is_a_violation(frame: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        Server().send(frame)


def test_a_server_that_reports_settings_without_end_is_refused() -> None:
    server = Server(password=None)
    server.send(AuthenticationOk(), *(ParameterStatus(f"s{number}", "") for number in range(MAX_PARAMETERS)))
    with pytest.raises(ProtocolViolation, match="too many settings"):
        server.send(ParameterStatus("one more", ""))


def test_no_repr_shows_a_secret() -> None:
    assert repr(UpstreamSession({}, 1, b"key!")) == "UpstreamSession(parameters={}, pid=1)"
    assert PASSWORD not in repr(log_in(PARAMETERS, PASSWORD, NONCE))


types = st.sampled_from(sorted({message.type for message in BACKEND_MESSAGES}))
frames = st.tuples(types, st.binary(max_size=20) | st.integers(0, 12).map(lambda code: code.to_bytes(4, "big")))


@settings(deadline=None)
@given(st.lists(frames))
def test_a_server_of_any_kind_ends_in_a_session_or_an_error(received: list[tuple[int, bytes]]) -> None:
    login = log_in(PARAMETERS, PASSWORD, NONCE)
    next(login)
    try:
        for frame in received:
            assert isinstance(login.send(frame), bytes)
    except (LoginRefused, ProtocolViolation):
        pass
    except StopIteration as end:
        assert isinstance(end.value, UpstreamSession)  # noqa: PT017 - one of three right ends
