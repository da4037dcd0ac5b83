"""What a client has to prove, by what the configuration says and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import md5
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from fakes.tls import server_tls
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure

from twistnotify.auth.demands import CleartextProof, Demand, Md5Proof, NoProof, ScramProof
from twistnotify.auth.hba_file import read_hba
from twistnotify.auth.origin import Origin
from twistnotify.auth.scram_keys import MAX_ITERATIONS, QUICK_ITERATIONS, salted_password
from twistnotify.auth.secrets import (
    Md5Secret,
    PlainSecret,
    ScramSecret,
    Secret,
    format_secret,
    mock_scram_secret,
    scram_secret,
)
from twistnotify.relay.lookup import LookupFailed
from twistnotify.server.authentication import Authenticator, Security
from twistnotify.server.derivations import MAX_WAITING, Derivations
from twistnotify.server.tls import Secured
from twistnotify.session.failure import SqlError

PLAIN = PlainSecret("open sesame")
MD5 = Md5Secret(md5(b"open sesamealice").hexdigest().encode())
SCRAM = scram_secret("open sesame", b"sixteen bytes ..", 7)
SALT = mock_scram_secret(b"mock key", "alice", 1).salt
"""Alice's, whether she exists or not."""
FEW = 100
SLOW = QUICK_ITERATIONS + 1


class Arriving:
    """A client on its way in."""

    def __init__(self, address: str | None = "192.0.2.1", secured: Secured | None = None, peer: str | None = None):
        self.address = None if address is None else ip_address(address)
        self.secured = secured
        self.is_local = address is None
        self._peer = peer

    def origin(self) -> Origin:
        return Origin(self.address, self.secured is not None)

    def peer_user(self) -> str | None:
        return self._peer

    def check_failures(self, user: str) -> None:
        pass


class Pool:
    """A reactor and its pool of threads, whose work is done when a test says so."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def callFromThread(self, function: Callable[..., object], *args: object) -> None:  # noqa: N802
        function(*args)

    def callInThreadWithCallback(self, told: Any, function: Callable[[], Any]) -> None:  # noqa: N802
        self.work.append(lambda: told(True, function()))

    def do(self) -> None:
        self.work.pop(0)()


class Lookup:
    """Answers about users: a text, None, or an error; without one it has to be waited for."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.waiting: list[Deferred[Any]] = []

    def look_up(self, user: str) -> Deferred[Any]:
        self.asked.append(user)
        if user not in self.answers:
            self.waiting.append(Deferred())
            return self.waiting[-1]
        answer = self.answers[user]
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)


class Asking:
    """An authenticator, and what it wants of clients."""

    def __init__(self, auth_type: str = "scram-sha-256", lookup: Lookup | None = None, **security: Any) -> None:
        security.setdefault("scram_iterations", FEW)
        self.pool = Pool()
        self.drawn = 0
        self.databases: list[str] = []
        self.lookup: Any = lookup
        derivations = Derivations(self.pool, self.pool)
        self.authenticator = Authenticator(
            Security(auth_type, **security), self._lookup, self._random_bytes, b"mock key", derivations
        )

    def _random_bytes(self, count: int) -> bytes:
        self.drawn += 1
        return bytes([self.drawn]) * count

    def _lookup(self, database: str) -> Any:
        self.databases.append(database)
        return self.lookup

    def begin(self, user: str = "alice", arriving: Arriving | None = None) -> Demand | Deferred[Demand]:
        arrival: Any = arriving or Arriving()
        return self.authenticator.demand(arrival, "app", user)

    def demand(self, user: str = "alice", arriving: Arriving | None = None) -> Any:
        """Return a demand that does not have to be waited for."""
        demand = self.begin(user, arriving)
        return demand if not isinstance(demand, Deferred) else outcome(demand)

    def scram(self, user: str = "alice", arriving: Arriving | None = None) -> ScramProof:
        demand = self.demand(user, arriving)
        assert isinstance(demand, ScramProof)
        return demand

    def refusal(self, user: str = "alice", arriving: Arriving | None = None) -> str:
        with pytest.raises(SqlError) as caught:
            self.demand(user, arriving)
        fields = caught.value.fields
        return f"{fields.severity} {fields.sqlstate} {fields.message}"


def outcome(deferred: Deferred[Any]) -> Any:
    """Return what a Deferred has brought, or raise it."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    return result


def shape(demand: Any) -> Any:
    """Return what a client can tell of a demand."""
    if isinstance(demand, ScramProof):
        secret = demand.start.secret
        return "scram", secret.iterations, len(secret.salt), len(demand.start.nonce), demand.start.mechanisms
    return type(demand), len(demand.salt) if isinstance(demand, Md5Proof) else 0


# Whoever is trusted


def test_who_is_trusted_proves_nothing() -> None:
    asking = Asking("trust")

    assert asking.demand() == NoProof()
    assert asking.authenticator.trusts_everyone


@pytest.mark.parametrize(
    ("secret", "known"),
    [(PLAIN, PLAIN), (MD5, MD5), (SCRAM, None), (None, None)],
    ids=["plain", "md5", "scram", "none"],
)
def test_what_is_known_of_him_can_log_him_in_elsewhere(secret: Secret | None, known: Secret | None) -> None:
    asking = Asking("trust", users={"alice": secret})

    assert not asking.authenticator.trusts_everyone
    assert asking.demand() == NoProof(known)
    assert asking.demand("bob") == NoProof()


def test_tls_matters_even_then(tmp_path: Path) -> None:
    asking = Asking("trust", tls=server_tls(tmp_path, client_tls_sslmode="require"))

    assert not asking.authenticator.trusts_everyone
    assert asking.refusal() == "FATAL 28000 this server requires TLS"
    assert asking.demand(arriving=Arriving(secured=Secured(None, None, True))) == NoProof()


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_it_may_be_left_to_the_client(tmp_path: Path, mode: str) -> None:
    assert Asking("trust", tls=server_tls(tmp_path, client_tls_sslmode=mode)).demand() == NoProof()


def test_the_unix_socket_needs_no_tls(tmp_path: Path) -> None:
    asking = Asking("trust", tls=server_tls(tmp_path, client_tls_sslmode="require"))

    assert asking.demand(arriving=Arriving(None)) == NoProof()


# Certificates and peers


@pytest.mark.parametrize(
    ("secured", "right"),
    [
        (None, False),
        (Secured(b"hash", None, False), False),
        (Secured(b"hash", "bob", False), False),
        (Secured(b"hash", "Alice", False), False),
        (Secured(b"hash", "alice", False), True),
    ],
)
def test_a_certificate_has_to_bear_the_users_name(secured: Secured | None, right: bool) -> None:
    asking, arriving = Asking("cert", users={"alice": PLAIN}), Arriving(secured=secured)

    if right:
        assert asking.demand(arriving=arriving) == NoProof(PLAIN)
    else:
        assert asking.refusal(arriving=arriving) == 'FATAL 28000 certificate authentication failed for user "alice"'


@pytest.mark.parametrize(
    ("address", "peer", "right"),
    [(None, "alice", True), (None, "bob", False), (None, None, False), ("127.0.0.1", "alice", False)],
)
def test_a_peer_has_to_be_the_user(address: str | None, peer: str | None, right: bool) -> None:
    asking, arriving = Asking("peer"), Arriving(address, peer=peer)

    if right:
        assert asking.demand(arriving=arriving) == NoProof()
    else:
        assert asking.refusal(arriving=arriving) == 'FATAL 28000 Peer authentication failed for user "alice"'


# Passwords


@pytest.mark.parametrize("secret", [PLAIN, MD5, SCRAM], ids=["plain", "md5", "scram"])
def test_a_password_is_asked_for_in_clear_text_over_tls_only(secret: Secret) -> None:
    asking = Asking("plain", users={"alice": secret})

    assert asking.refusal() == "FATAL 28000 a password in clear text is asked for over TLS only"
    assert asking.refusal(arriving=Arriving(None)) == asking.refusal()
    assert asking.demand(arriving=Arriving(secured=Secured(None, None, True))) == CleartextProof(secret)


@pytest.mark.parametrize("secret", [PLAIN, MD5], ids=["plain", "md5"])
def test_a_digest_is_asked_for_with_a_salt_of_its_own(secret: PlainSecret | Md5Secret) -> None:
    asking = Asking("md5", users={"alice": secret})

    assert asking.demand() == Md5Proof(secret, b"\1\1\1\1")
    assert asking.demand() == Md5Proof(secret, b"\2\2\2\2")


@pytest.mark.parametrize("method", ["md5", "scram-sha-256"])
def test_a_scram_secret_is_asked_for_by_scram(method: str) -> None:
    proof = Asking(method, users={"alice": SCRAM}).scram()

    assert (proof.start.secret, proof.start.doomed, proof.known) == (SCRAM, False, None)


def test_each_exchange_has_a_nonce_of_its_own() -> None:
    asking = Asking(users={"alice": SCRAM})

    first, second = asking.scram().start.nonce, asking.scram().start.nonce
    assert first != second
    assert len(first) == len(second) == 24


def test_over_tls_the_exchange_can_be_bound_to_the_connection() -> None:
    asking = Asking(users={"alice": SCRAM})

    assert asking.scram(arriving=Arriving(secured=Secured(b"hash", None, True))).start.binding == b"hash"
    assert asking.scram(arriving=Arriving(secured=Secured(None, None, True))).start.mechanisms == ("SCRAM-SHA-256",)
    assert asking.scram().start.mechanisms == ("SCRAM-SHA-256",)


def test_a_digest_is_of_no_use_for_scram_and_nobody_can_tell() -> None:
    asking = Asking(users={"alice": MD5, "bob": SCRAM, "carol": SCRAM})

    assert asking.scram().start.doomed
    assert shape(asking.scram()) == shape(asking.scram("bob"))


def test_the_keys_of_a_password_are_derived_once() -> None:
    asking = Asking(users={"alice": PLAIN})
    first, second = asking.scram(), asking.scram()

    assert first.start.secret == scram_secret("open sesame", SALT, FEW)
    assert second.start.secret is first.start.secret
    assert first.start.nonce != second.start.nonce
    assert first.known == second.known == PLAIN
    assert not first.start.doomed


def test_they_are_derived_anew_of_another_password() -> None:
    lookup = Lookup(alice="open sesame")
    asking = Asking(lookup=lookup)
    first = asking.scram().start.secret
    lookup.answers["alice"] = "changed"

    assert asking.scram().start.secret == scram_secret("changed", SALT, FEW)
    assert asking.scram().start.secret != first


def test_a_reload_does_not_tell_who_exists() -> None:
    before, after = Asking(users={"alice": PLAIN}), Asking(users={"alice": PLAIN})
    salts = [[asking.scram(user).start.secret.salt for user in ("alice", "nobody")] for asking in (before, after)]

    assert salts[0] == salts[1]
    assert salts[0][0] == Asking(users={"bob": PLAIN}).scram("alice").start.secret.salt


def test_keys_are_made_ahead_one_after_the_other() -> None:
    asking = Asking(users={"alice": PLAIN, "bob": SCRAM, "carol": PLAIN, "dave": None})
    asking.scram("carol")
    asking.authenticator.warm_up()
    assert len(asking.pool.work) == 1
    asking.pool.do()
    assert asking.pool.work == []

    assert isinstance(asking.scram("alice").start.secret, ScramSecret)
    assert asking.pool.work == []


def test_no_keys_are_made_ahead_of_need() -> None:
    for method in ("trust", "plain", "cert", "peer"):
        asking = Asking(method, users={"alice": PLAIN})
        asking.authenticator.warm_up()
        assert asking.pool.work == []


def test_who_has_been_replaced_makes_no_more_keys() -> None:
    asking = Asking(users={"alice": PLAIN, "carol": PLAIN})
    asking.authenticator.warm_up()
    asking.authenticator.is_over = True
    asking.pool.do()
    assert asking.pool.work == []


def test_too_much_work_is_told_and_not_remembered() -> None:
    asking = Asking(users={"alice": PLAIN}, scram_iterations=SLOW)
    others = [asking.authenticator.derive(b"x", b"salt", SLOW) for _ in range(MAX_WAITING)]
    assert asking.refusal() == "FATAL 53300 sorry, too many clients are logging in"
    for _ in others:
        asking.pool.do()

    asked = asking.begin()
    asking.pool.do()
    assert isinstance(asked, Deferred)
    assert outcome(asked).start.secret.salt == SALT


def test_the_user_who_asks_for_others_is_no_model_for_them() -> None:
    asking = Asking("md5", users={"tn_auth": PLAIN}, auth_user="tn_auth")
    assert isinstance(asking.demand("nobody"), ScramProof)


def test_all_who_wait_for_the_same_keys_wait_for_one_derivation() -> None:
    asking = Asking(users={"alice": PLAIN}, scram_iterations=SLOW)
    first, second, third = asking.begin(), asking.begin(), asking.begin()
    assert isinstance(first, Deferred)
    assert isinstance(second, Deferred)
    assert isinstance(third, Deferred)
    first.addErrback(lambda failure: failure.trap(CancelledError))
    first.cancel()
    assert len(asking.pool.work) == 1

    asking.pool.do()

    assert outcome(second).start.secret is outcome(third).start.secret


def test_what_takes_long_is_done_in_a_thread() -> None:
    asking = Asking(users={"alice": PLAIN}, scram_iterations=SLOW)
    asked = asking.begin()
    assert isinstance(asked, Deferred)
    assert not asked.called

    asking.pool.do()

    assert outcome(asked).start.secret == scram_secret("open sesame", SALT, SLOW)
    asking.scram()
    assert asking.pool.work == []


def test_who_has_gone_meanwhile_is_not_answered() -> None:
    asking = Asking(users={"alice": PLAIN}, scram_iterations=SLOW)
    asked = asking.begin()
    assert isinstance(asked, Deferred)
    asked.cancel()
    with pytest.raises(CancelledError):
        outcome(asked)

    asking.pool.do()


@pytest.mark.parametrize("iterations", [1, QUICK_ITERATIONS, SLOW])
def test_so_is_the_key_of_a_password_in_clear_text(iterations: int) -> None:
    asking = Asking()
    key = asking.authenticator.derive(b"open sesame", b"salt", iterations)
    assert key.called is (iterations <= QUICK_ITERATIONS)
    if not key.called:
        asking.pool.do()

    assert outcome(key) == salted_password(b"open sesame", b"salt", iterations)


# Users who do not exist

MANY_SCRAM: dict[str, Secret | None] = {"alice": SCRAM, "bob": SCRAM, "carol": PLAIN}
MANY_PLAIN: dict[str, Secret | None] = {"alice": PLAIN, "bob": PLAIN, "carol": SCRAM}
MANY_MD5: dict[str, Secret | None] = {"alice": MD5, "bob": MD5, "carol": PLAIN}
OVER_TLS = Arriving(secured=Secured(b"hash", None, True))


@pytest.mark.parametrize("users", [MANY_SCRAM, MANY_PLAIN, MANY_MD5], ids=["scram", "plain", "md5"])
@pytest.mark.parametrize("method", ["plain", "md5", "scram-sha-256"])
def test_one_who_does_not_exist_is_asked_like_most_others(method: str, users: dict[str, Secret | None]) -> None:
    asking = Asking(method, users=users)
    nobody, somebody = asking.demand("nobody", OVER_TLS), asking.demand("alice", OVER_TLS)

    assert shape(nobody) == shape(somebody)
    assert nobody.start.doomed if isinstance(nobody, ScramProof) else nobody.doomed
    if isinstance(nobody, CleartextProof):
        assert isinstance(nobody.secret, ScramSecret) == isinstance(somebody.secret, ScramSecret)


def test_most_others_are_those_with_the_same_iterations() -> None:
    rare, usual = scram_secret("x", b"salt", 5), scram_secret("x", b"salt", 9)
    asking = Asking(users={"a": rare, "b": usual, "c": usual, "d": None, "e": None, "f": None})

    assert asking.scram("nobody").start.secret.iterations == 9


@pytest.mark.parametrize("method", ["md5", "scram-sha-256"])
def test_without_users_the_iterations_are_the_configured_ones(method: str) -> None:
    assert Asking(method).scram("nobody").start.secret.iterations == FEW


def test_the_salt_of_one_who_does_not_exist_is_always_the_same() -> None:
    asking, later = Asking(users=MANY_SCRAM), Asking(users=MANY_SCRAM)
    first, second = asking.scram("nobody"), asking.scram("nobody")

    assert first.start.secret == second.start.secret == later.scram("nobody").start.secret
    assert first.start.nonce != second.start.nonce
    assert asking.scram("nobody else").start.secret.salt != first.start.secret.salt
    assert len(first.start.secret.salt) == len(SALT)


def test_one_without_a_password_is_asked_like_one_who_does_not_exist() -> None:
    asking = Asking(users={"alice": None, "bob": SCRAM})

    assert asking.scram().start.doomed
    assert shape(asking.scram()) == shape(asking.scram("nobody"))


# Users whom PostgreSQL knows


def test_who_is_in_no_file_is_looked_up_for_his_database() -> None:
    lookup = Lookup(alice=format_secret(SCRAM))
    asking = Asking(lookup=lookup, users={"bob": SCRAM, "carol": None})

    assert asking.scram().start.secret == SCRAM
    assert asking.scram("bob").start.secret == SCRAM
    assert asking.scram("carol").start.doomed
    assert lookup.asked == ["alice"]
    assert asking.databases == ["app"]


@pytest.mark.parametrize("text", [None, "", format_secret(SCRAM).replace("$7:", f"${MAX_ITERATIONS + 1}:")])
def test_one_whom_it_does_not_know_is_asked_like_the_first_one_found(text: str | None) -> None:
    asking = Asking(lookup=Lookup(alice=format_secret(SCRAM), bob=text))
    assert asking.scram("bob").start.secret.iterations == FEW
    asking.scram()

    assert asking.scram("bob").start.doomed
    assert shape(asking.scram("bob")) == shape(asking.scram())


def test_an_answer_may_have_to_be_waited_for() -> None:
    lookup = Lookup()
    asked = Asking(lookup=lookup, scram_iterations=FEW).begin()
    assert isinstance(asked, Deferred)
    assert not asked.called

    lookup.waiting[0].callback("open sesame")

    assert outcome(asked).known == PLAIN


def test_one_who_can_not_be_looked_up_is_told_nothing_but_that() -> None:
    asking = Asking(lookup=Lookup(alice=LookupFailed("the connection was lost")))

    assert asking.refusal() == "FATAL 57P03 the user cannot be looked up now"
    with pytest.raises(SqlError) as caught:
        asking.demand()
    assert str(caught.value.__cause__) == "the connection was lost"
    assert caught.value.fields.hint == "Try again later."


def test_one_who_is_trusted_is_not_looked_up() -> None:
    lookup = Lookup()
    asking = Asking("trust", lookup, users={"bob": PLAIN})

    assert asking.demand() == NoProof()
    assert lookup.asked == []


# The lines of an hba file


def hba(*lines: str) -> tuple[Any, ...]:
    rules, faults = read_hba("\n".join(lines), str)
    assert not faults
    return rules


@pytest.mark.parametrize(
    ("arriving", "kind"),
    [
        (Arriving("192.0.2.1"), ScramProof),
        (Arriving("127.0.0.1"), NoProof),
        (Arriving(None), NoProof),
        (Arriving("10.0.0.1"), Md5Proof),
        (OVER_TLS, CleartextProof),
    ],
)
def test_the_first_line_that_fits_says_what_is_asked_for(arriving: Arriving, kind: type) -> None:
    lines = (
        "hostssl all all 192.0.2.0/24 password",
        "host all all 127.0.0.1/32 trust",
        "local all all peer",
        "host app alice 10.0.0.0/8 md5",
        "host all all all scram-sha-256",
    )
    asking = Asking("hba", rules=hba(*lines), users={"alice": PLAIN})
    arriving._peer = "alice"

    demand = asking.demand(arriving=arriving)

    assert isinstance(demand, kind)


@pytest.mark.parametrize(
    ("arriving", "host", "encryption"),
    [
        (Arriving(), "192.0.2.1", "no encryption"),
        (OVER_TLS, "192.0.2.1", "SSL encryption"),
        (Arriving("2001:db8::1"), "2001:db8::1", "no encryption"),
        (Arriving(None), "[local]", "no encryption"),
    ],
)
def test_who_is_rejected_is_told_so_in_postgresqls_words(arriving: Arriving, host: str, encryption: str) -> None:
    said = f'for host "{host}", user "alice", database "app", {encryption}'

    assert Asking("hba").refusal(arriving=arriving) == f"FATAL 28000 no pg_hba.conf entry {said}"
    rejects = Asking("hba", rules=hba("host all all all reject", "local all all reject"))
    assert rejects.refusal(arriving=arriving) == f"FATAL 28000 pg_hba.conf rejects connection {said}"


def test_nothing_shows_a_secret() -> None:
    asking = Asking(users={"alice": PLAIN, "bob": SCRAM})

    assert "sesame" not in repr((asking.authenticator.security, asking.scram(), Asking("plain").authenticator.security))
