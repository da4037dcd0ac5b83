"""The listeners of one channel stand in one of two places."""

from twistnotify.pubsub.interest import Interest
from twistnotify.pubsub.outbox import Outbox


class Reader:
    """A client that never reads."""

    def flush(self) -> None:
        """Leave everything where it is."""


def outboxes(count: int) -> list[Outbox]:
    return [Outbox(Reader(), []) for _ in range(count)]


def test_a_listener_stands_where_its_other_channels_put_it() -> None:
    interest = Interest()
    alone, other = outboxes(2)
    interest.add(alone, alone=True)
    interest.add(other, alone=False)
    assert (list(interest.single), list(interest.ordered)) == ([alone], [other])
    assert list(interest) == [alone, other]
    assert len(interest) == 2


def test_it_knows_who_listens() -> None:
    interest = Interest()
    alone, other, nobody = outboxes(3)
    interest.add(alone, alone=True)
    interest.add(other, alone=False)
    assert [outbox in interest for outbox in (alone, other, nobody)] == [True, True, False]


def test_a_listener_is_removed_from_wherever_it_stands() -> None:
    interest = Interest()
    alone, other, nobody = outboxes(3)
    interest.add(alone, alone=True)
    interest.add(other, alone=False)
    for outbox in (alone, other, nobody):
        interest.remove(outbox)
    assert list(interest) == []
    assert not interest


def test_a_channel_stays_for_a_listener_or_a_reservation() -> None:
    interest = Interest()
    (outbox,) = outboxes(1)
    assert not interest
    interest.reservations += 1
    assert interest
    interest.reservations -= 1
    for alone in (True, False):
        interest.add(outbox, alone)
        assert interest
        interest.remove(outbox)
    assert not interest
