"""The log-in to a server, which is played here by the messages it would send."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.auth.password import md5_digest
from twistnotify.auth.scram_keys import (
    QUICK_ITERATIONS,
    client_key,
    client_proof,
    salted_password,
    server_key,
    signature,
)
from twistnotify.auth.secrets import Credentials, Md5Secret, PlainSecret, ScramKeys
from twistnotify.relay.login import Derivation, LoginRefused, UpstreamSession, log_in
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
KNOWN = PlainSecret(PASSWORD)
DIGEST = Md5Secret(md5_digest(PASSWORD, "bob"))
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

    def __init__(self, credentials: Credentials | None = KNOWN) -> None:
        self.session: UpstreamSession | None = None
        self._login = log_in(PARAMETERS, credentials, NONCE)
        self.said: Any = next(self._login)

    def derive(self, salted: bytes) -> Any:
        """Hand over the derivation that was asked for; return what comes of it."""
        self.said = self._login.send(salted)
        return self.said

    def send(self, *messages: BackendMessage | bytes) -> Any:
        """Send messages, or frames; return what the last one is answered with."""
        for message in messages:
            frame = message if isinstance(message, bytes) else message.encode()
            try:
                self.said = self._login.send((frame[0], frame[5:]))
            except StopIteration as end:
                self.session = end.value
        return self.said


def answer_of(*messages: BackendMessage, credentials: Credentials | None = KNOWN) -> Any:
    """Return what the last of a server's messages is answered with."""
    return Server(credentials).send(*messages)


def refusal_by(*messages: BackendMessage | bytes, credentials: Credentials | None = KNOWN) -> ErrorFields:
    """Return the error that a server's messages end in."""
    with pytest.raises(LoginRefused) as caught:
        Server(credentials).send(*messages)
    return caught.value.fields


def keys_of(password: str = PASSWORD, iterations: int = 2) -> ScramKeys:
    """Return the keys that a server's salt and iterations make of a password."""
    salted = salted_password(password.encode(), SALT, iterations)
    return ScramKeys(SALT, iterations, client_key(salted), server_key(salted))


def scram_of_the_server(password: str = PASSWORD, iterations: int = 2) -> tuple[bytes, bytes, bytes]:
    """Return a challenge, the client's right answer and the server's proof."""
    keys = keys_of(password, iterations)
    challenge = b"r=ours+theirs,s=" + b64encode(SALT) + b",i=%d" % iterations
    without_proof = b"c=biws,r=ours+theirs"
    signed = b"n=,r=ours," + challenge + b"," + without_proof
    proof = client_proof(keys.client_key, signed)
    return (
        challenge,
        without_proof + b",p=" + b64encode(proof),
        b"v=" + b64encode(signature(keys.server_key, signed)),
    )


def test_the_first_words_are_the_startup_message() -> None:
    assert Server().said == StartupMessage(PROTOCOL_3_0, PARAMETERS).encode()


def test_the_parameters_keep_their_order() -> None:
    assert Server().said[8:] == b"user\0bob\0database\0app\0client_encoding\0UTF8\0\0"


def test_a_server_that_trusts_asks_for_nothing() -> None:
    server = Server(credentials=None)
    assert server.send(AuthenticationOk()) == b""
    server.send(*GREETING)
    assert server.session == SESSION


def test_a_password_is_sent_as_it_is() -> None:
    assert answer_of(AuthenticationCleartextPassword()) == b"p\0\0\0\x0cs\xc3\xa9cret\0"


@pytest.mark.parametrize("credentials", [KNOWN, DIGEST])
def test_a_password_is_digested_with_the_user_and_the_salt(credentials: Credentials) -> None:
    answer = answer_of(AuthenticationMD5Password(b"\x01\x02\x03\xff"), credentials=credentials)
    assert answer == PasswordMessage(b"md536ada74ed52375c26259c953714d67da").encode()


@pytest.mark.parametrize("request_", [AuthenticationCleartextPassword(), AuthenticationMD5Password(b"salt")])
def test_a_proof_is_followed_by_the_greeting(request_: BackendMessage) -> None:
    server = Server()
    assert server.send(request_, AuthenticationOk()) == b""
    server.send(*GREETING)
    assert server.session == SESSION


@pytest.mark.parametrize("credentials", [KNOWN, keys_of()])
def test_a_password_is_proved_by_scram(credentials: Credentials) -> None:
    challenge, proof, verdict = scram_of_the_server()
    server = Server(credentials)
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


@pytest.mark.parametrize("credentials", [None, PlainSecret("")])
@pytest.mark.parametrize("request_", [AuthenticationCleartextPassword(), AuthenticationMD5Password(b"salt"), SCRAM])
def test_a_password_that_is_needed_must_be_there(request_: BackendMessage, credentials: Credentials | None) -> None:
    error = refusal_by(request_, credentials=credentials)
    assert error == ErrorFields("FATAL", "28P01", "no password supplied, and the server asks for one")


@pytest.mark.parametrize(
    ("request_", "credentials", "message"),
    [
        (
            AuthenticationCleartextPassword(),
            DIGEST,
            "the server asks for the password itself, which is not known here",
        ),
        (
            AuthenticationCleartextPassword(),
            keys_of(),
            "the server asks for the password itself, which is not known here",
        ),
        (
            AuthenticationMD5Password(b"salt"),
            keys_of(),
            "the server asks for an MD5 digest, and only SCRAM keys are known here",
        ),
        (SCRAM, DIGEST, "the server asks for SCRAM, and only an MD5 digest is known here"),
    ],
)
def test_what_is_known_has_to_be_what_is_asked_for(
    request_: BackendMessage, credentials: Credentials, message: str
) -> None:
    assert refusal_by(request_, credentials=credentials) == ErrorFields("FATAL", "28P01", message)


@pytest.mark.parametrize("keys", [keys_of(iterations=3), replace(keys_of(), salt=b"another")])
def test_scram_keys_are_for_a_server_with_the_same_secret(keys: ScramKeys) -> None:
    challenge, _, _ = scram_of_the_server()
    error = refusal_by(SCRAM, AuthenticationSASLContinue(challenge), credentials=keys)
    assert error == ErrorFields("FATAL", "28P01", "the SCRAM secrets of the user differ here and at the server")


def test_much_work_is_for_somebody_else_to_do() -> None:
    challenge, proof, verdict = scram_of_the_server(iterations=QUICK_ITERATIONS + 1)
    server = Server()
    wanted = server.send(SCRAM, AuthenticationSASLContinue(challenge))
    assert wanted == Derivation(PASSWORD.encode(), SALT, QUICK_ITERATIONS + 1)
    salted = salted_password(wanted.password, wanted.salt, wanted.iterations)
    assert server.derive(salted) == SASLResponse(proof).encode()
    server.send(AuthenticationSASLFinal(verdict), AuthenticationOk(), *GREETING)
    assert server.session == SESSION


def test_little_work_is_done_at_once() -> None:
    challenge, proof, _ = scram_of_the_server(iterations=QUICK_ITERATIONS)
    assert answer_of(SCRAM, AuthenticationSASLContinue(challenge)) == SASLResponse(proof).encode()


def test_scram_keys_are_no_work() -> None:
    challenge, proof, _ = scram_of_the_server(iterations=QUICK_ITERATIONS + 1)
    keys = keys_of(iterations=QUICK_ITERATIONS + 1)
    answer = answer_of(SCRAM, AuthenticationSASLContinue(challenge), credentials=keys)
    assert answer == SASLResponse(proof).encode()


def test_a_password_is_prepared_before_somebody_derives_its_key() -> None:
    challenge, _, _ = scram_of_the_server(iterations=QUICK_ITERATIONS + 1)
    credentials = PlainSecret("pen\u00adcil")
    wanted = answer_of(SCRAM, AuthenticationSASLContinue(challenge), credentials=credentials)
    assert wanted.password == b"pencil"


@pytest.mark.parametrize("credentials", [KNOWN, keys_of()])
def test_a_server_that_does_not_know_the_password_is_refused(credentials: Credentials) -> None:
    challenge, _, verdict = scram_of_the_server("another")
    messages = (SCRAM, AuthenticationSASLContinue(challenge), AuthenticationSASLFinal(verdict))
    error = refusal_by(*messages, credentials=credentials)
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
        Server(credentials=None).send(ReadyForQuery("I"))


@pytest.mark.parametrize(
    "frame", [b"?\0\0\0\x04", b"R\0\0\0\x04", b"R\0\0\0\x07\0\0\0", b"Z\0\0\0\x05X", b"E\0\0\0\x04"]
)
def test_garbage_is_a_violation(frame: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        Server().send(frame)


def test_a_server_that_reports_settings_without_end_is_refused() -> None:
    server = Server(credentials=None)
    server.send(AuthenticationOk(), *(ParameterStatus(f"s{number}", "") for number in range(MAX_PARAMETERS)))
    with pytest.raises(ProtocolViolation, match="too many settings"):
        server.send(ParameterStatus("one more", ""))


def test_no_repr_shows_a_secret() -> None:
    assert repr(UpstreamSession({}, 1, b"key!")) == "UpstreamSession(parameters={}, pid=1)"
    assert repr(Derivation(PASSWORD.encode(), SALT, 2)) == "Derivation(iterations=2)"
    assert PASSWORD not in repr(log_in(PARAMETERS, KNOWN, NONCE))


types = st.sampled_from(sorted({message.type for message in BACKEND_MESSAGES}))
frames = st.tuples(types, st.binary(max_size=20) | st.integers(0, 12).map(lambda code: code.to_bytes(4, "big")))


@settings(deadline=None)
@given(st.lists(frames))
def test_a_server_of_any_kind_ends_in_a_session_or_an_error(received: list[tuple[int, bytes]]) -> None:
    login = log_in(PARAMETERS, KNOWN, NONCE)
    next(login)
    try:
        for frame in received:
            assert isinstance(login.send(frame), bytes)
    except (LoginRefused, ProtocolViolation):
        pass
    except StopIteration as end:
        assert isinstance(end.value, UpstreamSession)  # noqa: PT017 - one of three right ends
