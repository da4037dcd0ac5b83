"""The comparison itself: what it finds, and what it lets pass."""

from parity.comparison import Difference, problems
from parity.transcript import Line

SAME = [Line("a< ReadyForQuery status='I'")]
HEARD = [Line("a< NotificationResponse 'x' 'p' from a"), *SAME]


def test_equal_transcripts_have_no_problems() -> None:
    assert problems(HEARD, HEARD, ()) == []


def test_a_missing_message_is_found() -> None:
    assert problems(HEARD, SAME, ()) == ["- a< NotificationResponse 'x' 'p' from a"]


def test_an_additional_message_is_found() -> None:
    assert problems(SAME, HEARD, ()) == ["+ a< NotificationResponse 'x' 'p' from a"]


def test_two_messages_in_the_wrong_order_are_found() -> None:
    assert len(problems(HEARD, HEARD[::-1], ())) == 2


def test_a_hint_counts_where_ours_has_one() -> None:
    theirs, silent, ours = (Line("a< ErrorResponse", hint=hint) for hint in ("Do this.", None, "Do that."))
    assert problems([theirs], [silent], ()) == []
    assert problems([theirs], [ours], ()) == ["- hint: Do this.\n+ hint: Do that."]
    assert problems([silent], [ours], ()) == ["- hint: None\n+ hint: Do that."]


def test_a_place_counts_where_ours_has_one() -> None:
    theirs, silent, ours = (Line("a< ErrorResponse", place=place) for place in ("t=t", None, "t=u"))
    assert problems([theirs], [silent], ()) == []
    assert problems([theirs], [ours], ()) == ["- place: t=t\n+ place: t=u"]


def test_an_accepted_difference_is_no_problem_each_time_it_shows() -> None:
    row = Difference("because", ("d",), (HEARD[0].text,), ())
    assert problems([*HEARD, *HEARD], [*SAME, *SAME], [row]) == []


def test_an_accepted_difference_that_does_not_show_is_a_problem() -> None:
    row = Difference("because", ("d",), (HEARD[0].text,), ())
    assert problems(SAME, SAME, [row]) == ["an accepted difference does not show: because"]


def test_a_difference_applies_to_its_dialogues_and_versions() -> None:
    row = Difference("because", ("d",), (), (), (18,))
    assert row.applies("d", 18)
    assert not row.applies("d", 15)
    assert not row.applies("e", 18)
    assert Difference("because", ("d",), (), ()).applies("d", 15)
