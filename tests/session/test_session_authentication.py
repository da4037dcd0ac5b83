"""How a client proves who it is, in the messages of PostgreSQL."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import md5

import pytest
from conversation import ADMISSION, Conversation
from relayed import FakeRelay

from twistnotify.auth.demands import CleartextProof, Demand, Md5Proof, NoProof, ScramProof
from twistnotify.auth.scram import ServerStart
from twistnotify.auth.scram_client import ClientFirst
from twistnotify.auth.scram_keys import client_key, salted_password, server_key
from twistnotify.auth.secrets import Md5Secret, PlainSecret, ScramKeys, ScramSecret, mock_scram_secret, scram_secret
from twistnotify.session.actions import Derive, Identify, Refuse
from twistnotify.session.authentication import MAX_AUTHENTICATION_MESSAGE
from twistnotify.wire.authentication import PasswordMessage, SASLInitialResponse, SASLResponse
from twistnotify.wire.body import frame
from twistnotify.wire.errors import ErrorFields
from twistnotify.wire.simple_query import Query
from twistnotify.wire.startup import PROTOCOL_3_0, StartupMessage

PLAIN = PlainSecret("open sesame")
MD5 = Md5Secret(md5(b"open sesamealice").hexdigest().encode())
SCRAM = scram_secret("open sesame", b"some salt", 7)
SALT = b"\1\2\3\4"
START = ServerStart(SCRAM, False, "theServersOwnNonce")
BOUND = ServerStart(SCRAM, False, "theServersOwnNonce", b"the hash of a certificate")
RELAYING = replace(ADMISSION, relay=FakeRelay())
FAILED = 'FATAL 28P01 password authentication failed for user "alice"'
WELCOMED = "Z(I)"
BLOCKED = ErrorFields("FATAL", "28000", "too many failed log-ins")


def arrive(demand: Demand) -> tuple[Conversation, list[str]]:
    conversation = Conversation(demand=demand, admission=RELAYING)
    return conversation, conversation.say(StartupMessage(PROTOCOL_3_0, {"user": "alice", "database": "app"}))


def answer(conversation: Conversation, message: bytes) -> list[str]:
    return conversation.receive(message)


def md5_answer(password: str, user: str = "alice") -> bytes:
    inner = md5((password + user).encode()).hexdigest().encode()
    return PasswordMessage(b"md5" + md5(inner + SALT).hexdigest().encode()).encode()


def refused(conversation: Conversation) -> list[Refuse]:
    return [action for action in conversation.asked if isinstance(action, Refuse)]


def test_who_has_nothing_to_prove_is_let_in_at_once() -> None:
    conversation, lines = arrive(NoProof(PLAIN))
    assert lines[0] == "admit alice to app"
    assert lines[-1] == WELCOMED
    assert conversation.asked == [Identify("app", "alice")]
    assert conversation.session.credentials is PLAIN


@pytest.mark.parametrize("secret", [PLAIN, MD5, SCRAM], ids=["plain", "md5", "scram"])
def test_a_password_in_clear_text_is_compared_with_whatever_is_known(
    secret: PlainSecret | Md5Secret | ScramSecret,
) -> None:
    conversation, lines = arrive(CleartextProof(secret))
    assert lines == ["AuthenticationCleartextPassword"]
    lines = answer(conversation, PasswordMessage(b"open sesame").encode())
    assert (lines[0], lines[-1]) == ("admit alice to app", WELCOMED)
    assert conversation.session.credentials == PLAIN
    assert not refused(conversation)


@pytest.mark.parametrize("secret", [PLAIN, MD5, SCRAM], ids=["plain", "md5", "scram"])
@pytest.mark.parametrize("doomed", [False, True])
def test_a_wrong_password_in_clear_text_does_not_do(
    secret: PlainSecret | Md5Secret | ScramSecret, doomed: bool
) -> None:
    conversation, _ = arrive(CleartextProof(secret, doomed))
    password = b"open sesame" if doomed else b"open sesame!"
    assert answer(conversation, PasswordMessage(password).encode()) == [FAILED, "close: login"]
    assert refused(conversation) == [Refuse("alice", "app", FAILED.removeprefix("FATAL 28P01 "))]
    assert conversation.session.credentials is None


def test_the_slow_part_of_a_comparison_is_left_to_the_world() -> None:
    conversation, _ = arrive(CleartextProof(SCRAM))
    answer(conversation, PasswordMessage(b"open\xc2\xa0sesame").encode())
    assert conversation.asked[2] == Derive(b"open sesame", b"some salt", 7)
    assert "sesame" not in repr(conversation.asked)


def test_an_empty_password_is_told_so() -> None:
    conversation, _ = arrive(CleartextProof(PLAIN))
    assert answer(conversation, PasswordMessage(b"").encode())[0] == "FATAL 28P01 empty password returned by client"
    assert refused(conversation)


@pytest.mark.parametrize("secret", [PLAIN, MD5], ids=["plain", "md5"])
def test_the_md5_digest_of_a_password_will_do(secret: PlainSecret | Md5Secret) -> None:
    conversation, lines = arrive(Md5Proof(secret, SALT))
    assert lines == [f"AuthenticationMD5Password {SALT!r}"]
    assert answer(conversation, md5_answer("open sesame"))[-1] == WELCOMED
    assert conversation.session.credentials is secret


@pytest.mark.parametrize(
    ("password", "user", "doomed"),
    [("open sesame", "alice", True), ("open sesam", "alice", False), ("open sesame", "bob", False)],
)
def test_another_digest_will_not(password: str, user: str, doomed: bool) -> None:
    conversation, _ = arrive(Md5Proof(PLAIN, SALT, doomed))
    assert answer(conversation, md5_answer(password, user)) == [FAILED, "close: login"]


def exchange(
    start: ServerStart,
    password: str,
    mechanism: str = "SCRAM-SHA-256",
    late: bool = False,
    known: bool = False,
    blocked: ErrorFields | None = None,
) -> tuple[Conversation, list[str]]:
    """Play the client of a SCRAM exchange without channel binding to its end."""
    conversation, lines = arrive(ScramProof(start, PLAIN if known else None))
    conversation.blocked = blocked
    assert lines == [f"AuthenticationSASL {' '.join(start.mechanisms)}"]
    first = ClientFirst("theClientsNonce")
    if late:
        assert answer(conversation, SASLInitialResponse(mechanism.encode(), None).encode()) == [
            "AuthenticationSASLContinue b''"
        ]
        lines = answer(conversation, SASLResponse(first.message).encode())
    else:
        lines = answer(conversation, SASLInitialResponse(mechanism.encode(), first.message).encode())
    found = re.fullmatch(r"AuthenticationSASLContinue b'(.*)'", lines[0])
    assert found
    challenge = first.read(found[1].encode())
    salted = salted_password(password.encode(), challenge.salt, challenge.iterations)
    final = first.answer(challenge, client_key(salted), server_key(salted))
    return conversation, answer(conversation, SASLResponse(final.message).encode())


@pytest.mark.parametrize("start", [START, BOUND], ids=["without TLS", "with TLS"])
@pytest.mark.parametrize("late", [False, True])
def test_a_scram_exchange_proves_both_sides_and_teaches_the_keys(start: ServerStart, late: bool) -> None:
    conversation, lines = exchange(start, "open sesame", late=late)
    assert lines[0].startswith("AuthenticationSASLFinal b'v=")
    assert (lines[1], lines[-1]) == ("admit alice to app", WELCOMED)
    salted = salted_password(b"open sesame", b"some salt", 7)
    keys = ScramKeys(b"some salt", 7, client_key(salted), server_key(salted))
    assert conversation.session.credentials == keys


def test_a_password_that_is_known_is_worth_more_than_what_an_exchange_teaches() -> None:
    conversation, _ = exchange(START, "open sesame", known=True)
    assert conversation.session.credentials is PLAIN


def test_the_server_proves_itself_before_the_client_is_let_in() -> None:
    _, lines = exchange(START, "open sesame")
    assert [line.split(" ")[0] for line in lines[:3]] == ["AuthenticationSASLFinal", "admit", "AuthenticationOk"]


@pytest.mark.parametrize(
    ("start", "password"),
    [
        (START, "open sesame!"),
        (ServerStart(SCRAM, True, "nonce"), "open sesame"),
        (ServerStart(mock_scram_secret(b"key", "alice", 4096), True, "nonce"), "open sesame"),
    ],
    ids=["wrong password", "doomed", "nobody"],
)
def test_a_wrong_proof_an_unknown_user_and_a_doomed_one_look_the_same(start: ServerStart, password: str) -> None:
    conversation, lines = exchange(start, password)
    assert lines == [FAILED, "close: login"]
    assert len(refused(conversation)) == 1


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (SASLInitialResponse(b"GS2-KRB5", b"n,,n=,r=x").encode(), "08P01 client selected an invalid SASL"),
        (SASLInitialResponse(b"SCRAM-SHA-1", None).encode(), "08P01 client selected an invalid SASL"),
        (SASLInitialResponse(b"SCRAM-SHA-256", b"rubbish").encode(), "08P01 malformed SCRAM message"),
        (SASLInitialResponse(b"SCRAM-SHA-256", b"n,a=x,n=,r=x").encode(), "0A000 client uses authorization identity"),
        (SASLInitialResponse(b"SCRAM-SHA-256", b"n,,n=,r=" + b"x" * 1024).encode(), FAILED.removeprefix("FATAL ")),
        (frame(ord("p"), b"SCRAM-SHA-256\0\0\0\0\7abc"), "08P01 "),
        (Query(b"LISTEN x").encode(), "08P01 expected SASL response, got message type 81"),
        (b"p\0\0\0\3", "08P01 invalid message length"),
        (b"p" + (MAX_AUTHENTICATION_MESSAGE + 5).to_bytes(4, "big"), "08P01 invalid message length"),
    ],
    ids=["other", "other late", "rubbish", "authzid", "long", "cut", "query", "no length", "too long"],
)
def test_what_is_not_scram_is_told_as_postgresql_tells_it_and_counts_as_a_failure(message: bytes, told: str) -> None:
    conversation, _ = arrive(ScramProof(START))
    lines = answer(conversation, message)
    assert lines[0].startswith(f"FATAL {told}")
    assert lines[1] in ("close: login", "close: protocol")
    assert len(refused(conversation)) == 1


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (Query(b"LISTEN x").encode(), "FATAL 08P01 expected password response, got message type 81"),
        (frame(ord("p"), b"no end"), "FATAL 08P01 "),
        (frame(ord("p"), b"two\0ends\0"), "FATAL 08P01 "),
    ],
    ids=["query", "no end", "two ends"],
)
@pytest.mark.parametrize("demand", [CleartextProof(PLAIN), Md5Proof(PLAIN, SALT)], ids=["plain", "md5"])
def test_what_is_no_password_is_told_so(demand: Demand, message: bytes, told: str) -> None:
    conversation, _ = arrive(demand)
    assert answer(conversation, message)[0].startswith(told)
    assert len(refused(conversation)) == 1


def test_the_longest_password_is_read() -> None:
    password = "x" * (MAX_AUTHENTICATION_MESSAGE - 1)
    conversation, _ = arrive(CleartextProof(PlainSecret(password)))
    assert answer(conversation, PasswordMessage(password.encode()).encode())[-1] == WELCOMED


def test_a_proof_may_come_in_pieces_and_commands_right_behind_it() -> None:
    conversation, _ = arrive(CleartextProof(PLAIN))
    sent = PasswordMessage(b"open sesame").encode() + Query(b"SELECT 1").encode()
    lines = [line for byte in sent for line in answer(conversation, bytes([byte]))]
    assert lines.count(WELCOMED) == 2


def test_messages_of_commands_may_be_longer_than_those_of_a_log_in() -> None:
    conversation = Conversation(demand=CleartextProof(PLAIN))
    conversation.say(StartupMessage(PROTOCOL_3_0, {"user": "alice"}))
    answer(conversation, PasswordMessage(b"open sesame").encode())
    sql = "SELECT 1 --" + "x" * (MAX_AUTHENTICATION_MESSAGE + 1)
    assert conversation.query(sql)[-1] == WELCOMED


def test_what_was_shown_is_not_kept_where_there_is_nobody_to_show_it_to() -> None:
    conversation = Conversation(demand=NoProof(PLAIN))
    conversation.say(StartupMessage(PROTOCOL_3_0, {"user": "alice"}))
    assert conversation.session.credentials is None


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        (CleartextProof(SCRAM), PasswordMessage(b"open sesame").encode()),
        (Md5Proof(PLAIN, SALT), md5_answer("open sesame")),
    ],
    ids=["plain", "md5"],
)
def test_who_is_blocked_meanwhile_is_not_judged(demand: Demand, message: bytes) -> None:
    conversation, _ = arrive(demand)
    conversation.blocked = BLOCKED
    assert answer(conversation, message) == [f"FATAL 28000 {BLOCKED.message}", "close: login"]
    assert not any(isinstance(action, Derive) for action in conversation.asked)


def test_nor_is_the_proof_of_a_scram_exchange() -> None:
    assert exchange(START, "open sesame", blocked=BLOCKED)[1] == [f"FATAL 28000 {BLOCKED.message}", "close: login"]


def test_no_repr_of_a_demand_shows_a_secret() -> None:
    demands = [NoProof(PLAIN), CleartextProof(PLAIN), Md5Proof(PLAIN, SALT), ScramProof(START, PLAIN)]
    assert "sesame" not in repr(demands)
    assert b64encode(SCRAM.stored_key).decode() not in repr(demands)
