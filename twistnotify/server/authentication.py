"""What a client has to prove before it is let in: the configuration's methods, users and their secrets.

All of it is one object that never changes; a reload puts another one in its place. Log-ins that are under way end by
the one they began with.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from twistnotify.auth.demands import CleartextProof, Demand, Known, Md5Proof, NoProof, ScramProof
from twistnotify.auth.hba import HbaRule, method_for
from twistnotify.auth.origin import Origin
from twistnotify.auth.rights import Rights
from twistnotify.auth.scram import ServerStart
from twistnotify.auth.scram_keys import derived
from twistnotify.auth.secrets import (
    Md5Secret,
    PlainSecret,
    ScramSecret,
    Secret,
    mock_scram_secret,
    parse_secret,
    scram_secret,
)
from twistnotify.relay.lookup import LookupFailed, UserLookup
from twistnotify.server.derivations import Derivations, TooManyDerivations
from twistnotify.server.tls import ServerTls
from twistnotify.session.failure import fatal

if TYPE_CHECKING:
    from twistnotify.server.arrival import Arrival

NONCE_BYTES = 18
MD5_SALT_BYTES = 4
"""As many as PostgreSQL draws."""
MAX_AHEAD = 1_000
"""Users whose keys are made ahead: at 4,096 rounds, a second's work of a thread."""
_BY_SCRAM = ("scram-sha-256", "md5", "hba")
NOBODYS = "nobody has this password, since whoever is asked for it is turned away"
NOT_ALLOWED = "28000"
"""PostgreSQL's invalid_authorization_specification."""


Work: TypeAlias = Callable[[], ScramSecret]


@dataclass(frozen=True, slots=True)
class Security:
    """What the configuration and the files it names say of log-ins and rights."""

    auth_type: str = "trust"
    users: Mapping[str, Secret | None] = field(default_factory=dict, repr=False)
    rules: tuple[HbaRule, ...] = ()
    scram_iterations: int = 4096
    auth_user: str = ""
    tls: ServerTls | None = None
    rights: Rights = field(default_factory=lambda: Rights((), True))


class _Shared:
    """The outcome of some work for all who wait for it, however many give up."""

    def __init__(self, work: Deferred[ScramSecret]) -> None:
        self.has_failed = False
        self._outcome: ScramSecret | None = None
        self._waiting: list[Deferred[ScramSecret]] = []
        work.addCallbacks(self._done, self._failed)

    def wait(self) -> Deferred[ScramSecret]:
        """Return a Deferred of one's own, which may be cancelled."""
        if self._outcome is not None:
            return succeed(self._outcome)
        if self.has_failed:
            return fail(TooManyDerivations())
        waiting: Deferred[ScramSecret] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _failed(self, failure: Failure) -> None:
        self.has_failed = True
        for each in self._waiting:
            if not each.called:
                each.errback(failure)

    def _done(self, outcome: ScramSecret) -> None:
        self._outcome = outcome
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.callback(outcome)


class Authenticator:
    """Say what clients have to prove.

    `lookup(database)` is who asks PostgreSQL for users that no file has, None if nobody does; `random_bytes(n)` gives
    salts and nonces; `mock_key` are random bytes that live as long as the process, for users that do not exist;
    `derivations` make keys of passwords.
    """

    def __init__(
        self,
        security: Security,
        lookup: Callable[[str], UserLookup | None],
        random_bytes: Callable[[int], bytes],
        mock_key: bytes,
        derivations: Derivations,
    ) -> None:
        self.security = security
        self._derivations = derivations
        self._lookup = lookup
        self._random_bytes = random_bytes
        self._mock_key = mock_key
        self._keys: dict[str, tuple[PlainSecret, _Shared]] = {}
        self._usual = _usual(security)
        self.trusts_everyone = security.auth_type == "trust" and not security.users and security.tls is None
        """Whether nothing about a client matters, which spares looking at it."""
        self.is_over = False
        """Whether another one has taken its place."""

    def demand(self, arrival: Arrival, database: str, user: str) -> Demand | Deferred[Demand]:
        """Return what a client has to prove; raises `SqlError`, or fails with it."""
        security, origin = self.security, arrival.origin()
        if security.tls is not None and security.tls.required and not (origin.tls or arrival.is_local):
            raise fatal(NOT_ALLOWED, "this server requires TLS", "See client_tls_sslmode.")
        method = self._method(origin, database, user)
        if method in _WITHOUT_SECRET:
            _WITHOUT_SECRET[method](arrival, user)
            return NoProof(_known(security.users.get(user)))
        if method == "plain" and not origin.tls:
            raise fatal(NOT_ALLOWED, "a password in clear text is asked for over TLS only")
        return self._demand_secret(method, arrival, database, user)

    def derive(self, password: bytes, salt: bytes, iterations: int) -> Deferred[bytes]:
        """Return the key that all others come from (RFC 5802), without keeping the reactor for long."""
        deriving = self._derivations.do(iterations, lambda: derived(password, salt, iterations))
        return deriving.addErrback(_cannot_derive)

    def _method(self, origin: Origin, database: str, user: str) -> str:
        security = self.security
        if security.auth_type != "hba":
            return security.auth_type
        method = method_for(security.rules, origin, database, user)
        if method in (None, "reject"):
            where = f'host "{origin.address or "[local]"}"'
            encryption = "SSL encryption" if origin.tls else "no encryption"
            said = f'for {where}, user "{user}", database "{database}", {encryption}'
            refusal = "pg_hba.conf rejects connection" if method else "no pg_hba.conf entry"
            raise fatal(NOT_ALLOWED, f"{refusal} {said}")
        return str(method)

    def _demand_secret(self, method: str, arrival: Arrival, database: str, user: str) -> Demand | Deferred[Demand]:
        arrival.check_failures(user)
        users = self.security.users
        lookup = None if user in users else self._lookup(database)
        if lookup is None:
            return self._demand_of(method, arrival, user, users.get(user))
        looking = lookup.look_up(user)
        return looking.addCallbacks(
            lambda text: self._demand_of(method, arrival, user, self._found(text)), _cannot_look_up
        )

    def _found(self, text: str | None) -> Secret | None:
        """Return what PostgreSQL has of a user; where no file says how, made-up users are like the first one found."""
        try:
            secret = None if text is None else parse_secret(text)
        except ValueError:
            return None
        if self._usual is None:
            self._usual = secret
        return secret

    def _demand_of(self, method: str, arrival: Arrival, user: str, secret: Secret | None) -> Demand | Deferred[Demand]:
        doomed = secret is None
        secret = secret or self._mock(user)
        if method == "plain":
            return CleartextProof(secret, doomed)
        if method == "md5" and isinstance(secret, PlainSecret | Md5Secret):
            return Md5Proof(secret, self._random_bytes(MD5_SALT_BYTES), doomed)
        if isinstance(secret, ScramSecret):
            return self._scram(arrival, secret, doomed=doomed)
        if isinstance(secret, Md5Secret) or doomed:
            return self._scram(arrival, self._mock_scram(user), doomed=True)
        return self._derived(user, secret).addCallback(lambda made: self._scram(arrival, made, secret))

    def warm_up(self) -> None:
        """Make the keys of passwords ahead, one after the other: else a first log-in tells by its time who exists."""
        if self.security.auth_type in _BY_SCRAM:
            plain = [(user, each) for user, each in self.security.users.items() if isinstance(each, PlainSecret)]
            self._warm_up(iter(plain[:MAX_AHEAD]))

    def _warm_up(self, left: Iterator[tuple[str, PlainSecret]]) -> None:
        user, secret = next(((user, secret) for user, secret in left if user not in self._keys), (None, None))
        if user is not None and secret is not None and not self.is_over:
            keys = self._keys_of(user, secret, self._derivations.do_aside)
            keys.wait().addBoth(lambda _: self._warm_up(left))

    def _derived(self, user: str, secret: PlainSecret) -> Deferred[ScramSecret]:
        """Return the keys of a password that is known in clear text, which are made once."""
        known, keys = self._keys.get(user, (None, None))
        if keys is None or keys.has_failed or known != secret:
            iterations = self.security.scram_iterations
            keys = self._keys_of(user, secret, lambda work: self._derivations.do(iterations, work))
        return keys.wait().addErrback(_cannot_derive)

    def _keys_of(self, user: str, secret: PlainSecret, do: Callable[[Work], Deferred[ScramSecret]]) -> _Shared:
        # The salt is that of a user who does not exist: a reload must not tell the two apart.
        salt, iterations = self._mock_scram(user).salt, self.security.scram_iterations
        keys = _Shared(do(lambda: scram_secret(secret.password, salt, iterations)))
        self._keys[user] = secret, keys
        return keys

    def _scram(self, arrival: Arrival, secret: ScramSecret, known: Known = None, doomed: bool = False) -> ScramProof:
        nonce = base64.b64encode(self._random_bytes(NONCE_BYTES)).decode()
        binding = None if arrival.secured is None else arrival.secured.binding
        return ScramProof(ServerStart(secret, doomed, nonce, binding), known)

    def _mock(self, user: str) -> Secret:
        """Return a secret for a user who does not exist, of the kind that most users have."""
        return PlainSecret(NOBODYS) if isinstance(self._usual, PlainSecret | Md5Secret) else self._mock_scram(user)

    def _mock_scram(self, user: str) -> ScramSecret:
        usual = self._usual
        iterations = usual.iterations if isinstance(usual, ScramSecret) else self.security.scram_iterations
        return mock_scram_secret(self._mock_key, user, iterations)


def _usual(security: Security) -> Secret | None:
    """Return a secret like most users', so that one who does not exist has nothing special."""
    secrets = [secret for user, secret in security.users.items() if secret is not None and user != security.auth_user]
    by_kind = {_kind(secret): secret for secret in secrets}
    kinds = Counter(map(_kind, secrets))
    return by_kind[kinds.most_common(1)[0][0]] if kinds else None


def _kind(secret: Secret) -> tuple[type[Secret], int]:
    """Return what a client can tell of a secret."""
    return type(secret), secret.iterations if isinstance(secret, ScramSecret) else 0


def _known(secret: Secret | None) -> Known:
    return secret if isinstance(secret, PlainSecret | Md5Secret) else None


def _cannot_look_up(failure: Failure) -> NoReturn:
    failure.trap(LookupFailed)
    raise fatal("57P03", "the user cannot be looked up now", "Try again later.") from failure.value


def _cannot_derive(failure: Failure) -> NoReturn:
    failure.trap(TooManyDerivations)
    raise fatal("53300", "sorry, too many clients are logging in", "Try again later.") from None


def _trust(_: Arrival, __: str) -> None:
    pass


def _check_certificate(arrival: Arrival, user: str) -> None:
    if arrival.secured is None or arrival.secured.common_name != user:
        raise fatal(NOT_ALLOWED, f'certificate authentication failed for user "{user}"')


def _check_peer(arrival: Arrival, user: str) -> None:
    if not arrival.is_local or arrival.peer_user() != user:
        raise fatal(NOT_ALLOWED, f'Peer authentication failed for user "{user}"')


_WITHOUT_SECRET: dict[str, Callable[[Arrival, str], None]] = {
    "trust": _trust,
    "cert": _check_certificate,
    "peer": _check_peer,
}
