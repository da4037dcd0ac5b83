"""Where twistnotify answers otherwise than PostgreSQL and is meant to: one row each, with the reason.

A row holds for the dialogues it names and for the very lines it gives; a row that no longer shows fails the test.
"""

from __future__ import annotations

from parity.comparison import Difference

NO_PLACE = "the place of a function or a parameter within a statement is not kept for errors that come after parsing"
ONE_VERSION = "one wording, or behaviour, for all versions: that of PostgreSQL 15"
PROTOCOL_3_0 = "protocol 3.0 is the newest spoken here, and negotiated as PostgreSQL 15 does it"
AFTER_LOG_IN = "what a client asks for is judged before AuthenticationOk, which PostgreSQL has sent by then"
NO_TWO_PHASE = "there is no max_prepared_transactions to set here, so the hint says something else"


def _one_line(reason: str, dialogue: str, theirs: str, ours: str, *versions: int) -> Difference:
    return Difference(reason, (dialogue,), (theirs,), (ours,), versions)


def _without_position(dialogue: str, line: str, position: int) -> Difference:
    return _one_line(NO_PLACE, dialogue, f"{line} at {position}", line)


def _wrong_signature(types: str) -> Difference:
    line = f"a< ErrorResponse ERROR 42883 function pg_notify({types}) does not exist"
    return _without_position("declared_types_that_pg_notify_does_not_take", line, 8)


def _prepare_hint(version: int, setting: str) -> Difference:
    return Difference(
        NO_TWO_PHASE,
        ("prepare_transaction_without_two_phase_commit", "prepare_transaction_outside_of_a_block"),
        (f"hint: Set {setting} to a nonzero value.",),
        ("hint: twistnotify has no database behind a transaction to prepare.",),
        (version,),
    )


def _supported_versions(dialogue: str, start: str, end: str) -> Difference:
    return _one_line(
        PROTOCOL_3_0, dialogue, f"{start}server supports 3.0 to 3.2{end}", f"{start}server supports 3.0 to 3.0{end}", 18
    )


def _shorter_key(name: str, *dialogues: str) -> Difference:
    key = f"{name}< BackendKeyData pid={name} secret="
    return Difference(PROTOCOL_3_0, dialogues, (f"{key}(32 bytes)",), (f"{key}(4 bytes)",), (18,))


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
    _prepare_hint(15, "max_prepared_transactions"),
    _prepare_hint(18, '"max_prepared_transactions"'),
    Difference(
        "a refusal is told without the warning that PostgreSQL sends ahead of it",
        ("prepare_transaction_outside_of_a_block",),
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
    Difference(
        "the function call protocol is not served: nobody calls pg_notify() by it",
        ("the_function_call_protocol",),
        ("a< unknown message 'V' b'\\x00\\x00\\x00\\x00'", "a< NotificationResponse 'x' 'p' from a"),
        ("a< ErrorResponse ERROR 0A000 the function call protocol is not served here",),
    ),
    # Encodings
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
        Difference(PROTOCOL_3_0, (dialogue,), (), ("a< NegotiateProtocolVersion version=196608 options=()",), (18,))
        for dialogue in ("protocol_3_2", "later_protocols")
    ),
    _one_line(
        PROTOCOL_3_0,
        "later_protocols",
        "b< NegotiateProtocolVersion version=196610 options=()",
        "b< NegotiateProtocolVersion version=196608 options=()",
        18,
    ),
    _one_line(
        PROTOCOL_3_0,
        "protocol_options",
        "b< NegotiateProtocolVersion version=196610 options=('_pq_.test_protocol_negotiation',)",
        "b< NegotiateProtocolVersion version=196608 options=('_pq_.test_protocol_negotiation',)",
        18,
    ),
    _shorter_key("a", "protocol_3_2"),
    _shorter_key("b", "later_protocols", "protocol_options"),
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
