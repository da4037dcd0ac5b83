"""What waits for one client keeps its order, is counted, and leaves in whole frames."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.pubsub.outbox import PIECE, Outbox


class Reader:
    """A client that reads when it is told to."""

    def flush(self) -> None:
        """Leave everything where it is."""


class Fixture:
    def __init__(self) -> None:
        self.dirty: list[Outbox] = []
        self.outbox = Outbox(Reader(), self.dirty)


@pytest.fixture
def outbox() -> Outbox:
    return Fixture().outbox


def counts(outbox: Outbox) -> tuple[int, int]:
    return len(outbox), outbox.unsent


def test_an_idle_client_is_given_notifications_at_once(outbox: Outbox) -> None:
    outbox.deliver(b"one")
    outbox.deliver(b"two")
    assert outbox.take() == b"onetwo"


def test_a_client_that_is_not_idle_is_given_them_when_they_are_released(outbox: Outbox) -> None:
    outbox.idle = False
    outbox.deliver(b"notification")
    outbox.reply(b"reply")
    assert outbox.take() == b"reply"
    outbox.release()
    outbox.reply(b"ready")
    assert outbox.take() == b"notificationready"


def test_what_was_held_goes_out_before_what_comes_next(outbox: Outbox) -> None:
    outbox.idle = False
    outbox.deliver(b"1")
    outbox.deliver(b"2")
    outbox.release()
    outbox.idle = True
    outbox.deliver(b"3")
    assert outbox.take() == b"123"
    assert outbox.held == []


def test_releasing_nothing_changes_nothing(outbox: Outbox) -> None:
    outbox.reply(b"reply")
    outbox.release()
    assert outbox.take() == b"reply"


def test_replies_and_notifications_leave_in_the_order_they_came(outbox: Outbox) -> None:
    outbox.reply(b"a")
    outbox.deliver(b"b")
    outbox.reply(b"c")
    assert outbox.take() == b"abc"


def test_an_empty_outbox_gives_nothing(outbox: Outbox) -> None:
    assert outbox.take() == b""
    assert counts(outbox) == (0, 0)


def test_it_puts_itself_on_the_list_once_when_it_has_something_to_flush() -> None:
    fixture = Fixture()
    fixture.outbox.reply(b"reply")
    assert fixture.dirty == []
    fixture.outbox.deliver(b"1")
    fixture.outbox.deliver(b"2")
    assert fixture.dirty == [fixture.outbox]
    fixture.outbox.dirty = False
    fixture.outbox.deliver(b"3")
    assert fixture.dirty == [fixture.outbox] * 2


def test_everything_is_counted_but_only_notifications_are_unsent(outbox: Outbox) -> None:
    outbox.reply(b"1234")
    outbox.deliver(b"12")
    outbox.idle = False
    outbox.deliver(b"123")
    assert counts(outbox) == (9, 5)
    outbox.take()
    assert counts(outbox) == (3, 3)
    outbox.release()
    outbox.take()
    assert counts(outbox) == (0, 0)


def test_a_write_takes_about_a_piece_in_whole_frames(outbox: Outbox) -> None:
    frame = bytes(PIECE // 4)
    for _ in range(9):
        outbox.deliver(frame)
    taken = [len(outbox.take()) for _ in range(4)]
    assert taken == [PIECE, PIECE, PIECE // 4, 0]
    assert counts(outbox) == (0, 0)


def test_a_frame_longer_than_a_piece_leaves_whole(outbox: Outbox) -> None:
    outbox.deliver(b"x")
    outbox.deliver(bytes(3 * PIECE))
    outbox.deliver(b"y")
    assert [len(outbox.take()) for _ in range(3)] == [3 * PIECE + 1, 1, 0]


def test_what_is_held_does_not_make_a_piece(outbox: Outbox) -> None:
    outbox.idle = False
    outbox.deliver(bytes(2 * PIECE))
    assert outbox.take() == b""
    outbox.reply(b"a")
    outbox.reply(b"b")
    assert outbox.take() == b"ab"
    assert counts(outbox) == (2 * PIECE, 2 * PIECE)


def test_held_frames_may_be_forgotten(outbox: Outbox) -> None:
    outbox.deliver(b"a1")
    outbox.idle = False
    for frames in (b"a2", b"b1", b"a33"):
        outbox.deliver(frames)
    outbox.forget(lambda frames: frames.startswith(b"a"))
    assert counts(outbox) == (4, 4)
    outbox.release()
    assert outbox.take() == b"a1b1"


def test_forgetting_where_nothing_is_held_changes_nothing(outbox: Outbox) -> None:
    outbox.deliver(b"a")
    outbox.forget(lambda _: True)
    assert outbox.take() == b"a"


def test_an_outbox_that_is_discarded_is_empty(outbox: Outbox) -> None:
    outbox.reply(b"a")
    outbox.idle = False
    outbox.deliver(b"b")
    outbox.discard()
    assert (counts(outbox), outbox.ready, outbox.held) == ((0, 0), [], [])


Step = tuple[str, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["reply", "deliver", "deliver", "hold", "release", "take", "forget"]),
        st.sampled_from([1, 100, PIECE // 3, PIECE]),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(steps)
def test_no_frame_is_lost_cut_or_overtaken(steps: list[Step]) -> None:
    """Against a naive model: what is due, what is held, and what the client has."""
    outbox = Fixture().outbox
    due: list[bytes] = []
    held: list[bytes] = []
    received = expected = b""
    for number, (step, size) in enumerate(steps):
        frame = bytes([number]) * size
        match step:
            case "reply":
                outbox.reply(frame)
                due.append(frame)
            case "deliver":
                outbox.deliver(frame)
                (due if outbox.idle else held).append(frame)
            case "hold":
                outbox.idle = False
            case "release":
                outbox.release()
                outbox.idle = True
                due += held
                held = []
            case "forget":
                outbox.forget(lambda frames: frames[0] % 2 == 0)
                held = [frames for frames in held if frames[0] % 2]
            case "take":
                data = outbox.take()
                received += data
                while data:
                    taken = due.pop(0)
                    assert data.startswith(taken)
                    data = data[len(taken) :]
                    expected += taken
        assert len(outbox) == sum(map(len, due + held))
        assert 0 <= outbox.unsent <= len(outbox)
    assert received == expected
