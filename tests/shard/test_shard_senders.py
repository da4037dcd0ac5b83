from __future__ import annotations

from twistnotify.shard.senders import Senders

LISTENED = {"c", "d"}


def expecting(*expected: tuple[str, str, int]) -> Senders:
    senders = Senders()
    for channel, payload, pid in expected:
        senders.expect([(channel, payload)], pid, LISTENED)
    return senders


def test_each_notification_is_its_senders() -> None:
    senders = expecting(("c", "1", 11), ("c", "1", 12), ("d", "1", 11))

    assert [senders.pid_of(*pair) for pair in (("c", "1"), ("c", "1"), ("d", "1"))] == [11, 12, 11]


def test_a_notification_that_nobody_sent_is_nobodys() -> None:
    assert Senders().pid_of("c", "1") is None
    assert expecting(("c", "1", 11)).pid_of("c", "2") is None


def test_one_that_nobody_sent_leaves_the_others_their_senders() -> None:
    senders = expecting(("c", "1", 11))

    assert senders.pid_of("c", "foreign") is None
    assert senders.pid_of("c", "1") == 11


def test_what_never_came_is_passed_over() -> None:
    senders = expecting(("c", "1", 11), ("c", "2", 12), ("c", "3", 13))

    assert senders.pid_of("c", "3") == 13
    assert senders.pid_of("c", "1") is None


def test_what_the_shard_does_not_listen_to_is_not_expected() -> None:
    senders = Senders()
    senders.expect([("quiet", "1"), ("c", "1")], 11, LISTENED)

    assert senders.pid_of("c", "1") == 11
    assert senders.pid_of("quiet", "1") is None


def test_nothing_is_expected_after_the_answer() -> None:
    senders = expecting(("c", "1", 11))

    senders.clear()

    assert senders.pid_of("c", "1") is None
