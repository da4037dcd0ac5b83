"""Detached again, a client has the settings that it had, is told nothing twice, and notices nothing."""

from __future__ import annotations

import pytest
from conversation import ADMISSION, PID, SECRET, SYNC, bind, describe_statement, execute, parse
from relayed import FakeRelay, Relayed, asked, forwarded, requests, told
from support.leftovers import TIME_ZONE, Row, answer

from twistnotify.session.detaching import Inquiry, detach
from twistnotify.session.encodings import Encoding
from twistnotify.session.login import Admission
from twistnotify.session.states import Phase
from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete, DataRow
from twistnotify.wire.violations import ProtocolViolation

UTF8 = Encoding("UTF8", "utf-8")
STATUS = {"TimeZone": "UTC", "is_superuser": "on", "application_name": ""}
FRAMES = b"".join(ParameterStatus(*pair).encode() for pair in STATUS.items())
NOTHING = answer(())


def read(messages: list[BackendMessage], encoding: Encoding = UTF8) -> Inquiry:
    """Return an inquiry that has been answered."""
    inquiry = Inquiry(encoding)
    *parts, end = (message.encode(encoding.codec) for message in messages)
    assert not any(inquiry.read(part[0], part[5:]) for part in parts)
    assert inquiry.read(end[0], end[5:])
    return inquiry


def client(**parameters: str) -> Relayed:
    """Return a client past its log-in that was told STATUS."""
    admission = Admission(FRAMES, PID, SECRET, "UTF8", ADMISSION.acknowledgements, FakeRelay())
    return Relayed(admission=admission, parameters=parameters)


def attached(conversation: Relayed, *queries: tuple[str, str]) -> Relayed:
    """Have a client attached and looked at, and query."""
    for number, (sql, answer_) in enumerate((("SELECT now()", "C(SELECT 1) Z"), *queries)):
        conversation.query(sql)
        if not number:
            conversation.attached.watch()
        conversation.answer(answer_)
    conversation.lines.clear()
    return conversation


def detached(conversation: Relayed, *settings: Row) -> Relayed:
    """Have it detached behind an answer with these settings."""
    assert conversation.attached.may_detach
    inquiry = read(answer(settings))
    assert inquiry.clears
    assert detach(conversation.session, inquiry)
    return conversation


# The answer


def test_an_answer_without_leftovers_clears() -> None:
    inquiry = read(answer([("TimeZone", "Asia/Tokyo", "UTC", "session"), ("lock_timeout", "1s", "1000", "client")]))
    assert inquiry.clears
    assert {name: setting.is_set for name, setting in inquiry.settings.items()} == {
        "timezone": True,
        "lock_timeout": False,
    }


@pytest.mark.parametrize(
    "messages",
    [
        answer(has_nothing="f"),
        answer(no_sequence=False),
        answer([("work_mem", "8MB", "4096", "session")]),
        answer([("TimeZone", None, "UTC", "default")]),
        [*NOTHING[:1], *NOTHING[2:]],
        [*NOTHING[:2], *NOTHING[3:]],
        [DataRow((b"t", b"t")), *NOTHING],
        [DataRow((b"\xff",)), *NOTHING],
        [*NOTHING[:-2], ErrorResponse(ErrorFields("ERROR", "57014", "no")), NOTHING[-1]],
        [*NOTHING[:-1], ErrorResponse(ErrorFields("ERROR", "40001", "no")), NOTHING[-1]],
        [*NOTHING[:-1], CommandComplete("DO"), NOTHING[-1]],
        [ReadyForQuery("I")],
    ],
)
def test_any_other_answer_does_not(messages: list[BackendMessage]) -> None:
    assert not read(messages).clears


def test_another_setting_that_was_not_set_in_the_session_does_not_matter() -> None:
    assert read(answer([("work_mem", "8MB", "8192", "user")])).clears


def test_what_comes_in_between_is_kept_for_the_client() -> None:
    asides: list[BackendMessage] = [
        ParameterStatus("TimeZone", "UTC"),
        NotificationResponse(7, "a", "x"),
        NoticeResponse(ErrorFields("WARNING", "01000", "careful")),
    ]
    inquiry = read([asides[0], *NOTHING[:3], asides[1], *NOTHING[3:-1], asides[2], NOTHING[-1]])
    assert inquiry.asides == [message.encode() for message in asides]
    assert inquiry.clears


def test_a_fatal_error_is_the_clients_to_see() -> None:
    inquiry = Inquiry(UTF8)
    fatal = ErrorResponse(ErrorFields("FATAL", "57P01", "the end")).encode()
    assert not inquiry.read(fatal[0], fatal[5:])
    assert inquiry.asides == [fatal]
    assert not inquiry.clears


@pytest.mark.parametrize("frame", [b"G\0\0\0", b"D\0", b"E", b"N\1"])
def test_what_is_no_answer_is_a_violation(frame: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        Inquiry(UTF8).read(frame[0], frame[1:])


# The session behind it


def test_a_detached_session_answers_by_itself() -> None:
    conversation = detached(attached(client()))
    assert conversation.session.phase is Phase.COMMANDS
    assert conversation.session.idle
    assert conversation.query("LISTEN a") == ["commit LISTEN a", "C(LISTEN)", "ready", "Z(I)"]
    assert asked(conversation.query("SELECT now()")) == ["attach"]
    assert conversation.replays == ()


def test_a_session_that_was_attached_in_a_pipeline_is_idle_again() -> None:
    conversation = client()
    conversation.say(parse("LISTEN a"), bind(), execute(), parse("SELECT now()"))
    conversation.attached.watch()
    conversation.say(SYNC)
    conversation.answer("1 Z")
    assert detached(conversation).session.idle


def test_listening_goes_on() -> None:
    conversation = attached(client(), ("LISTEN a", "C(UNLISTEN) Z"))
    detached(conversation)
    assert conversation.query("SELECT * FROM pg_listening_channels()")[1] == "D(b'a')"


def test_settings_are_kept_and_said_again() -> None:
    conversation = attached(client(), ("SET lock_timeout = 60000", "C(SET) Z"))
    detached(conversation, ("lock_timeout", "1min", "0", "session"))
    assert "D(b'1min')" in conversation.query("SHOW lock_timeout")
    conversation.query("SELECT now()")
    assert [requests(replay.frames) for replay in conversation.replays] == [["Q(SET \"lock_timeout\" TO '1min')"]]


def test_settings_from_before_are_what_they_are_now() -> None:
    conversation = client()
    conversation.query("SET lock_timeout = '1s'; SET extra_float_digits = 3")
    attached(conversation, ("RESET lock_timeout", "C(RESET) Z"))
    detached(conversation, ("extra_float_digits", "3", "1", "session"), ("lock_timeout", "0", "0", "default"))
    assert conversation.session.variables.values == {"extra_float_digits": "3"}


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (("TimeZone", "Asia/Tokyo", "UTC", "session"), "D(b'UTC')"),
        (("TimeZone", "Asia/Tokyo", "Asia/Tokyo", "configuration file"), "D(b'Asia/Tokyo')"),
        (("lock_timeout", "1s", "60000", "session"), "D(b'1min')"),
        (("lock_timeout", "1s", "1000", "client"), "D(b'1s')"),
    ],
)
def test_reset_shows_what_postgresql_would_show(row: Row, shown: str) -> None:
    conversation = attached(client(lock_timeout="5s"))
    detached(conversation, row)
    conversation.query(f"RESET {row[0]}")
    assert shown in conversation.query(f"SHOW {row[0]}")


def test_a_default_that_nobody_knows_is_for_postgresql_to_show() -> None:
    conversation = attached(client(lock_timeout="5s"))
    detached(conversation, ("lock_timeout", "1s", "odd", "session"))
    conversation.query("RESET lock_timeout")
    assert asked(conversation.query("SHOW lock_timeout")) == ["attach"]


def test_what_was_told_is_not_told_again() -> None:
    conversation = client()
    conversation.upstream_parameters = {"TimeZone": "UTC", "is_superuser": "off"}
    attached(conversation, ("SET TimeZone TO 'Asia/Tokyo'", "S(TimeZone=Asia/Tokyo) C(SET) Z"))
    detached(conversation, ("TimeZone", "Asia/Tokyo", "UTC", "session"))
    assert told(conversation.query("SELECT 1")) == ["T(?column?:23)", "D(b'1')", "C(SELECT 1)", "Z(I)"]
    conversation.upstream_parameters = {"TimeZone": "Asia/Tokyo", "is_superuser": "off"}
    assert told(conversation.query("SELECT now()")) == []


def test_what_is_still_to_be_told_keeps_the_upstream() -> None:
    conversation = attached(client())
    conversation.answer("S(TimeZone=Asia/Tokyo)")
    assert not conversation.attached.may_detach


@pytest.mark.parametrize("data", [b"Q", b"Q\0\0\0\x0aSELE", b"Q\0\0\x01"])
def test_a_message_that_has_begun_keeps_the_upstream(data: bytes) -> None:
    conversation = attached(client())
    conversation.receive(data)
    assert not conversation.attached.may_detach


def test_an_answer_that_has_begun_keeps_the_upstream() -> None:
    conversation = attached(client())
    conversation.upstream(b"N\0\0")
    assert not conversation.attached.may_detach


def test_a_transaction_keeps_the_upstream() -> None:
    assert not attached(client(), ("BEGIN", "C(BEGIN) Z(T)")).attached.may_detach


def test_who_is_not_looked_at_keeps_its_upstream() -> None:
    conversation = client()
    conversation.query("SELECT now()")
    conversation.answer("C(SELECT 1) Z")
    assert not conversation.attached.may_detach


# The unnamed statement


def prepared(sql: str) -> Relayed:
    """Return a detached client that has prepared a statement without a name."""
    conversation = attached(client())
    conversation.say(parse(sql, types=(25,) if "$1" in sql else ()), SYNC)
    conversation.answer("1 Z")
    return detached(conversation)


@pytest.mark.parametrize(
    ("message", "short"), [(bind("x"), "B(, , x)"), (describe_statement(), "D(S )")], ids=["Bind", "Describe"]
)
def test_an_unnamed_statement_is_said_again_where_it_is_used(message: object, short: str) -> None:
    conversation = prepared("SELECT $1")
    lines = conversation.say(message, SYNC)  # type: ignore[arg-type]
    assert asked(lines) == ["attach"]
    assert forwarded(lines) == [short, "S"]
    (replay,) = conversation.replays
    assert replay.frames.startswith(parse("SELECT $1", types=(25,)).encode())
    assert replay.ends == (b"1",)


def test_it_is_gone_with_the_next_query_or_statement() -> None:
    conversation = prepared("SELECT 2")
    conversation.query("SELECT 1")
    assert conversation.say(bind(), SYNC)[0].startswith("ERROR 26000")
    conversation = prepared("SELECT 2")
    assert asked(conversation.say(parse("SELECT now()"), SYNC)) == ["attach"]
    assert conversation.replays == ()


def test_in_a_failed_transaction_it_is_refused_as_any() -> None:
    conversation = prepared("SELECT 2")
    conversation.say(parse("BEGIN", "s"), bind(statement="s"), execute(), parse("NOTIFY", "t"), SYNC)
    assert conversation.say(bind(), SYNC)[0].startswith("ERROR 25P02")


def test_one_that_is_served_here_is_served_here() -> None:
    conversation = prepared("SELECT pg_notify('a', $1)")
    lines = conversation.say(bind("x"), execute(), SYNC)
    assert asked(lines) == ["commit NOTIFY a x"]
    assert told(lines) == ["BindComplete", "D(b'')", "C(SELECT 1)", "Z(I)"]


def test_one_that_was_served_otherwise_keeps_the_upstream() -> None:
    conversation = attached(client())
    # PostgreSQL takes it, though nothing says what the parameter's type is: it is no text of ours.
    conversation.say(parse("SELECT pg_notify('a', $2)"), SYNC)
    conversation.answer("1 Z")
    assert not detach(conversation.session, read(answer([TIME_ZONE])))
    assert conversation.attached.may_detach


def test_one_that_the_upstream_refuses_is_forgotten() -> None:
    conversation = prepared("SELECT 2")
    conversation.refused_attach = ErrorFields("ERROR", "42P01", "no such table")
    assert "ERROR 42P01 no such table" in conversation.say(bind(), SYNC)
    conversation.refused_attach = None
    assert asked(conversation.say(parse("SELECT now()", "s"), SYNC)) == ["attach"]
    assert conversation.replays == ()


def test_one_of_our_own_is_not() -> None:
    conversation = client()
    conversation.say(parse("LISTEN a"), SYNC)
    conversation.refused_attach = ErrorFields("ERROR", "08006", "nobody there")
    conversation.say(parse("SELECT now()", "s"), SYNC)
    assert conversation.say(bind(), SYNC) == ["BindComplete", "Z(I)"]
