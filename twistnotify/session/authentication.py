"""Having a client prove who it is (Protocol, section 'Start-up').

Each kind of demand is a conversation of its own over frames of type 'p'. What the client has shown in it is what its
upstream session can be logged in with. Whatever goes wrong, the client is told what PostgreSQL tells, which is the same
for a user that is not there, a secret of another kind and a wrong password.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias

from twistnotify.auth.demands import CleartextProof, Demand, Md5Proof, NoProof, ScramProof
from twistnotify.auth.password import prepared
from twistnotify.auth.scram import ServerChallenge
from twistnotify.auth.scram_keys import ScramFault
from twistnotify.auth.secrets import Credentials, PlainSecret, ScramSecret, matches, matches_salted, md5_matches
from twistnotify.session.actions import Action, Derive, Identify, Judge, Refuse
from twistnotify.session.failure import SqlError, fatal
from twistnotify.wire.authentication import (
    AUTHENTICATION_RESPONSE,
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    PasswordMessage,
    SASLInitialResponse,
)
from twistnotify.wire.errors import ErrorFields
from twistnotify.wire.violations import MessageTooLong, ProtocolViolation

if TYPE_CHECKING:
    from twistnotify.session.session import Session

MAX_AUTHENTICATION_MESSAGE = 65_535
"""Bytes of the longest answer; PostgreSQL's own bound (PG_MAX_AUTH_TOKEN_LENGTH). A password may be a token."""
INVALID_PASSWORD = "28P01"

Proof: TypeAlias = Generator[Action, None, Credentials | None]


def authenticate(session: Session, database: str) -> Generator[Action, None, None]:
    """Have the client prove that it is `session.user`; raises `SqlError` or ProtocolViolation if it does not."""
    yield Identify(database, session.user)
    demand: Demand = session.take_answer()
    if isinstance(demand, NoProof):
        session.credentials = demand.known
        return
    try:
        session.credentials = yield from _PROVE[type(demand)](session, demand)
    except SqlError as failure:
        yield Refuse(session.user, database, failure.fields.message)
        raise
    except ProtocolViolation as violation:
        yield Refuse(session.user, database, violation.message)
        raise


def _prove_cleartext(session: Session, demand: CleartextProof) -> Proof:
    session.replies.append(AuthenticationCleartextPassword().encode())
    answer = PasswordMessage.decode((yield from _response(session, "password"))).password
    if not answer:
        raise fatal(INVALID_PASSWORD, "empty password returned by client")
    yield Judge(session.user)
    password = answer.decode("utf-8", "surrogateescape")
    secret = demand.secret
    if isinstance(secret, ScramSecret):
        yield Derive(prepared(password), secret.salt, secret.iterations)
        right = matches_salted(secret, session.take_answer())
    else:
        right = matches(secret, password, session.user)
    if demand.doomed or not right:
        raise _wrong(session)
    return PlainSecret(password)


def _prove_md5(session: Session, demand: Md5Proof) -> Proof:
    session.replies.append(AuthenticationMD5Password(demand.salt).encode())
    answer = PasswordMessage.decode((yield from _response(session, "password"))).password
    yield Judge(session.user)
    if demand.doomed | (not md5_matches(demand.secret, session.user, demand.salt, answer)):
        raise _wrong(session)
    return demand.secret


def _prove_scram(session: Session, demand: ScramProof) -> Proof:
    try:
        return (yield from _exchange_scram(session, demand))
    except ScramFault as fault:
        if fault.sqlstate == INVALID_PASSWORD:
            raise _wrong(session) from None
        raise SqlError(ErrorFields("FATAL", fault.sqlstate, fault.message, fault.detail)) from None


def _exchange_scram(session: Session, demand: ScramProof) -> Proof:
    challenge = yield from _begin_scram(session, demand)
    session.replies.append(AuthenticationSASLContinue(challenge.message).encode())
    proof = yield from _response(session, "SASL")
    yield Judge(session.user)
    final = challenge.verify(proof)
    if final is None:
        raise _wrong(session)
    session.replies.append(AuthenticationSASLFinal(final.message).encode())
    return demand.known or final.keys


def _begin_scram(session: Session, demand: ScramProof) -> Generator[Action, None, ServerChallenge]:
    """Have the client choose a mechanism and begin; its first message may come later than the choice."""
    session.replies.append(AuthenticationSASL(demand.start.mechanisms).encode())
    chosen = SASLInitialResponse.decode((yield from _response(session, "SASL")))
    mechanism, first = chosen.mechanism.decode("ascii", "replace"), chosen.data
    if first is None:
        if mechanism in demand.start.mechanisms:
            session.replies.append(AuthenticationSASLContinue(b"").encode())
            first = yield from _response(session, "SASL")
        else:
            first = b""
    return demand.start.challenge(mechanism, first)


def _response(session: Session, kind: str) -> Generator[Action, None, bytes]:
    """Return what the client answers; `kind` is for the complaint about anything else."""
    try:
        type_, body = yield from session.frame()
    except MessageTooLong:
        raise ProtocolViolation("invalid message length") from None
    if type_ != AUTHENTICATION_RESPONSE:
        raise ProtocolViolation(f"expected {kind} response, got message type {type_}")
    return body


def _wrong(session: Session) -> SqlError:
    return fatal(INVALID_PASSWORD, f'password authentication failed for user "{session.user}"')


_PROVE: dict[type[Any], Callable[[Session, Any], Proof]] = {
    CleartextProof: _prove_cleartext,
    Md5Proof: _prove_md5,
    ScramProof: _prove_scram,
}
