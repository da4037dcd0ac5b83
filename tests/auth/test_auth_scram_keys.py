"""The keys of SCRAM-SHA-256."""

from base64 import b64decode, b64encode

import pytest

from twistnotify.auth.password import prepared
from twistnotify.auth.scram_keys import (
    KEY_SIZE,
    REMEMBERED_KEYS,
    ScramFault,
    client_key,
    client_proof,
    decoded,
    malformed,
    proved_key,
    salted_password,
    server_key,
    signature,
    stored_key,
)

# RFC 7677, section 3.
SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
SIGNED = (
    b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
)
SALTED = salted_password(b"pencil", SALT, 4096)


def test_the_proofs_are_those_of_the_rfc() -> None:
    assert b64encode(client_proof(client_key(SALTED), SIGNED)) == b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert b64encode(signature(server_key(SALTED), SIGNED)) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_every_key_is_as_long_as_the_hash() -> None:
    keys = (SALTED, client_key(SALTED), stored_key(client_key(SALTED)), server_key(SALTED))
    assert {len(key) for key in keys} == {KEY_SIZE}
    assert len(set(keys)) == len(keys)


def test_a_proof_hides_the_key_from_who_has_not_the_stored_key() -> None:
    key = client_key(SALTED)
    proof = client_proof(key, SIGNED)
    assert proved_key(proof, stored_key(key), SIGNED) == key
    assert proved_key(proof, bytes(KEY_SIZE), SIGNED) != key
    assert proved_key(proof, stored_key(key), SIGNED + b"!") != key


def test_a_password_is_prepared_before_it_is_hashed() -> None:
    assert salted_password(prepared("pen\u00adcil"), SALT, 4096) == SALTED


def test_a_key_is_derived_once() -> None:
    salted_password.cache_clear()
    salted_password(b"open", b"salt", 1)
    salted_password(b"open", b"salt", 1)
    remembered = salted_password.cache_info()
    assert (remembered.hits, remembered.misses) == (1, 1)


def test_the_keys_that_are_remembered_are_bounded() -> None:
    for number in range(REMEMBERED_KEYS + 1):
        salted_password(b"open", number.to_bytes(2), 1)
    assert salted_password.cache_info().currsize == REMEMBERED_KEYS


@pytest.mark.parametrize("text", [b"*", b"A", b"AA", b"AAA", b"AAA=\n", b" AAA=", b"AA=A", b"AAAA=", b"=", b"\xff"])
def test_what_is_not_base64_is_nothing(text: bytes) -> None:
    assert decoded(text) is None


def test_base64_is_read() -> None:
    assert (decoded(b"c2FsdA=="), decoded(b"")) == (b"salt", b"")


def test_a_fault_has_a_detail_where_there_is_more_to_say() -> None:
    fault = malformed("The message is empty.")
    assert (fault.message, fault.sqlstate, fault.detail) == (
        "malformed SCRAM message",
        "08P01",
        "The message is empty.",
    )
    assert malformed().detail is None
    assert str(ScramFault("no")) == "no"
