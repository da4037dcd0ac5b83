"""What a client has to show before it is let in, as values.

Whoever knows the configuration says what it is to be (the server), whoever speaks with the client asks for it (the
session). A client that nobody knows is asked like any other, and its demand is `doomed`: nothing that it shows will do,
and nothing that it sees tells that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from twistnotify.auth.scram import ServerStart
from twistnotify.auth.secrets import Md5Secret, PlainSecret, ScramSecret

Known: TypeAlias = PlainSecret | Md5Secret | None
"""What is known of a user beforehand that its upstream session can log in with."""


@dataclass(frozen=True, slots=True)
class NoProof:
    """Ask for nothing: the client is trusted, or the connection itself has proved who it is."""

    known: Known = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CleartextProof:
    """Ask for the password as it is."""

    secret: PlainSecret | Md5Secret | ScramSecret = field(repr=False)
    doomed: bool = False


@dataclass(frozen=True, slots=True)
class Md5Proof:
    """Ask for the password's MD5 digest; `salt` is 4 random bytes."""

    secret: PlainSecret | Md5Secret = field(repr=False)
    salt: bytes = field(repr=False)
    doomed: bool = False


@dataclass(frozen=True, slots=True)
class ScramProof:
    """Ask for a SCRAM exchange; with `known`, what it teaches is not needed."""

    start: ServerStart = field(repr=False)
    known: Known = field(default=None, repr=False)


Demand: TypeAlias = NoProof | CleartextProof | Md5Proof | ScramProof
