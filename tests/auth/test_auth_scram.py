"""The server's side of SCRAM-SHA-256."""

from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scramp import ScramClient, ScramException, ScramMechanism

from twistnotify.auth.password import prepared
from twistnotify.auth.scram import ServerChallenge, ServerStart
from twistnotify.auth.scram_attributes import LONGEST_SHOWN
from twistnotify.auth.scram_client import ClientFinal, ClientFirst
from twistnotify.auth.scram_keys import (
    KEY_SIZE,
    MAX_MESSAGE,
    MECHANISM,
    MECHANISM_PLUS,
    ScramFault,
    client_key,
    client_proof,
    salted_password,
    server_key,
)
from twistnotify.auth.secrets import ScramKeys, mock_scram_secret, scram_secret

PASSWORD = "pencil"
SALT = b"[m\x99h\x9d\x125\x8e\xec\xa0K\x14\x126\xfa\x81"
SECRET = scram_secret(PASSWORD, SALT, 4096)
OURS = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
START = ServerStart(SECRET, False, OURS, None)
BINDING = b"hash of the certificate"
BOUND = ServerStart(SECRET, False, OURS, BINDING)
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
NONCE = b"rOprNGfwEbeRWgbNEkqO" + OURS.encode()
FINAL = b"c=biws,r=" + NONCE + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
HEADER = b"p=tls-server-end-point,,"
PROOF = b",p=" + b64encode(bytes(KEY_SIZE))


def keys_of(password: str, salt: bytes = SALT, iterations: int = 4096) -> ScramKeys:
    """Derive the keys that a client has."""
    salted = salted_password(prepared(password), salt, iterations)
    return ScramKeys(salt, iterations, client_key(salted), server_key(salted))


def answered(challenge: ServerChallenge, password: str, nonce: str = "ours") -> ClientFinal:
    """Have the client's side answer a challenge."""
    first = ClientFirst(nonce)
    read = first.read(challenge.message)
    keys = keys_of(password, read.salt, read.iterations)
    return first.answer(read, keys.client_key, keys.server_key)


def proving(challenge: ServerChallenge, begin: bytes, bare: bytes) -> bytes:
    """Return a final message that begins so, with the right proof."""
    signed = b",".join((bare, challenge.message, begin))
    return begin + b",p=" + b64encode(client_proof(keys_of(PASSWORD).client_key, signed))


def fault_of_first(first: bytes, start: ServerStart = START, mechanism: str = MECHANISM) -> ScramFault:
    """Return what is wrong with a first message."""
    with pytest.raises(ScramFault) as caught:
        start.challenge(mechanism, first)
    return caught.value


def fault_of_final(final: bytes) -> ScramFault:
    """Return what is wrong with a final message."""
    with pytest.raises(ScramFault) as caught:
        START.challenge(MECHANISM, FIRST).verify(final)
    return caught.value


def told(fault: ScramFault) -> tuple[str, str, str | None]:
    """Return all that a fault tells."""
    return fault.sqlstate, fault.message, fault.detail


# The exchange


def test_the_exchange_is_that_of_the_rfc() -> None:
    challenge = START.challenge(MECHANISM, FIRST)
    assert challenge.message == b"r=" + NONCE + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    final = challenge.verify(FINAL)
    assert final is not None
    assert final.message == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_proof_teaches_the_keys_of_the_client() -> None:
    final = START.challenge(MECHANISM, FIRST).verify(FINAL)
    assert final is not None
    assert final.keys == keys_of(PASSWORD)


def test_the_keys_that_were_learnt_log_in_elsewhere() -> None:
    learnt = START.challenge(MECHANISM, FIRST).verify(FINAL)
    assert learnt is not None
    first = ClientFirst("anew")
    challenge = ServerStart(SECRET, False, "another", None).challenge(MECHANISM, first.message)
    answer = first.answer(first.read(challenge.message), learnt.keys.client_key, learnt.keys.server_key)
    final = challenge.verify(answer.message)
    assert final is not None
    answer.verify(final.message)


@settings(deadline=None)
@given(st.text(), st.binary(min_size=1, max_size=40), st.integers(1, 20))
def test_the_two_sides_understand_each_other(password: str, salt: bytes, iterations: int) -> None:
    start = ServerStart(scram_secret(password, salt, iterations), False, "theirs", None)
    challenge = start.challenge(MECHANISM, ClientFirst("ours").message)
    answer = answered(challenge, password)
    final = challenge.verify(answer.message)
    assert final is not None
    answer.verify(final.message)
    assert final.keys == keys_of(password, salt, iterations)


# No message can hold a NUL, and to HMAC it is the same behind a short password as nothing.
passwords = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@settings(deadline=None)
@given(passwords, passwords)
def test_a_wrong_password_is_no_proof(password: str, other: str) -> None:
    start = ServerStart(scram_secret(password, b"salt", 2), False, "theirs", None)
    challenge = start.challenge(MECHANISM, ClientFirst("ours").message)
    right = challenge.verify(answered(challenge, other).message) is not None
    assert right == (prepared(password) == prepared(other))


@pytest.mark.parametrize("password", [PASSWORD, "crayon"])
def test_a_doomed_exchange_fails_at_its_end_whatever_the_password(password: str) -> None:
    challenge = ServerStart(SECRET, True, "theirs", None).challenge(MECHANISM, ClientFirst("ours").message)
    assert challenge.message == ServerStart(SECRET, False, "theirs", None).challenge(MECHANISM, b"n,,n=,r=ours").message
    assert challenge.verify(answered(challenge, password).message) is None


def test_a_secret_that_is_made_up_is_proved_by_nothing() -> None:
    secret = mock_scram_secret(b"key", "nobody", 4096)
    challenge = ServerStart(secret, False, "theirs", None).challenge(MECHANISM, ClientFirst("ours").message)
    assert challenge.message.endswith(b",i=4096")
    assert challenge.verify(answered(challenge, "").message) is None


@pytest.mark.parametrize("name", [b"", b"user", b"a=2Cb=3Dc", b"a=", b"\xff\x01 "])
def test_the_name_counts_for_nothing(name: bytes) -> None:
    bare = b"n=" + name + b",r=ours"
    challenge = START.challenge(MECHANISM, b"n,," + bare)
    begin = b"c=biws,r=ours" + OURS.encode()
    assert challenge.verify(proving(challenge, begin, bare)) is not None


def test_extensions_are_signed_and_passed_over() -> None:
    bare = b"n=,r=ours,x=1,Y=,z=a=b,"
    challenge = START.challenge(MECHANISM, b"n,," + bare)
    begin = b"c=biws,r=ours" + OURS.encode() + b",x=1,Y="
    right = proving(challenge, begin, bare)
    assert challenge.verify(right) is not None
    assert challenge.verify(right.replace(b"x=1", b"x=2")) is None


def test_a_secret_of_one_iteration_will_do() -> None:
    challenge = ServerStart(scram_secret("open", b"salt", 1), False, "theirs", None).challenge(
        MECHANISM, b"n,,n=,r=ours"
    )
    assert challenge.message == b"r=ourstheirs,s=c2FsdA==,i=1"
    assert challenge.verify(answered(challenge, "open").message) is not None


# Channel binding


def test_channel_binding_is_offered_first_where_there_is_any() -> None:
    assert START.mechanisms == (MECHANISM,)
    assert BOUND.mechanisms == (MECHANISM_PLUS, MECHANISM)


def test_a_channel_is_bound() -> None:
    challenge = BOUND.challenge(MECHANISM_PLUS, HEADER + b"n=,r=ours")
    begin = b"c=" + b64encode(HEADER + BINDING) + b",r=ours" + OURS.encode()
    assert challenge.verify(proving(challenge, begin, b"n=,r=ours")) is not None


@pytest.mark.parametrize(
    "bound", [b"", b"biws", b"eSws", b64encode(HEADER), b64encode(HEADER + b"hash of another one"), b64encode(BINDING)]
)
def test_another_channel_is_a_fault(bound: bytes) -> None:
    challenge = BOUND.challenge(MECHANISM_PLUS, HEADER + b"n=,r=ours")
    begin = b"c=" + bound + b",r=ours" + OURS.encode()
    with pytest.raises(ScramFault) as caught:
        challenge.verify(proving(challenge, begin, b"n=,r=ours"))
    assert told(caught.value) == ("28000", "SCRAM channel binding check failed", None)


def test_a_client_need_not_bind() -> None:
    challenge = BOUND.challenge(MECHANISM, b"n,,n=,r=ours")
    assert challenge.verify(answered(challenge, PASSWORD).message) is not None


def test_a_client_that_has_not_seen_the_offer_is_warned() -> None:
    assert told(fault_of_first(b"y,,n=,r=ours", BOUND)) == (
        "28000",
        "SCRAM channel binding negotiation error",
        "The client supports SCRAM channel binding but thinks the server does not.  "
        "However, this server does support channel binding.",
    )


def test_a_client_that_could_bind_need_not_where_nothing_was_offered() -> None:
    challenge = START.challenge(MECHANISM, b"y,,n=,r=ours")
    begin = b"c=eSws,r=ours" + OURS.encode()
    assert challenge.verify(proving(challenge, begin, b"n=,r=ours")) is not None


@pytest.mark.parametrize("first", [b"n,,n=,r=ours", b"y,,n=,r=ours"])
def test_who_chooses_to_bind_has_to_bind(first: bytes) -> None:
    assert told(fault_of_first(first, BOUND, MECHANISM_PLUS)) == (
        "08P01",
        "malformed SCRAM message",
        "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.",
    )


@pytest.mark.parametrize("start", [START, BOUND], ids=["not offered", "offered"])
def test_who_does_not_choose_to_bind_must_not(start: ServerStart) -> None:
    assert told(fault_of_first(HEADER + b"n=,r=ours", start)) == (
        "08P01",
        "malformed SCRAM message",
        "The client selected SCRAM-SHA-256 without channel binding, "
        "but the SCRAM message includes channel binding data.",
    )


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (b"tls-unique", "tls-unique"),
        (b"", ""),
        (b"tls-server-end-point\xff", "tls-server-end-point?"),
        (b"a b\n", "a?b?"),
        (b"x" * (LONGEST_SHOWN + 1), "x" * LONGEST_SHOWN),
    ],
)
def test_there_is_one_kind_of_channel_binding(kind: bytes, shown: str) -> None:
    fault = fault_of_first(b"p=" + kind + b",,n=,r=ours", BOUND, MECHANISM_PLUS)
    assert told(fault) == ("08P01", f'unsupported SCRAM channel-binding type "{shown}"', None)


@pytest.mark.parametrize(
    ("first", "detail"),
    [
        (b"p", 'Expected character "=" for attribute "p".'),
        (b"p=tls-server-end-point", 'Unexpected attribute "0x00" in client-first-message.'),
    ],
)
def test_a_binding_has_a_form(first: bytes, detail: str) -> None:
    assert told(fault_of_first(first, BOUND, MECHANISM_PLUS)) == ("08P01", "malformed SCRAM message", detail)


# What the client's first message may not be


@pytest.mark.parametrize("mechanism", ["", MECHANISM_PLUS, "SCRAM-SHA-1", MECHANISM.lower()])
@pytest.mark.parametrize("first", [FIRST, b""])
def test_a_mechanism_that_was_not_offered_is_a_fault(mechanism: str, first: bytes) -> None:
    fault = fault_of_first(first, mechanism=mechanism)
    assert told(fault) == ("08P01", "client selected an invalid SASL authentication mechanism", None)


@pytest.mark.parametrize(
    ("first", "detail"),
    [
        (b"", "The message is empty."),
        (b"n,,n=,r=a\0", "Message length does not match input length."),
        (b"x,,n=,r=a", "Unexpected channel-binding flag \"'x'\"."),
        (b"\xff,,n=,r=a", 'Unexpected channel-binding flag "0xff".'),
        (b" ,,n=,r=a", 'Unexpected channel-binding flag "0x20".'),
        (b"n", 'Comma expected, but found character "0x00".'),
        (b"y=", "Comma expected, but found character \"'='\"."),
        (b"n,", 'Unexpected attribute "0x00" in client-first-message.'),
        (b"n,b=x,n=,r=a", "Unexpected attribute \"'b'\" in client-first-message."),
        (b"n,,", 'Expected attribute "n" but found "0x00".'),
        (b"n,,r=a", 'Expected attribute "n" but found "\'r\'".'),
        (b"n,,n", 'Expected character "=" for attribute "n".'),
        (b"n,,n=", 'Expected attribute "r" but found "0x00".'),
        (b"n,,n=,,r=a", 'Expected attribute "r" but found "\',\'".'),
        (b"n,,n=,r=a,,", "Attribute expected, but found invalid character \"','\"."),
        (b"n,,n=,r=a,1=", "Attribute expected, but found invalid character \"'1'\"."),
        (b"n,,n=,r=a,x", 'Expected character "=" for attribute "x".'),
    ],
)
def test_a_first_message_that_is_not_scram_is_a_fault(first: bytes, detail: str) -> None:
    assert told(fault_of_first(first)) == ("08P01", "malformed SCRAM message", detail)


def test_nobody_logs_in_for_somebody_else() -> None:
    message = "client uses authorization identity, but it is not supported"
    assert told(fault_of_first(b"n,a=somebody,n=,r=a")) == ("0A000", message, None)


def test_a_mandatory_extension_is_a_fault() -> None:
    assert told(fault_of_first(b"n,,m=x,n=,r=a")) == ("0A000", "client requires an unsupported SCRAM extension", None)


@pytest.mark.parametrize("nonce", [b"a b", b"\x7f", b"\xc3\xa9", b"a\n"])
def test_a_nonce_is_printable(nonce: bytes) -> None:
    assert told(fault_of_first(b"n,,n=,r=" + nonce)) == ("08P01", "non-printable characters in SCRAM nonce", None)


def test_the_length_of_the_first_message_is_bounded() -> None:
    longest = b"n,,n=,r=".ljust(MAX_MESSAGE, b"r")
    assert len(START.challenge(MECHANISM, longest).nonce) == MAX_MESSAGE - 8 + len(OURS)
    assert told(fault_of_first(longest + b"r")) == ("28P01", "SCRAM message is too long", None)


# What the client's final message may not be


@pytest.mark.parametrize(
    ("final", "detail"),
    [
        (b"", "The message is empty."),
        (FINAL + b"\0", "Message length does not match input length."),
        (b"r=a", 'Expected attribute "c" but found "\'r\'".'),
        (b"c", 'Expected character "=" for attribute "c".'),
        (b"c=biws", 'Expected attribute "r" but found "0x00".'),
        (b"c=biws,r=a", "Attribute expected, but found end of string."),
        (b"c=biws,r=a,x=1", "Attribute expected, but found end of string."),
        (b"c=biws,r=a,\xff", 'Attribute expected, but found invalid character "0xff".'),
        (b"c=biws,r=a,p", 'Expected character "=" for attribute "p".'),
        (b"c=biws,r=a,p=", "Malformed proof in client-final-message."),
        (b"c=biws,r=a,p=*", "Malformed proof in client-final-message."),
        (b"c=biws,r=a,p=" + b64encode(bytes(KEY_SIZE - 1)), "Malformed proof in client-final-message."),
        (b"c=biws,r=a,p=" + b64encode(bytes(KEY_SIZE + 1)), "Malformed proof in client-final-message."),
        (FINAL[:-1], "Malformed proof in client-final-message."),
        (FINAL + b",x=1", "Garbage found at the end of client-final-message."),
    ],
)
def test_a_final_message_that_is_not_scram_is_a_fault(final: bytes, detail: str) -> None:
    assert told(fault_of_final(final)) == ("08P01", "malformed SCRAM message", detail)


@pytest.mark.parametrize("nonce", [b"", b"other", NONCE[:-1], NONCE + b"0", b"0" + NONCE, NONCE + b"\xff"])
def test_the_nonce_has_to_be_repeated(nonce: bytes) -> None:
    fault = fault_of_final(b"c=biws,r=" + nonce + PROOF)
    assert told(fault) == ("08P01", "invalid SCRAM response", "Nonce does not match.")


@pytest.mark.parametrize("bound", [b"", b"eSws", b"biw", b"\xff", b64encode(HEADER)])
def test_the_header_has_to_be_repeated(bound: bytes) -> None:
    fault = fault_of_final(b"c=" + bound + b",r=" + NONCE + PROOF)
    assert told(fault) == ("08P01", "unexpected SCRAM channel-binding attribute in client-final-message", None)


def test_a_proof_of_nothing_is_wrong() -> None:
    assert START.challenge(MECHANISM, FIRST).verify(b"c=biws,r=" + NONCE + PROOF) is None


def test_the_length_of_the_final_message_is_bounded() -> None:
    begin = b"c=biws,r=" + NONCE + b",x="
    longest = begin.ljust(MAX_MESSAGE - len(PROOF), b"x") + PROOF
    assert START.challenge(MECHANISM, FIRST).verify(longest) is None
    assert told(fault_of_final(longest.replace(b",x=", b",x=x"))) == ("28P01", "SCRAM message is too long", None)


@settings(deadline=None)
@given(st.binary(), st.binary())
def test_garbage_is_a_fault(first: bytes, final: bytes) -> None:
    fault_of_first(first)
    fault_of_first(b"n,,n=," + first)
    fault_of_final(final)
    fault_of_final(b"c=biws,r=" + NONCE + final + b"\0")


def test_no_repr_shows_a_secret() -> None:
    challenge = START.challenge(MECHANISM, FIRST)
    final = challenge.verify(FINAL)
    assert repr(ServerStart(SECRET, True, "theirs", BINDING)) == f"ServerStart(nonce='theirs', binding={BINDING!r})"
    assert repr(challenge) == f"ServerChallenge(nonce={NONCE!r}, binds=False)"
    assert repr(final) == "ServerFinal()"


# Another implementation


@settings(deadline=None, max_examples=20)
@given(st.text("abcé\u00aa\u2168 ,=", min_size=1).filter(str.strip), st.sampled_from([4096, 5000]))
def test_scramp_is_understood(password: str, iterations: int) -> None:
    client = ScramClient([MECHANISM], "user", password)
    start = ServerStart(scram_secret(password, SALT, iterations), False, OURS, None)
    challenge = start.challenge(MECHANISM, client.get_client_first().encode())
    client.set_server_first(challenge.message.decode())
    final = challenge.verify(client.get_client_final().encode())
    assert final is not None
    client.set_server_final(final.message.decode())
    assert final.keys == keys_of(password, SALT, iterations)


@settings(deadline=None, max_examples=20)
@given(st.text("abcé\u00aa\u2168 ,=", min_size=1).filter(str.strip), st.booleans())
def test_scramp_understands(password: str, right: bool) -> None:
    secret = scram_secret(password, SALT, 4096)
    stored = (SALT, secret.stored_key, secret.server_key, secret.iterations)
    server = ScramMechanism(MECHANISM).make_server(lambda _: stored)
    first = ClientFirst("ours", "user")
    server.set_client_first(first.message.decode())
    keys = keys_of(password if right else "another")
    answer = first.answer(first.read(server.get_server_first().encode()), keys.client_key, keys.server_key)
    if right:
        server.set_client_final(answer.message.decode())
        answer.verify(server.get_server_final().encode())
    else:
        with pytest.raises(ScramException, match="invalid-proof"):
            server.set_client_final(answer.message.decode())


def test_scramp_binds_a_channel() -> None:
    client = ScramClient([MECHANISM_PLUS], "user", PASSWORD, channel_binding=("tls-server-end-point", BINDING))
    challenge = BOUND.challenge(MECHANISM_PLUS, client.get_client_first().encode())
    client.set_server_first(challenge.message.decode())
    final = challenge.verify(client.get_client_final().encode())
    assert final is not None
    client.set_server_final(final.message.decode())
