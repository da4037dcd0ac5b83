"""Who may be at logging in, and who goes when one more comes."""

from __future__ import annotations

from twistnotify.server.newcomers import PATIENCE, Newcomers


class Client:
    """A connection that has not logged in."""

    def __init__(self) -> None:
        self.gone = False

    def make_room(self) -> None:
        self.gone = True


def full(newcomers: Newcomers, *sources: str, now: float = 0.0) -> list[Client]:
    clients = [Client() for _ in sources]
    assert all(newcomers.add(client, source, now) for client, source in zip(clients, sources, strict=True))
    return clients


def test_there_are_so_many_and_no_more() -> None:
    newcomers = Newcomers(2)
    first, second = full(newcomers, "a", "b")
    assert newcomers.is_full
    assert not newcomers.add(Client(), "c", PATIENCE / 2)
    newcomers.remove(first)
    assert len(newcomers) == 1
    assert newcomers.add(Client(), "c", PATIENCE / 2)
    assert not second.gone


def test_who_has_been_silent_for_longest_makes_room() -> None:
    newcomers = Newcomers(2)
    first, second = full(newcomers, "a", "a")
    newcomers.wait_for(first, PATIENCE / 2)
    assert newcomers.add(Client(), "b", PATIENCE)
    assert (first.gone, second.gone) == (False, True)
    assert len(newcomers) == 2


def test_who_waits_for_us_is_not_silent() -> None:
    newcomers = Newcomers(2)
    first, second = full(newcomers, "a", "a")
    newcomers.work_for(first)
    assert newcomers.add(Client(), "b", PATIENCE)
    assert (first.gone, second.gone) == (False, True)
    for client in (first, second):
        newcomers.work_for(client)
    assert not first.gone


def test_a_source_with_many_makes_room_for_others_however_fast_it_is() -> None:
    newcomers = Newcomers(4)
    alone, *flood = full(newcomers, "good", "bad", "bad", "bad")
    assert newcomers.add(Client(), "other", PATIENCE / 2)
    assert not alone.gone
    assert [client.gone for client in flood] == [True, False, False]


def test_and_not_for_itself() -> None:
    newcomers = Newcomers(4)
    clients = full(newcomers, "good", "bad", "bad", "bad")
    assert not newcomers.add(Client(), "bad", PATIENCE / 2)
    assert not any(client.gone for client in clients)


def test_where_all_have_as_many_the_new_one_has_to_come_again() -> None:
    newcomers = Newcomers(3)
    full(newcomers, "a", "b", "c")
    assert not newcomers.add(Client(), "d", PATIENCE / 2)


def test_a_source_of_which_all_wait_for_us_makes_no_room() -> None:
    newcomers = Newcomers(2)
    clients = full(newcomers, "bad", "bad")
    for client in clients:
        newcomers.work_for(client)
    assert not newcomers.add(Client(), "good", 2 * PATIENCE)


def test_nothing_is_left_of_those_who_are_none_any_more() -> None:
    newcomers = Newcomers(3)
    clients = full(newcomers, "a", "a", "b")
    for client in clients + clients:
        newcomers.remove(client)
        newcomers.wait_for(client, 1.0)
    assert len(newcomers) == 0
    full(newcomers, "a", "a", "b", now=1.0)
