from __future__ import annotations

import json

from twistnotify.pubsub.outbox import Outbox
from twistnotify.shard.loss import Losses


def outbox() -> Outbox:
    return Outbox(None, [])  # type: ignore[arg-type]


def test_nobody_is_told_where_nothing_was_lost() -> None:
    told: list[Outbox] = []

    assert Losses("app").tell(1.0, told.append) is None
    assert told == []


def test_everybody_concerned_is_told_once() -> None:
    losses, told = Losses("app"), []
    first, second = outbox(), outbox()

    assert losses.note([first, second], 1.0) == 2
    losses.tell(2.0, told.append)

    assert told == [first, second]
    assert losses.tell(3.0, told.append) is None
    assert told == [first, second]


def test_the_announcement_says_which_shard_and_from_when_to_when() -> None:
    losses = Losses('sh"ard')
    losses.note([], 1_700_000_000.25)

    announcement = losses.tell(1_700_000_060.5, lambda _: None)

    assert announcement is not None
    assert json.loads(announcement) == {
        "shard": 'sh"ard',
        "lost_at": "2023-11-14T22:13:20.250+00:00",
        "back_at": "2023-11-14T22:14:20.500+00:00",
    }


def test_two_losses_before_the_return_are_one_from_the_first_on() -> None:
    losses, told = Losses("app"), []
    first, second = outbox(), outbox()

    losses.note([first], 0.0)
    assert losses.note([first, second], 10.0) == 2
    announcement = losses.tell(20.0, told.append)

    assert told == [first, second]
    assert json.loads(announcement or "")["lost_at"] == "1970-01-01T00:00:00.000+00:00"


def test_who_has_gone_meanwhile_is_not_told() -> None:
    losses, told = Losses("app"), []
    gone, here = outbox(), outbox()
    losses.note([gone, here], 1.0)

    losses.forget(gone)
    losses.forget(gone)
    losses.tell(2.0, told.append)

    assert told == [here]


def test_one_that_is_told_may_leave_at_once() -> None:
    losses = Losses("app")
    first, second = outbox(), outbox()
    losses.note([first, second], 1.0)
    told = []

    def leave(each: Outbox) -> None:
        told.append(each)
        losses.forget(first)
        losses.forget(second)

    losses.tell(2.0, leave)

    assert told == [first, second]
