"""The benchmark notices every loss, disorder and double, whoever hears it and however the stream is cut."""

from __future__ import annotations

import pytest

from benchmarks.dialects import Dialect, PostgresDialect, RespDialect
from benchmarks.tape import Tape, WrongDelivery, payload

CHANNEL = "channel_000"
DIALECTS = (PostgresDialect("postgres"), RespDialect())


def notification(dialect: Dialect, number: int, publisher: int = 0) -> bytes:
    """Return a notification as a server would send it."""
    envelope = dialect.envelope(CHANNEL)
    return envelope.start + b"\7" * envelope.gap + envelope.middle + payload(number, publisher, number) + envelope.end


def recorded(dialect: Dialect, expected: int, *chunks: bytes) -> Tape:
    """Return the tape of a listener that heard chunks."""
    tape = Tape(CHANNEL, dialect.envelope(CHANNEL), expected, timed=True)
    position = 0
    for chunk in chunks:
        tape.go_on(position, chunk)
        position += len(chunk)
    return tape


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_chunking_does_not_matter(dialect: Dialect, size: int) -> None:
    stream = b"".join(notification(dialect, number) for number in (1, 2, 3))
    tape = recorded(dialect, 3, *(stream[at : at + size] for at in range(0, len(stream), size)))
    assert (tape.messages, tape.length) == (3, len(stream))
    assert list(tape.stamps) == [1, 2, 3]
    assert list(tape.ends) == [len(stream) // 3, len(stream) // 3 * 2, len(stream)]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        ([1, 3], "lost"),
        ([2], "lost"),
        ([1, 2, 2], "twice"),
        ([1, 2, 1], "doubled or out of order"),
        ([1, 2, 3, 4], "4 messages came of 3"),
    ],
)
def test_what_went_wrong_is_said(dialect: Dialect, numbers: list[int], complaint: str) -> None:
    with pytest.raises(WrongDelivery, match=complaint):
        recorded(
            dialect, 3, *(notification(dialect, number) for number in numbers[:-1]), notification(dialect, numbers[-1])
        )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_tape_with_a_loss_at_its_end_is_not_complete(dialect: Dialect) -> None:
    assert recorded(dialect, 3, notification(dialect, 1), notification(dialect, 2)).length == -1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_publishers_are_counted_apart(dialect: Dialect) -> None:
    stream = [notification(dialect, number, publisher) for number, publisher in ((1, 0), (1, 1), (2, 1), (2, 0))]
    assert recorded(dialect, 4, *stream).length == len(b"".join(stream))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_changed_byte_is_noticed(dialect: Dialect) -> None:
    good = notification(dialect, 1)
    envelope = dialect.envelope(CHANNEL)
    before_payload = len(envelope.start) + envelope.gap + len(envelope.middle)
    free = {*range(len(envelope.start), len(envelope.start) + envelope.gap)}
    stamp_and_publisher = {*range(before_payload, before_payload + 18)}
    for at in {*range(len(good))} - free - stamp_and_publisher:
        changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        with pytest.raises(WrongDelivery):
            recorded(dialect, 1, changed)


def test_listeners_must_hear_the_same() -> None:
    dialect = RespDialect()
    tape = recorded(dialect, 4, notification(dialect, 1, 0), notification(dialect, 1, 1))
    with pytest.raises(WrongDelivery, match="different things"):
        tape.go_on(0, notification(dialect, 1, 1) + notification(dialect, 1, 0))
