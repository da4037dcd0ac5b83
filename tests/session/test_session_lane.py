"""A script in a lane stops where something has to be done, and hears of what failed."""

from twistnotify.session.actions import Gate, GiveUp, Ready
from twistnotify.session.failure import SqlError
from twistnotify.session.lane import MORE_DATA, Lane, Script
from twistnotify.wire.errors import ErrorFields

FULL = ErrorFields("ERROR", "54000", "full")


def script(heard: list[str]) -> Script:
    yield MORE_DATA
    try:
        yield Gate()
    except SqlError as failure:
        heard.append(failure.fields.sqlstate)
    yield GiveUp()
    heard.append("end")


def test_a_lane_says_what_is_to_be_done_one_at_a_time_until_its_script_ends() -> None:
    heard: list[str] = []
    lane = Lane(script(heard))
    assert lane.next_action() is None
    assert lane.next_action() == Gate()
    assert lane.next_action() == GiveUp()
    assert heard == []
    assert [lane.next_action() for _ in range(3)] == [None] * 3
    assert heard == ["end"]


def test_what_failed_is_thrown_where_it_was_asked_for_and_once() -> None:
    heard: list[str] = []
    lane = Lane(script(heard))
    lane.next_action()
    lane.next_action()
    lane.fail(FULL)
    assert lane.next_action() == GiveUp()
    assert heard == ["54000"]
    assert lane.next_action() is None
    assert heard == ["54000", "end"]


def test_what_is_abandoned_is_left_where_it_is() -> None:
    heard: list[str] = []
    lane = Lane(script(heard))
    lane.next_action()
    lane.abandon()
    assert lane.next_action() is None
    lane.fail(FULL)
    assert lane.next_action() is None
    assert heard == []


def test_a_wait_for_data_is_no_action_though_it_looks_like_one() -> None:
    assert Ready() == MORE_DATA
    assert Lane(iter_one()).next_action() is not None


def iter_one() -> Script:
    yield Ready()
