"""Every listener is given its channels' notifications, each once and in PostgreSQL's order."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from twistnotify.pubsub import hub as hub_module
from twistnotify.pubsub.hub import DISPATCH_BUDGET, Hub
from twistnotify.pubsub.outbox import Outbox

LATER = 60.0

Batch = list[tuple[str, bytes]]


class Reader:
    """A client that never reads by itself."""

    def flush(self) -> None:
        """Leave everything where it is."""


def transcode(frame: bytes, encoding: str) -> bytes:
    return frame.decode().encode(encoding)


class House:
    """A hub with clients, and who could not be given what."""

    def __init__(self) -> None:
        self.dirty: list[Outbox] = []
        self.lost: list[tuple[Outbox, str]] = []
        self.hub = Hub(transcode, lambda outbox, error: self.lost.append((outbox, error.object)))

    def client(self, *channels: str, encoding: str | None = None) -> Outbox:
        outbox = Outbox(Reader(), self.dirty)
        outbox.encoding = encoding
        for channel in channels:
            self.hub.subscribe(outbox, channel)
        return outbox

    def send(self, *batch: str) -> None:
        """Dispatch notifications written as channel:payload; a frame is that text."""
        assert self.hub.dispatch(notifications(batch)) == len(batch)


def notifications(texts: Iterable[str]) -> Batch:
    return [(text.partition(":")[0], f"{text};".encode()) for text in texts]


def given_to(outbox: Outbox) -> list[str]:
    """Return what a client has been given since it was last asked, frame by frame."""
    encoding = outbox.encoding or "utf-8"
    return outbox.take().decode(encoding).split(";")[:-1]


def is_empty(hub: Hub) -> bool:
    return not (hub._interest or hub._channels or hub._lingering)


@pytest.fixture
def house() -> House:
    return House()


# Who is given what


def test_a_listener_is_given_its_channels_notifications_and_no_others(house: House) -> None:
    a, b, none = house.client("a"), house.client("b"), house.client()
    house.send("a:1", "b:2", "c:3", "a:4")
    assert [given_to(outbox) for outbox in (a, b, none)] == [["a:1", "a:4"], ["b:2"], []]


def test_a_listener_of_several_channels_is_given_them_in_the_order_of_the_batch(house: House) -> None:
    both, other = house.client("a", "b"), house.client("b")
    house.send("b:1", "a:2", "b:3", "c:4", "a:5", "b:6")
    assert given_to(both) == ["b:1", "a:2", "b:3", "a:5", "b:6"]
    assert given_to(other) == ["b:1", "b:3", "b:6"]


def test_a_listener_of_one_channel_is_given_a_batch_in_one_piece(house: House) -> None:
    alone, both = house.client("a"), house.client("a", "b")
    house.send("a:1", "a:2", "a:3")
    assert alone.ready == [b"a:1;a:2;a:3;"]
    assert both.ready == [b"a:1;", b"a:2;", b"a:3;"]


def test_listening_twice_is_listening_once(house: House) -> None:
    one, two = house.client("a", "a"), house.client("a", "b", "a", "b")
    house.send("a:1", "b:2")
    assert given_to(one) == ["a:1"]
    assert given_to(two) == ["a:1", "b:2"]


def test_a_listener_that_takes_up_or_gives_up_channels_goes_on_in_order(house: House) -> None:
    outbox = house.client("a")
    for channels in ("ab", "abc", "bc", "c", "", "b", "ab"):
        for channel in "abc":
            if channel in channels:
                house.hub.subscribe(outbox, channel)
            else:
                house.hub.unsubscribe(outbox, channel, LATER)
        house.send("c:1", "a:2", "b:3", "a:4")
        assert given_to(outbox) == [text for text in ("c:1", "a:2", "b:3", "a:4") if text[0] in channels]


def test_the_last_channel_that_is_left_is_given_in_one_piece_again(house: House) -> None:
    outbox = house.client("a", "b")
    house.hub.unsubscribe(outbox, "b", LATER)
    house.send("a:1", "a:2")
    assert outbox.ready == [b"a:1;a:2;"]


def test_who_has_left_is_given_nothing(house: House) -> None:
    outbox = house.client("a", "b")
    house.hub.leave(outbox, LATER)
    house.send("a:1", "b:2")
    assert given_to(outbox) == []
    assert house.dirty == []


def test_deliveries_are_counted(house: House) -> None:
    for channels in ("a", "a", "ab", "b"):
        house.client(*channels)
    house.send("a:1", "a:2", "b:3", "c:4")
    assert house.hub.delivered == 3 + 3 + 2


# Who listens to what


def test_only_the_first_listener_makes_the_shard_listen(house: House) -> None:
    first, second = house.client(), house.client()
    assert house.hub.subscribe(first, "a")
    assert not house.hub.subscribe(first, "a")
    assert not house.hub.subscribe(second, "a")
    assert house.hub.subscribe(second, "b")


def test_it_tells_who_listens_to_what(house: House) -> None:
    one, two = house.client("a"), house.client("b", "a")
    hub = house.hub
    assert list(hub.listeners()) == [one, two]
    assert list(hub.channels()) == ["a", "b"]
    assert [list(hub.channels_of(outbox)) for outbox in (one, two, house.client())] == [["a"], ["b", "a"], []]
    assert [hub.listens(one, channel) for channel in "abc"] == [True, False, False]
    assert ["a" in hub, "c" in hub, len(hub)] == [True, False, 2]
    hub.leave(one, LATER)
    hub.unsubscribe(two, "a", LATER)
    assert (list(hub), list(hub.channels())) == (["a", "b"], ["b"])


def test_a_channel_that_is_listened_to_again_goes_to_the_end(house: House) -> None:
    outbox = house.client("a", "b", "c")
    house.hub.unsubscribe(outbox, "a", LATER)
    house.hub.subscribe(outbox, "a")
    assert list(house.hub.channels_of(outbox)) == ["b", "c", "a"]


def test_giving_up_what_one_does_not_listen_to_changes_nothing(house: House) -> None:
    outbox, other = house.client("a"), house.client("b")
    house.hub.unsubscribe(outbox, "b", LATER)
    house.hub.unsubscribe(outbox, "c", LATER)
    house.hub.leave(house.client(), LATER)
    assert house.hub.next_deadline() is None
    assert house.hub.listens(other, "b")


# Lingering and reservations


def test_a_channel_lingers_when_its_last_listener_has_left(house: House) -> None:
    hub = house.hub
    one, two = house.client("a"), house.client("a")
    hub.unsubscribe(one, "a", 10.0)
    assert hub.next_deadline() is None
    hub.leave(two, 20.0)
    assert (hub.next_deadline(), "a" in hub, len(hub), list(hub.channels())) == (20.0, True, 1, [])
    assert hub.expire(19.9) == []
    assert hub.expire(20.0) == ["a"]
    assert is_empty(hub)


def test_a_lingering_channel_that_is_wanted_again_stays(house: House) -> None:
    hub = house.hub
    hub.leave(house.client("a"), 10.0)
    assert not hub.subscribe(house.client(), "a")
    assert hub.next_deadline() is None
    assert hub.expire(100.0) == []
    assert list(hub.channels()) == ["a"]


def test_an_expired_channel_has_to_be_listened_to_anew(house: House) -> None:
    house.hub.leave(house.client("a"), 10.0)
    house.hub.expire(10.0)
    assert house.hub.subscribe(house.client(), "a")


def test_channels_expire_each_at_its_own_time(house: House) -> None:
    hub = house.hub
    for channel, deadline in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        hub.leave(house.client(channel), deadline)
    assert hub.next_deadline() == 1.0
    assert hub.expire(2.0) == ["b", "c"]
    assert hub.next_deadline() == 3.0


def test_a_reservation_keeps_a_channel_without_delivering(house: House) -> None:
    hub = house.hub
    assert hub.reserve("a")
    assert not hub.reserve("a")
    house.send("a:1")
    hub.unreserve("a", 10.0)
    assert hub.expire(100.0) == []
    hub.unreserve("a", 10.0)
    assert hub.expire(10.0) == ["a"]
    assert is_empty(hub)


def test_a_reservation_and_a_listener_keep_a_channel_for_each_other(house: House) -> None:
    hub = house.hub
    hub.reserve("a")
    outbox = house.client("a")
    hub.unreserve("a", 10.0)
    assert hub.next_deadline() is None
    assert not hub.reserve("a")
    hub.leave(outbox, 10.0)
    assert hub.next_deadline() is None
    hub.unreserve("a", 10.0)
    assert hub.next_deadline() == 10.0


def test_a_reserved_channel_no_longer_lingers(house: House) -> None:
    house.hub.leave(house.client("a"), 10.0)
    assert not house.hub.reserve("a")
    assert house.hub.expire(10.0) == []


def test_nothing_stays_behind_when_everybody_has_left(house: House) -> None:
    clients = [house.client(*channels) for channels in ("a", "ab", "abc", "c", "")]
    house.send("a:1", "b:2")
    for outbox in clients:
        house.hub.leave(outbox, 10.0)
    assert list(house.hub.listeners()) == []
    assert sorted(house.hub.expire(10.0)) == ["a", "b", "c"]
    assert is_empty(house.hub)


# Large batches


def whole(hub: Hub, batch: Batch) -> list[int]:
    """Dispatch a batch to its end and return where it was gone on from."""
    starts = [0]
    while starts[-1] < len(batch):
        starts.append(hub.dispatch(batch, starts[-1]))
    return starts


@pytest.mark.parametrize("channels", ["a", "ab"])
def test_a_large_batch_is_dispatched_in_parts_that_keep_the_order(house: House, channels: str) -> None:
    clients = [house.client(*channels) for _ in range(DISPATCH_BUDGET // 4)]
    texts = [f"{'ab'[number % 2]}:{number}" for number in range(20)]
    starts = whole(house.hub, notifications(texts))
    assert (len(starts) > 2) == (channels == "ab")
    expected = [text for text in texts if text[0] in channels]
    assert all(given_to(outbox) == expected for outbox in clients[:3] + clients[-3:])
    assert house.hub.delivered == len(expected) * len(clients)


def test_a_part_dispatches_one_notification_at_least(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "DISPATCH_BUDGET", 5)
    for _ in range(6):
        house.client("a", "b")
    assert whole(house.hub, notifications(["a:1", "a:2", "b:3"])) == [0, 1, 2, 3]


def test_single_listeners_cost_once_a_part(house: House) -> None:
    outbox = house.client("a")
    assert whole(house.hub, notifications(["a:1"] * (2 * DISPATCH_BUDGET))) == [0, 2 * DISPATCH_BUDGET]
    assert len(outbox.ready) == 1


def test_registrations_may_change_between_two_parts(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "DISPATCH_BUDGET", 0)
    early, late = house.client("a", "b"), house.client()
    batch = notifications(["a:1", "a:2", "b:3"])
    assert house.hub.dispatch(batch) == 1
    house.hub.unsubscribe(early, "a", LATER)
    house.hub.subscribe(late, "a")
    assert house.hub.dispatch(batch, 1) == 2
    assert house.hub.dispatch(batch, 2) == 3
    assert (given_to(early), given_to(late)) == (["a:1", "b:3"], ["a:2"])


def test_an_empty_batch_is_done(house: House) -> None:
    assert house.hub.dispatch([]) == 0


# Encodings


def test_a_listener_with_another_encoding_is_given_frames_in_it(house: House) -> None:
    latin, greek, plain = (house.client("a", encoding=encoding) for encoding in ("latin-1", "iso8859-7", None))
    house.send("a:x", "a:ü")
    assert latin.take() == "a:x;a:ü;".encode("latin-1")
    assert [given_to(plain), given_to(greek)] == [["a:x", "a:ü"], ["a:x"]]
    assert house.lost == [(greek, "a:ü;")]


def test_a_frame_is_converted_once_for_all_listeners_of_an_encoding() -> None:
    converted: list[tuple[bytes, str]] = []

    def counted(frame: bytes, encoding: str) -> bytes:
        converted.append((frame, encoding))
        return transcode(frame, encoding)

    hub = Hub(counted, lambda outbox, error: None)
    for encoding in ("latin-1", "latin-1", "cp1252", None):
        outbox = Outbox(Reader(), [])
        outbox.encoding = encoding
        hub.subscribe(outbox, "a")
    hub.dispatch([("a", b"1"), ("b", b"2")])
    assert converted == [(b"1", "latin-1"), (b"1", "cp1252")]


def test_whoever_cannot_be_given_a_notification_is_told_of_and_the_others_are_given_it(house: House) -> None:
    latins = [house.client("a", "b", encoding="latin-1") for _ in range(2)]
    plain = house.client("a")
    house.send("a:日", "b:1")
    assert house.lost == [(outbox, "a:日;") for outbox in latins]
    assert given_to(plain) == ["a:日"]
    assert [given_to(outbox) for outbox in latins] == [["b:1"]] * 2


def test_a_listener_with_another_encoding_never_stands_alone(house: House) -> None:
    outbox = house.client("a", "b", encoding="latin-1")
    house.hub.unsubscribe(outbox, "b", LATER)
    house.send("a:é", "a:é")
    assert outbox.take() == "a:é;a:é;".encode("latin-1")


# Against a naive model

CHANNELS = "abcd"
listeners = st.integers(0, 5)
channels = st.sampled_from(CHANNELS)


class HubAgainstNaiveModel(RuleBasedStateMachine):
    """Listeners come and go and notifications are sent; each has a list of what it must have been given."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.hub = self.house.hub
        self.clients = [self.house.client(encoding="latin-1" if number == 5 else None) for number in range(6)]
        self.wanted: list[list[str]] = [[] for _ in self.clients]
        self.expected: list[list[str]] = [[] for _ in self.clients]
        self.reserved: list[str] = []
        self.lingering: dict[str, float] = {}
        self.now = 0.0
        self.sent = 0

    def used(self, channel: str) -> bool:
        return channel in self.reserved or any(channel in wanted for wanted in self.wanted)

    def linger(self, channels: Iterable[str]) -> None:
        self.lingering |= {channel: self.now + 2 for channel in channels if not self.used(channel)}

    @rule(number=listeners, channel=channels)
    def subscribe(self, number: int, channel: str) -> None:
        new = not self.used(channel) and channel not in self.lingering
        assert self.hub.subscribe(self.clients[number], channel) is new
        self.lingering.pop(channel, None)
        if channel not in self.wanted[number]:
            self.wanted[number].append(channel)

    @rule(number=listeners, channel=channels)
    def unsubscribe(self, number: int, channel: str) -> None:
        self.hub.unsubscribe(self.clients[number], channel, self.now + 2)
        if channel in self.wanted[number]:
            self.wanted[number].remove(channel)
            self.linger([channel])

    @rule(number=listeners)
    def leave(self, number: int) -> None:
        self.hub.leave(self.clients[number], self.now + 2)
        left, self.wanted[number] = self.wanted[number], []
        self.linger(left)

    @rule(channel=channels)
    def reserve(self, channel: str) -> None:
        new = not self.used(channel) and channel not in self.lingering
        assert self.hub.reserve(channel) is new
        self.lingering.pop(channel, None)
        self.reserved.append(channel)

    @rule()
    def unreserve(self) -> None:
        if self.reserved:
            channel = self.reserved.pop()
            self.hub.unreserve(channel, self.now + 2)
            self.linger([channel])

    @rule()
    def expire(self) -> None:
        self.now += 1
        due = {channel for channel, deadline in self.lingering.items() if deadline <= self.now}
        assert set(self.hub.expire(self.now)) == due
        for channel in due:
            del self.lingering[channel]

    @rule(batch=st.lists(st.sampled_from(CHANNELS + "z"), max_size=10))
    def dispatch(self, batch: list[str]) -> None:
        texts = [f"{channel}:{self.sent + index}" for index, channel in enumerate(batch)]
        self.sent += len(texts)
        self.house.send(*texts)
        for wanted, expected in zip(self.wanted, self.expected, strict=True):
            expected += [text for text in texts if text[0] in wanted]

    @invariant()
    def each_has_been_given_exactly_its_channels_frames_in_order(self) -> None:
        for client, expected in zip(self.clients, self.expected, strict=True):
            assert given_to(client) == expected
            expected.clear()

    @invariant()
    def registrations_are_those_of_the_model(self) -> None:
        for client, wanted in zip(self.clients, self.wanted, strict=True):
            assert list(self.hub.channels_of(client)) == wanted
        used = {channel for channel in CHANNELS if self.used(channel)}
        assert set(self.hub.channels()) == used
        assert len(self.hub) == len(used) + len(self.lingering)
        assert self.hub.next_deadline() == min(self.lingering.values(), default=None)
        assert set(self.hub.listeners()) == {
            client for client, wanted in zip(self.clients, self.wanted, strict=True) if wanted
        }

    def teardown(self) -> None:
        for client in self.clients:
            self.hub.leave(client, 0)
        for channel in self.reserved:
            self.hub.unreserve(channel, 0)
        self.hub.expire(float("inf"))
        assert is_empty(self.hub)


TestHubAgainstNaiveModel = HubAgainstNaiveModel.TestCase
TestHubAgainstNaiveModel.settings = settings(deadline=None, max_examples=30, stateful_step_count=40)


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(0, 6))
def test_how_a_batch_is_parted_makes_no_difference(batch: list[str], budget: int) -> None:
    house = House()
    clients = [house.client(*channels) for channels in ("a", "ab", "abc", "c", "ca")]
    texts = [f"{channel}:{number}" for number, channel in enumerate(batch)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "DISPATCH_BUDGET", budget)
        whole(house.hub, notifications(texts))
    for outbox, channels in zip(clients, ("a", "ab", "abc", "c", "ca"), strict=True):
        assert given_to(outbox) == [text for text in texts if text[0] in channels]
