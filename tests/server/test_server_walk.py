"""Random walks of a whole server: what every client hears is what a model of a few lines says.

The model numbers all commands. A client hears what is notified after its LISTEN, in PostgreSQL's order. One thing is
left open: a NOTIFY that waited while the connection was lost comes behind the LISTENs of the new one, also behind
those that came later than itself; whoever sent these may hear it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from fakes.client import FakeClient
from fakes.fixtures import MakeWorld
from fakes.postgres import server_error
from fakes.world import World

from twistnotify.wire.errors import ErrorResponse
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ReadyForQuery

Expected = tuple[str, str, bool]

STEPS = 150
CHANNELS = ("a", "b", "c", 'it\'s "one"')
FOREIGN = "foreign"
REPEATS = "repeats"
BAD = "bad"


@dataclass(eq=False)
class Actor:
    """One client, and what it should have heard.

    `listens` has the number of the LISTEN that is in effect for each channel; `wanted` what its open transaction
    gathers; `heard` has channels and payloads; `expected` as well, and whether one may be missing; `held` is what
    waits for the end of its transaction or command.
    """

    client: FakeClient
    listens: dict[str, int] = field(default_factory=dict)
    wanted: list[tuple[str, str, str]] | None = None
    busy: bool = False
    failed: bool = False
    added: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    asked: int = 0
    expected: list[Expected] = field(default_factory=list)
    held: list[Expected] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        """Tell whether it gets notifications at once."""
        return not self.busy and self.wanted is None

    def difference(self) -> tuple[int, int] | None:
        """Return where `heard` and `expected` part, or None."""
        heard = 0
        for index, (channel, payload, optional) in enumerate(self.expected):
            if heard < len(self.heard) and self.heard[heard] == (channel, payload):
                heard += 1
            elif not optional:
                return heard, index
        return None if heard == len(self.heard) else (heard, len(self.expected))


class Walk:
    """A server, its clients, and the model."""

    def __init__(self, world: World, seed: int, losses: bool) -> None:
        self.world = world
        self.random = Random(seed)
        self.losses = losses
        self.actors: list[Actor] = []
        self.number = 0
        self.repeats = 0
        self.accepted: dict[str, int] = {}
        self.senders: dict[str, int] = {}
        self.channel_of: dict[str, str] = {}
        self.arrived: list[Any] = []
        self.trace: list[str] = []
        self.delayed: set[str] = set()
        for postgres in world.servers.values():
            postgres.holds = True
            postgres.fault = lambda channel, payload: server_error("22023", "bad") if payload[:3] == BAD else None

    def run(self) -> None:
        actions = [self.connect] * 2 + [self.command] * 20 + [self.answer] * 12 + [self.foreign] * 3
        actions += [self.hang_up, self.wait, self.fault]
        actions += [self.lose] if self.losses else []
        for _ in range(3):
            self.connect()
        self.permanent = self.actors[0]
        self.listen_for_ever()
        for _ in range(STEPS):
            self.random.choice(actions)()
            self.settle()
        self.drain()

    def settle(self) -> None:
        """Come to rest, and compare everybody with the model."""
        self.world.reactor.settle()
        self.dispatch()
        for actor in list(self.actors):
            self.hear(actor)
            if actor.client.gone:
                self.actors.remove(actor)
        for actor in self.actors:
            if actor.idle:
                actor.expected += actor.held
                actor.held.clear()
            difference = actor.difference()
            assert difference is None, f"{actor} differs at {difference}"

    def dispatch(self) -> None:
        """Let the model deliver what PostgreSQL has sent to a shard that is up."""
        for name, postgres in self.world.servers.items():
            if not self.world.shards[name].up:
                continue
            sent, postgres.sent = postgres.sent, []
            for notify in sent:
                self.deliver(notify.channel, notify.payload)

    def deliver(self, channel: str, payload: str) -> None:
        number = self.accepted.get(payload, self.number + 1)
        for actor in self.actors:
            early = actor.listens.get(channel, number + 1) > number
            if channel in actor.listens and (not early or payload in self.delayed):
                (actor.expected if actor.idle else actor.held).append((channel, payload, early))

    def hear(self, actor: Actor) -> None:
        for message in actor.client.hear():
            if isinstance(message, NotificationResponse):
                actor.heard.append((message.channel, message.payload))
                pid = self.senders.get(message.payload)
                assert message.channel in (REPEATS, FOREIGN) or message.pid == pid, message
            elif isinstance(message, ErrorResponse):
                assert message.fields.sqlstate in ("22023", "54000", "08007", "57P01"), message
                actor.failed = True
            elif isinstance(message, ReadyForQuery):
                self.answered(actor)
                if message.status == "I" and not self.losses:
                    self.assert_nothing_is_owed(actor)

    def assert_nothing_is_owed(self, actor: Actor) -> None:
        """What was acknowledged before this command is with the client before its end."""
        known = set(actor.heard) | {(channel, payload) for channel, payload, _ in actor.expected + actor.held}
        for payload, number in self.accepted.items():
            channel = self.channel_of[payload]
            if actor.listens.get(channel, number) < number < actor.asked and payload[:3] != BAD:
                assert (channel, payload) in known, payload

    # What may happen

    def connect(self) -> None:
        if len(self.actors) >= 6:
            return
        actor = Actor(self.world.client())
        self.actors.append(actor)
        if self.random.random() < 0.4 and len(self.actors) > 1:
            self.ask(actor, "SET twistnotify.notify_ack = committed")
        if self.random.random() < 0.4 and len(self.actors) > 1:
            self.ask(actor, "SET twistnotify.listen_ack = confirmed")

    def listen_for_ever(self) -> None:
        for channel in (REPEATS, FOREIGN):
            self.command_of(self.permanent, ("LISTEN", channel, ""))
            self.settle()
        while any(postgres.held for postgres in self.world.servers.values()):
            self.answer()
            self.settle()

    def command(self) -> None:
        idle = [actor for actor in self.actors if not actor.busy]
        if not idle:
            return
        actor = self.random.choice(idle)
        if self.random.random() < 0.15 and actor is not self.permanent:
            self.control(actor)
        else:
            self.command_of(actor, self.some_command(actor))

    def control(self, actor: Actor) -> None:
        if actor.wanted is None:
            actor.wanted = []
            self.ask(actor, "BEGIN")
        elif self.random.random() < 0.7:
            wanted, actor.wanted = actor.wanted, None
            self.ask(actor, "COMMIT", wanted)
        else:
            actor.wanted = None
            self.ask(actor, "ROLLBACK")

    def some_command(self, actor: Actor) -> tuple[str, str, str]:
        channel = self.random.choice(CHANNELS)
        draw = self.random.random()
        if draw < 0.2 and actor is not self.permanent:
            return ("LISTEN", self.random.choice((*CHANNELS, FOREIGN)), "")
        if draw < 0.3 and actor is not self.permanent:
            return ("UNLISTEN", self.random.choice((*CHANNELS, FOREIGN, "*")), "")
        if draw < 0.4:
            return ("NOTIFY", REPEATS, "same")
        if draw < 0.45 and actor.wanted is None:
            return ("NOTIFY", channel, f"{BAD} {self.number}")
        return ("NOTIFY", channel, f"p{self.number} isn't; COMMIT")

    def command_of(self, actor: Actor, command: tuple[str, str, str]) -> None:
        word, channel, payload = command
        name = "*" if channel == "*" else '"' + channel.replace('"', '""') + '"'
        text = payload.replace("'", "''")
        sql = f"{word} {name}" + (f", '{text}'" if word == "NOTIFY" else "")
        if actor.wanted is not None:
            # PostgreSQL drops repeats of a transaction; here and there a client sends one.
            for _ in range(1 + (self.random.random() < 0.2)):
                self.ask(actor, sql)
                actor.wanted.append(command)
        else:
            self.ask(actor, sql, [command])

    def ask(self, actor: Actor, sql: str, effects: list[tuple[str, str, str]] | None = None) -> None:
        """Send a command; its effects are accepted at once, whenever it is answered."""
        self.number += 1
        actor.busy, actor.asked = True, self.number
        words = [(word, channel) for word, channel, _ in effects or () if word != "NOTIFY"]
        self.register(actor, words)
        self.number += 1
        self.repeats += any(channel == REPEATS and word == "NOTIFY" for word, channel, _ in effects or ())
        for word, channel, payload in effects or ():
            if word == "NOTIFY" and channel != REPEATS:
                self.accepted[payload] = self.number
                self.senders[payload] = actor.client.pid
                self.channel_of[payload] = channel
                if not all(shard.up for shard in self.world.shards.values()):
                    self.delayed.add(payload)
        self.trace.append(f"{actor.client.pid}: {sql}")
        actor.client.ask(sql)
        self.world.reactor.settle()
        self.dispatch()
        self.hear(actor)

    def register(self, actor: Actor, words: list[tuple[str, str]]) -> None:
        """Listen at once; what ends with the command ends when it is answered without an error."""
        after = set(actor.listens)
        for word, channel in words:
            if word == "LISTEN":
                after.add(channel)
            elif channel == "*":
                after.clear()
            else:
                after.discard(channel)
        actor.failed = False
        actor.added = after - set(actor.listens)
        actor.left = set(actor.listens) - after
        actor.listens.update(dict.fromkeys(actor.added, self.number))

    def answered(self, actor: Actor) -> None:
        ended = actor.added if actor.failed else actor.left
        for channel in ended:
            del actor.listens[channel]
        actor.held = [each for each in actor.held if each[0] not in ended]
        actor.busy = False
        actor.added, actor.left = set(), set()

    def answer(self) -> None:
        held = [postgres for postgres in self.world.servers.values() if postgres.held]
        if held:
            postgres = self.random.choice(held)
            self.trace.append(f"answer to {postgres.held[0].running}")
            postgres.answer()

    def foreign(self) -> None:
        for postgres in self.world.servers.values():
            postgres.notify(FOREIGN, f"foreign {self.number}")
            self.number += 1

    def hang_up(self) -> None:
        others = [actor for actor in self.actors if actor is not self.permanent]
        if others:
            self.random.choice(others).client.protocol.socket.abortConnection()

    def wait(self) -> None:
        self.world.reactor.wait(self.random.choice((0.01, 0.3)))

    def fault(self) -> None:
        """Have PostgreSQL's own queue full, or not."""
        if not self.losses:
            return
        for postgres in self.world.servers.values():
            full = self.random.random() < 0.3
            postgres.commit_fault = server_error("54000", "queue full") if full else None

    def lose(self) -> None:
        committed_before = {payload for server in self.world.servers.values() for _, payload in server.log}
        self.delayed |= set(self.accepted) - committed_before
        postgres = self.random.choice(list(self.world.servers.values()))
        committed = self.random.random() < 0.5
        self.trace.append(f"lost, {committed=}")
        postgres.lose(committed)

    def drain(self) -> None:
        """Let everything come to an end, and look at what PostgreSQL has committed."""
        for postgres in self.world.servers.values():
            postgres.commit_fault = None
        for _ in range(300):
            while any(postgres.held for postgres in self.world.servers.values()):
                self.answer()
                self.settle()
            if all(shard.up and not shard._queue and shard._link.free for shard in self.world.shards.values()):
                break
            self.world.reactor.wait(0.5)
            self.settle()
        assert not any(actor.busy for actor in self.actors)
        self.check_log()

    def check_log(self) -> None:
        missing = set(self.accepted)
        for postgres in self.world.servers.values():
            numbers = [self.accepted[payload] for _, payload in postgres.log if payload in self.accepted]
            payloads = [payload for _, payload in postgres.log if payload in self.accepted]
            assert numbers == sorted(numbers), "the order of the commands"
            assert len(payloads) == len(set(payloads)), "at most once"
            missing -= set(payloads)
        assert all(payload[:3] == BAD for payload in missing) or self.losses, missing
        assert not any(payload[:3] == BAD for postgres in self.world.servers.values() for _, payload in postgres.log)
        repeats = sum(payload == "same" for server in self.world.servers.values() for _, payload in server.log)
        assert repeats == self.repeats or self.losses
        uncertain = sum(shard.counters.uncertain + shard.counters.refused for shard in self.world.shards.values())
        assert len(missing) == 0 or uncertain > 0


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("shards", [("app",), ("s0", "s1")], ids=["one shard", "two shards"])
@pytest.mark.parametrize("losses", [False, True], ids=["quiet", "losses"])
def test_every_client_hears_exactly_what_it_should(
    make_world: MakeWorld, seed: int, shards: tuple[str, ...], losses: bool
) -> None:
    world = make_world(shards=shards, fence_timeout=1000.0, listen_loss_policy="notice", unlisten_delay=0.2).start()
    walk = Walk(world, seed, losses)

    try:
        walk.run()
    except AssertionError as failure:
        failure.add_note("\n".join([f"seed {seed}:", *walk.trace]))
        raise
