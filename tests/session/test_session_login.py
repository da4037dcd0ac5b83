"""The conversation before the first command, as PostgreSQL has it, declined encryption included."""

import pytest
from conversation import (
    ANCIENT,
    DECLINED,
    FULL,
    PID,
    SECRET,
    SYNC,
    Conversation,
    actions,
    replies,
)

from twistnotify.session.actions import Identify
from twistnotify.session.login import identify
from twistnotify.session.states import Phase
from twistnotify.wire.framing import MAX_STARTUP_PACKET
from twistnotify.wire.startup import (
    PROTOCOL_3_0,
    PROTOCOL_3_2,
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
)

WELCOME = [
    "AuthenticationOk",
    "ParameterStatus TimeZone=UTC",
    f"BackendKeyData {PID} {SECRET!r}",
    "Z(I)",
]
UNENCRYPTED = "FATAL 08P01 received unencrypted data after {} request"


def start_up(version: int = PROTOCOL_3_0, **parameters: str) -> list[str]:
    return Conversation().say(StartupMessage(version, parameters))


def test_who_logs_in_is_admitted_and_welcomed_in_postgresqls_order() -> None:
    assert start_up(user="alice", database="app") == ["admit alice to app", *WELCOME]


def test_the_database_is_named_as_the_user_unless_told_otherwise() -> None:
    assert start_up(user="alice")[0] == start_up(user="alice", database="")[0] == "admit alice to alice"


def test_admission_is_remembered_no_longer_than_the_welcome() -> None:
    conversation = Conversation(parameters={"application_name": "psql"})
    session = conversation.session
    assert (session.admission, session.pid, session.phase) == (None, PID, Phase.COMMANDS)
    assert session.startup_parameters == (("user", "alice"), ("application_name", "psql"))


def test_who_is_not_admitted_is_told_why_and_the_connection_ends() -> None:
    conversation = Conversation(refused_admission=FULL)
    lines = conversation.say(StartupMessage(PROTOCOL_3_0, {"user": "alice"}))
    assert lines == ["admit alice to alice", f"ERROR 54000 {FULL.message}", "close: login"]


@pytest.mark.parametrize("request_", [SSLRequest(), GSSENCRequest()], ids=["ssl", "gss"])
def test_encryption_is_declined_once(request_: SSLRequest | GSSENCRequest) -> None:
    conversation = Conversation()
    code = {SSLRequest: "1234.5679", GSSENCRequest: "1234.5680"}[type(request_)]
    assert conversation.say(request_) == [DECLINED]
    assert conversation.say(request_) == [
        f"FATAL 0A000 unsupported frontend protocol {code}: server supports 3.0 to 3.2",
        "close: login",
    ]


def test_both_kinds_of_encryption_may_be_asked_for_before_the_log_in() -> None:
    conversation = Conversation()
    assert conversation.say(SSLRequest()) == [DECLINED]
    assert conversation.say(GSSENCRequest()) == [DECLINED]
    assert conversation.say(StartupMessage(PROTOCOL_3_0, {"user": "alice"}))[1:] == WELCOME


@pytest.mark.parametrize(("request_", "name"), [(SSLRequest(), "SSL"), (GSSENCRequest(), "GSSAPI encryption")])
def test_what_comes_behind_a_request_for_encryption_unasked_ends_the_connection(
    request_: SSLRequest | GSSENCRequest, name: str
) -> None:
    lines = Conversation().say(request_, StartupMessage(PROTOCOL_3_0, {"user": "alice"}))
    assert lines == [DECLINED, UNENCRYPTED.format(name), "close: protocol"]


def test_a_cancel_request_is_passed_on_and_not_answered() -> None:
    lines = Conversation().receive(CancelRequest(7, b"key!").encode())
    assert lines == ["cancel 7 b'key!'", "close: cancel request"]


def test_a_cancel_request_may_follow_declined_encryption() -> None:
    conversation = Conversation()
    conversation.say(SSLRequest())
    assert conversation.receive(CancelRequest(7, bytes(256)).encode())[-1] == "close: cancel request"


def test_a_cancel_request_without_a_whole_key_is_refused() -> None:
    assert Conversation().receive(b"\0\0\0\x0e\x04\xd2\x16\x2e\0\0\0\x07ke")[-1] == "close: protocol"


def test_a_newer_minor_protocol_is_negotiated_down_before_everything_else() -> None:
    assert start_up(PROTOCOL_3_2 + 1, user="alice") == [
        "NegotiateProtocolVersion 0x30002",
        "admit alice to alice",
        *WELCOME,
    ]


@pytest.mark.parametrize(("version", "length"), [(PROTOCOL_3_0, 4), (PROTOCOL_3_0 + 1, 4), (PROTOCOL_3_2, 32)])
def test_a_key_to_cancel_with_is_as_long_as_the_protocol_has_it(version: int, length: int) -> None:
    assert start_up(version, user="alice") == ["admit alice to alice", *WELCOME]
    assert identify(StartupMessage(version, {"user": "alice"}).encode()[4:]).key_length == length


def test_protocol_options_are_listed_back_in_their_order_and_are_no_settings() -> None:
    options = {"user": "alice", "_pq_.b": "1", "_pq_.a": ""}
    conversation = Conversation()
    lines = conversation.say(StartupMessage(PROTOCOL_3_0, options))
    assert lines[0] == "NegotiateProtocolVersion 0x30000 _pq_.b _pq_.a"
    assert conversation.session.startup_parameters == (("user", "alice"),)


@pytest.mark.parametrize("version", ["4.0", "1234.1"])
def test_another_major_protocol_is_refused(version: str) -> None:
    major, minor = map(int, version.split("."))
    assert start_up(major << 16 | minor) == [
        f"FATAL 0A000 unsupported frontend protocol {version}: server supports 3.0 to 3.2",
        "close: login",
    ]


@pytest.mark.parametrize("version", ["2.0", "1.0", "0.0"])
def test_a_client_of_before_2003_is_refused_in_its_own_format(version: str) -> None:
    answer = f"{ANCIENT.decode()}  unsupported frontend protocol {version}: server supports 3.0 to 3.2\n\0"
    assert start_up(int(version[0]) << 16) == [answer, "close: protocol"]


@pytest.mark.parametrize("parameters", [{}, {"user": ""}, {"database": "app"}])
def test_a_user_name_is_required(parameters: dict[str, str]) -> None:
    assert start_up(**parameters) == [
        "FATAL 28000 no PostgreSQL user name specified in startup packet",
        "close: login",
    ]


@pytest.mark.parametrize("value", ["on", "true", "database", "1"])
def test_replication_is_refused(value: str) -> None:
    assert start_up(user="alice", replication=value) == [
        "FATAL 0A000 replication connections are not supported",
        "close: login",
    ]


@pytest.mark.parametrize("value", ["off", "false", "No", "0"])
def test_replication_may_be_switched_off(value: str) -> None:
    assert start_up(user="alice", replication=value)[1:] == WELCOME


@pytest.mark.parametrize("name", ["client_encoding", "Client_Encoding"])
def test_the_clients_encoding_is_what_it_asks_for(name: str) -> None:
    conversation = Conversation(parameters={name: "latin1"})
    assert conversation.session.encoding.name == "LATIN1"


def test_an_unknown_encoding_ends_the_connection_before_it_is_admitted() -> None:
    assert start_up(user="alice", client_encoding="EBCDIC") == [
        'FATAL 22023 invalid value for parameter "client_encoding": "EBCDIC"',
        "close: login",
    ]


def test_names_that_are_not_utf8_do_no_harm() -> None:
    packet = StartupMessage(PROTOCOL_3_0, {"user": "\udcff", "client_encoding": "\udcfe"})
    assert Conversation().say(packet) == [
        'FATAL 22023 invalid value for parameter "client_encoding": "?"',
        "close: login",
    ]


def test_a_packet_that_is_no_pairs_of_strings_is_refused() -> None:
    assert Conversation().receive(b"\0\0\0\x0b\0\3\0\0abc") == [
        "FATAL 08P01 invalid startup packet layout: expected terminator as last byte",
        "close: protocol",
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\0\0\0\x07",
        (MAX_STARTUP_PACKET + 1).to_bytes(4, "big"),
    ],
    ids=["http", "tls", "too short", "too long"],
)
def test_what_is_not_postgresqls_protocol_gets_no_answer(data: bytes) -> None:
    assert Conversation().receive(data) == ["close: protocol"]


def test_the_longest_packet_is_read() -> None:
    name = "x" * (MAX_STARTUP_PACKET - len(StartupMessage(PROTOCOL_3_0, {"user": ""}).encode()))
    assert actions(start_up(user=name)) == [f"admit {name[:63]} to {name[:63]}"]


def test_a_name_is_no_longer_than_postgresqls() -> None:
    cut = ("é" * 31).encode() + "é".encode()[:1]
    conversation = Conversation()
    conversation.say(StartupMessage(PROTOCOL_3_0, {"user": "é" * 60, "database": "d" * 64}))
    asked = conversation.asked[0]
    assert isinstance(asked, Identify)
    assert (asked.user.encode("utf-8", "surrogateescape"), asked.database) == (cut, "d" * 63)
    assert dict(conversation.session.startup_parameters)["user"] == asked.user


def test_what_strangers_make_large_is_not_remembered() -> None:
    packet = StartupMessage(PROTOCOL_3_0, {"user": "alice", "application_name": "x" * 500}).encode()[4:]
    assert identify(packet) == identify(packet)
    assert identify(packet) is not identify(packet)


def test_a_packet_in_pieces_is_waited_for() -> None:
    conversation = Conversation()
    packet = StartupMessage(PROTOCOL_3_0, {"user": "alice"}).encode()
    assert [conversation.receive(bytes([byte])) for byte in packet[:-1]] == [[]] * (len(packet) - 1)
    assert conversation.session.buffered == len(packet) - 1
    assert replies(conversation.receive(packet[-1:])) == WELCOME


def test_commands_may_come_in_one_piece_with_the_log_in() -> None:
    lines = Conversation().say(StartupMessage(PROTOCOL_3_0, {"user": "alice"}), SYNC)
    assert lines[-2:] == ["Z(I)", "Z(I)"]


def test_clients_that_log_in_alike_share_what_was_read() -> None:
    packet = StartupMessage(PROTOCOL_3_0, {"user": "alice"}).encode()[4:]
    assert identify(packet) is identify(bytes(bytearray(packet)))
