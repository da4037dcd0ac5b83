"""Where twistnotify answers otherwise than PostgreSQL and is meant to: one row each, with the reason.

A row holds for the dialogues it names and for the very lines it gives; a row that no longer shows fails the test.
"""

from __future__ import annotations

from parity.comparison import Difference

NO_PLACE = "the place of a function or a parameter within a statement is not kept for errors that come after parsing"
ONE_VERSION = "one wording, or behaviour, for all versions: that of PostgreSQL 15"
PROTOCOL_3_2 = "protocol 3.2 is the newest spoken here, and negotiated as PostgreSQL 18 does it"
AFTER_LOG_IN = "what a client asks for is judged before AuthenticationOk, which PostgreSQL has sent by then"
NO_TWO_PHASE = (
    "what LISTENs cannot be prepared, whatever else prevents it; and an upstream session leaves the block open"
)
REPORTED_FIRST = (
    "a changed client_encoding is reported before the notifications that are in it, and by PostgreSQL behind them"
)
SENDER = (
    "a LISTEN that is hidden in a function is the upstream's, which knows the sender of a shared NOTIFY by its own PID"
)
WHEN_ASKED = "beside other SQL, pg_listening_channels() shows what was in effect when its query string came"


def _one_line(reason: str, dialogue: str, theirs: str, ours: str, *versions: int) -> Difference:
    return Difference(reason, (dialogue,), (theirs,), (ours,), versions)


def _without_position(dialogue: str, line: str, position: int) -> Difference:
    return _one_line(NO_PLACE, dialogue, f"{line} at {position}", line)


def _wrong_signature(types: str) -> Difference:
    line = f"a< ErrorResponse ERROR 42883 function pg_notify({types}) does not exist"
    return _without_position("declared_types_that_pg_notify_does_not_take", line, 8)


def _supported_versions(dialogue: str, start: str, end: str) -> Difference:
    return _one_line(
        PROTOCOL_3_2, dialogue, f"{start}server supports 3.0 to 3.0{end}", f"{start}server supports 3.0 to 3.2{end}", 15
    )


def _negotiated(name: str, options: str, *dialogues: str) -> Difference:
    line = f"{name}< NegotiateProtocolVersion version={{}} options={options}"
    return Difference(PROTOCOL_3_2, dialogues, (line.format(196608),), (line.format(196610),), (15,))


def _longer_key(name: str, *dialogues: str) -> Difference:
    key = f"{name}< BackendKeyData pid={name} secret="
    return Difference(PROTOCOL_3_2, dialogues, (f"{key}(4 bytes)",), (f"{key}(32 bytes)",), (15,))


def reported_first(sender: str) -> Difference:
    """Return the row of a dialogue in which the encoding changes while a notification is on its way."""
    return Difference(
        REPORTED_FIRST,
        ("the_encoding_changes_within_one_query",),
        (f"a< NotificationResponse 'x' '\\udce9' from {sender}",),
        (f"a< NotificationResponse 'x' 'é' from {sender}",),
    )


DIFFERENCES: tuple[Difference, ...] = (
    # Errors after parsing
    _wrong_signature("integer, text"),
    _wrong_signature("text, integer"),
    _wrong_signature("bytea, unknown"),
    _wrong_signature("unknown, json"),
    _wrong_signature("boolean, boolean"),
    _wrong_signature("bigint, unknown"),
    _wrong_signature("smallint, unknown"),
    _without_position("parameters_in_a_simple_query", "a< ErrorResponse ERROR 42P02 there is no parameter $1", 18),
    _without_position("parameters_in_a_simple_query", "a< ErrorResponse ERROR 42P02 there is no parameter $1", 23),
    _without_position("parameters_in_a_simple_query", "b< ErrorResponse ERROR 42P02 there is no parameter $1", 25),
    # Transactions
    Difference(
        NO_TWO_PHASE,
        ("two_phase_commit_is_off",),
        ("a< ErrorResponse ERROR 55000 prepared transactions are disabled", "a< ReadyForQuery status='I'"),
        (
            "a< ErrorResponse ERROR 0A000 cannot PREPARE a transaction that has executed LISTEN, UNLISTEN, or NOTIFY",
            "a< ReadyForQuery status='E'",
        ),
    ),
    Difference(
        NO_TWO_PHASE,
        ("two_phase_commit_is_off",),
        ("a< NoticeResponse WARNING 25P01 there is no transaction in progress",),
        (),
    ),
    *(
        Difference(
            "only channels are reported as truncated; the names of savepoints are cut all the same",
            ("names_of_savepoints_are_cut_too",),
            (f'a< NoticeResponse NOTICE 42622 identifier "{"s" * length}" will be truncated to "{"s" * 63}"',),
            (),
        )
        for length in (64, 80)
    ),
    _one_line(
        ONE_VERSION,
        "discard_all_in_a_pipeline",
        "a< ErrorResponse ERROR 25001 DISCARD ALL cannot run inside a transaction block",
        "a< ErrorResponse ERROR 25001 DISCARD ALL cannot be executed within a pipeline",
        18,
    ),
    # A simple query ends a pipeline's transaction up to version 17; 18 goes on and trips over itself.
    Difference(
        ONE_VERSION,
        ("a_simple_query_within_a_pipeline",),
        ("a< ReadyForQuery status='T'",),
        ("a< NotificationResponse 'x' 'p' from a", "a< ReadyForQuery status='I'"),
        (18,),
    ),
    Difference(
        ONE_VERSION,
        ("a_simple_query_within_a_pipeline",),
        ("a< ErrorResponse ERROR XX000 StartTransactionCommand: unexpected state STARTED",),
        (
            "a< NoticeResponse WARNING 25P01 there is no transaction in progress",
            "a< CommandComplete tag='ROLLBACK'",
        ),
        (18,),
    ),
    # Messages
    Difference(
        "a client that is out of step is told so before the connection ends",
        ("an_impossible_length",),
        (),
        ("a< ErrorResponse FATAL 08P01 invalid message length",),
    ),
    _one_line(
        "the format of a result is checked when it is asked for, not when it is used",
        "wrong_formats",
        "a< BindComplete",
        "a< ErrorResponse ERROR 22023 unsupported format code: 7",
    ),
    # Other SQL
    Difference(
        WHEN_ASKED,
        ("channels_shown_in_the_middle",),
        ("a< DataRow [\"b'y'\"]", "a< CommandComplete tag='SELECT 2'"),
        ("a< CommandComplete tag='SELECT 1'",),
    ),
    _one_line(
        SENDER,
        "listen_hidden_in_a_block_of_code",
        "a< NotificationResponse 'hidden' 'other' from b",
        "a< NotificationResponse 'hidden' 'other' from a stranger",
    ),
    Difference(
        "who terminates itself is told that this is done before it ends",
        ("one_terminates_itself",),
        (),
        ("a< CommandComplete tag='SELECT 1'", "a< ReadyForQuery status='I'"),
    ),
    # Encodings
    reported_first("a"),
    *(
        Difference(AFTER_LOG_IN, ("unknown_encodings",), (f"{name}< AuthenticationOk",), ())
        for name in ("a0", "a1", "a2")
    ),
    Difference(
        "an encoding that does not convert to UTF-8 is as good as none",
        ("unknown_encodings",),
        (
            "a3< AuthenticationOk",
            "a3< ErrorResponse FATAL 0A000 conversion between MULE_INTERNAL and UTF8 is not supported",
        ),
        ('a3< ErrorResponse FATAL 22023 invalid value for parameter "client_encoding": "MULE_INTERNAL"',),
    ),
    _one_line(
        "of a bad sequence in an encoding other than UTF-8 the first byte is shown",
        "a_multibyte_client_encoding",
        'a< ErrorResponse ERROR 22021 invalid byte sequence for encoding "EUC_JP": 0xff 0x27',
        'a< ErrorResponse ERROR 22021 invalid byte sequence for encoding "EUC_JP": 0xff',
    ),
    # The start of a session
    *(Difference(AFTER_LOG_IN, ("an_unknown_database",), (f"{name}< AuthenticationOk",), ()) for name in ("a", "b")),
    _one_line(
        "anything but a plain refusal of replication is taken for a wish to replicate",
        "replication_is_no_boolean",
        'a< ErrorResponse FATAL 22023 invalid value for parameter "replication": "perhaps"',
        "a< ErrorResponse FATAL 0A000 replication connections are not supported",
    ),
    *(
        Difference(PROTOCOL_3_2, (dialogue,), ("a< NegotiateProtocolVersion version=196608 options=()",), (), (15,))
        for dialogue in ("protocol_3_2", "later_protocols")
    ),
    _negotiated("b", "()", "later_protocols"),
    _negotiated("b", "('_pq_.test_protocol_negotiation',)", "protocol_options"),
    _longer_key("a", "protocol_3_2"),
    _longer_key("b", "later_protocols", "protocol_options"),
    _supported_versions(
        "other_major_protocols", "a< ErrorResponse FATAL 0A000 unsupported frontend protocol 4.0: ", ""
    ),
    _supported_versions(
        "other_major_protocols", "b< ErrorResponse FATAL 0A000 unsupported frontend protocol 5.7: ", ""
    ),
    _supported_versions(
        "protocol_2", "a< bytes b'EFATAL:  unsupported frontend protocol 2.0: ", "\\n\\x00', then closed"
    ),
    _supported_versions(
        "ssl_request_twice", "a< ErrorResponse FATAL 0A000 unsupported frontend protocol 1234.5679: ", ""
    ),
)
