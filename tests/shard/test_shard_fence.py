from __future__ import annotations

from twistnotify.shard.fence import Fence

LISTENED = {"a", "b"}


def accept(fence: Fence, *channels: str) -> int:
    return fence.accept([(channel, "x") for channel in channels], LISTENED)


def test_nothing_is_pending_at_first() -> None:
    assert Fence().pending(["a", "b"]) == 0


def test_units_are_numbered_from_one() -> None:
    fence = Fence()

    assert [accept(fence, "a"), accept(fence, "b"), accept(fence)] == [1, 2, 3]


def test_a_channel_is_pending_up_to_the_last_unit_that_names_it() -> None:
    fence = Fence()
    accept(fence, "a", "b")
    accept(fence, "a")
    accept(fence, "b")

    assert fence.pending(["a"]) == 2
    assert fence.pending(["a", "b"]) == 3
    fence.answer(2)
    assert fence.pending(["a"]) == 0
    assert fence.pending(["a", "b"]) == 3


def test_a_channel_that_nobody_listens_to_is_not_kept_track_of() -> None:
    fence = Fence()
    accept(fence, "quiet")

    assert fence.pending(["quiet"]) == 0
    assert fence._pending == {}


def test_who_waits_is_let_go_by_the_answer_to_its_unit_or_a_later_one() -> None:
    fence = Fence()
    passed: list[str] = []
    for name in ("first", "second", "third"):
        number = accept(fence, "a")
        fence.wait(number, lambda name=name: passed.append(name))  # type: ignore[misc]

    fence.answer(1)
    assert passed == ["first"]
    fence.answer(3)
    assert passed == ["first", "second", "third"]


def test_an_answer_that_comes_late_takes_nothing_back() -> None:
    fence = Fence()
    for _ in range(3):
        accept(fence, "a")

    fence.answer(3)
    fence.answer(1)

    assert fence.answered == 3
    assert fence.pending(["a"]) == 0


def test_nothing_is_remembered_when_all_is_answered() -> None:
    fence = Fence()
    accept(fence, "a")
    accept(fence, "b")
    fence.answer(2)

    assert fence._pending == {}
    assert fence._waits == []


def test_a_wait_that_is_given_up_is_never_called() -> None:
    fence = Fence()
    passed: list[int] = []
    wait = fence.wait(accept(fence, "a"), lambda: passed.append(1))

    fence.give_up(wait)
    fence.give_up(wait)
    fence.answer(1)

    assert passed == []


def test_an_open_fence_lets_everybody_go_and_the_unit_stays_pending() -> None:
    fence = Fence()
    passed: list[int] = []
    fence.wait(accept(fence, "a"), lambda: passed.append(1))

    fence.open()

    assert passed == [1]
    assert fence.pending(["a"]) == 1


def test_a_channel_is_forgotten_as_soon_as_it_is_not_pending() -> None:
    fence = Fence()
    first, second, _ = accept(fence, "a"), accept(fence, "b"), accept(fence, "a")

    fence.forget("b")
    fence.forget("unknown")
    assert fence.pending(["b"]) == second
    fence.answer(first)
    assert fence.pending(["b"]) == second
    fence.answer(second)

    assert set(fence._pending) == {"a"}
    assert fence._forgotten == set()


def test_a_channel_that_is_not_pending_is_forgotten_at_once() -> None:
    fence = Fence()
    fence.answer(accept(fence, "a"))
    first, _ = accept(fence, "b"), accept(fence, "a")
    fence.answer(first)

    fence.forget("b")

    assert set(fence._pending) == {"a"}


def test_nothing_is_left_of_forgotten_channels_when_all_is_answered() -> None:
    fence = Fence()
    number = accept(fence, "a")
    fence.forget("a")

    fence.answer(number)

    assert fence._pending == {}
    assert fence._forgotten == set()


def test_one_that_waits_again_as_it_is_let_go_waits_for_the_next_answer() -> None:
    fence = Fence()
    passed: list[int] = []
    first, second = accept(fence, "a"), accept(fence, "a")
    fence.wait(first, lambda: fence.wait(second, lambda: passed.append(2)))

    fence.answer(1)
    assert passed == []
    fence.answer(2)
    assert passed == [2]


def test_one_that_gives_up_anothers_wait_as_it_is_let_go_is_no_trouble() -> None:
    fence = Fence()
    passed: list[int] = []
    number, later = accept(fence, "a"), accept(fence, "a")
    other = fence.wait(later, lambda: passed.append(2))
    fence.wait(number, lambda: fence.give_up(other))

    fence.answer(1)
    fence.answer(2)

    assert passed == []
