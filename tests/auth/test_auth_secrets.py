"""What is known of a user's password."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnotify.auth.password import md5_answer, md5_digest, prepared
from twistnotify.auth.scram_keys import KEY_SIZE, MAX_ITERATIONS, client_key, salted_password, stored_key
from twistnotify.auth.secrets import (
    MOCK_SALT_SIZE,
    Md5Secret,
    PlainSecret,
    ScramKeys,
    ScramSecret,
    digest_of,
    format_secret,
    matches,
    matches_salted,
    md5_matches,
    mock_scram_secret,
    parse_secret,
    scram_secret,
)

DIGEST = "36ada74ed52375c26259c953714d67da"
STORED, SERVER = b"S" * KEY_SIZE, b"V" * KEY_SIZE
SECRET = ScramSecret(4096, b"salt", STORED, SERVER)
KEYS = f"{b64encode(STORED).decode()}:{b64encode(SERVER).decode()}"
TEXT = f"SCRAM-SHA-256$4096:c2FsdA==${KEYS}"


# Reading


def test_no_text_is_no_password() -> None:
    assert parse_secret("") is None


def test_a_digest_is_known_by_its_form() -> None:
    assert parse_secret(f"md5{DIGEST}") == Md5Secret(DIGEST.encode())


def test_a_scram_secret_is_known_by_its_form() -> None:
    assert parse_secret(TEXT) == SECRET
    assert format_secret(SECRET) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "secret",
        " ",
        DIGEST,
        f"md5{DIGEST.upper()}",
        f"MD5{DIGEST}",
        f"md5{DIGEST[1:]}",
        f"md5{DIGEST}0",
        f"md5{DIGEST}\n",
        "SCRAM-SHA-256",
        TEXT + "=",
        TEXT + "\n",
        TEXT.lower(),
        " " + TEXT,
        TEXT.replace("256", "1"),
        TEXT.replace("4096", ""),
        TEXT.replace("4096", "-1"),
        TEXT.replace("4096", "4o96"),
        TEXT.replace("4096", "\u0664"),
        TEXT.replace("c2FsdA==", ""),
        TEXT.replace("c2FsdA==", "c2FsdA"),
        TEXT.replace(KEYS, KEYS[1:]),
        TEXT.replace(KEYS, KEYS + "AAAA"),
        TEXT.replace(KEYS, f"{b64encode(STORED[1:]).decode()}:{b64encode(SERVER).decode()}"),
        TEXT.replace(KEYS, f"{b64encode(STORED).decode()}:{b64encode(SERVER + b'!').decode()}"),
        "passwörd\udcff",
    ],
)
def test_whatever_else_there_is_is_a_password(text: str) -> None:
    assert parse_secret(text) == PlainSecret(text)


@pytest.mark.parametrize("iterations", ["1", str(MAX_ITERATIONS), "0004096"])
def test_the_iterations_of_a_secret_may_be_few_and_many(iterations: str) -> None:
    secret = parse_secret(TEXT.replace("4096", iterations))
    assert isinstance(secret, ScramSecret)
    assert secret.iterations == int(iterations)


@pytest.mark.parametrize("iterations", ["0", "00", str(MAX_ITERATIONS + 1), "1000000", "9" * 5000])
def test_the_iterations_of_a_secret_are_bounded(iterations: str) -> None:
    with pytest.raises(ValueError, match=r"^a SCRAM secret has 1 to 600000 iterations$"):
        parse_secret(TEXT.replace("4096", iterations))


@pytest.mark.parametrize("iterations", [0, -1, MAX_ITERATIONS + 1])
def test_no_secret_is_made_out_of_bounds(iterations: int) -> None:
    for attempt in (
        lambda: ScramSecret(iterations, b"salt", STORED, SERVER),
        lambda: scram_secret("open", b"salt", iterations),
        lambda: mock_scram_secret(b"key", "bob", iterations),
    ):
        with pytest.raises(ValueError, match="iterations"):
            attempt()


@pytest.mark.parametrize(("stored", "server"), [(STORED[1:], SERVER), (STORED, SERVER + b"!")])
def test_the_keys_of_a_secret_have_one_size(stored: bytes, server: bytes) -> None:
    with pytest.raises(ValueError, match=r"^the keys of a SCRAM secret have 32 bytes$"):
        ScramSecret(1, b"salt", stored, server)


@given(st.integers(1, MAX_ITERATIONS), st.binary(min_size=1), st.binary(min_size=64, max_size=64))
def test_a_secret_is_read_as_it_was_written(iterations: int, salt: bytes, keys: bytes) -> None:
    secret = ScramSecret(iterations, salt, keys[:KEY_SIZE], keys[KEY_SIZE:])
    assert parse_secret(format_secret(secret)) == secret


@given(st.text())
def test_any_text_is_a_secret_or_none(text: str) -> None:
    secret = parse_secret(text)
    assert secret == (PlainSecret(text) if text else None)


# Making


def test_a_scram_secret_is_made_of_a_password() -> None:
    # RFC 7677, section 3: salt, iterations and password; the keys by OpenSSL's kdf and mac.
    secret = scram_secret("pencil", b"[m\x99h\x9d\x125\x8e\xec\xa0K\x14\x126\xfa\x81", 4096)
    assert format_secret(secret) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_a_secret_that_is_made_up_is_always_the_same() -> None:
    assert mock_scram_secret(b"key", "bob", 4096) == mock_scram_secret(b"key", "bob", 4096)
    assert len(mock_scram_secret(b"key", "bob", 4096).salt) == MOCK_SALT_SIZE


@pytest.mark.parametrize("other", [mock_scram_secret(b"key", "bo", 4096), mock_scram_secret(b"another", "bob", 4096)])
def test_a_secret_that_is_made_up_is_another_for_another_name_and_key(other: ScramSecret) -> None:
    made = mock_scram_secret(b"key", "bob", 4096)
    assert made.salt != other.salt
    assert made.stored_key != other.stored_key
    assert made.server_key != other.server_key
    assert made.stored_key != made.server_key


def test_a_name_that_is_not_utf_8_has_a_secret_too() -> None:
    assert mock_scram_secret(b"key", "bob\udcff", 1).salt != mock_scram_secret(b"key", "bob", 1).salt


# Comparing


@pytest.mark.parametrize("secret", [PlainSecret("sécret"), Md5Secret(md5_digest("sécret", "bob"))])
@pytest.mark.parametrize("password", ["sécret", "secret", "sécre", "sécrets", "", "\udcff"])
def test_a_password_is_known_again(secret: PlainSecret | Md5Secret, password: str) -> None:
    assert matches(secret, password, "bob") == (password == "sécret")


def test_a_digest_is_that_of_one_user() -> None:
    assert not matches(Md5Secret(md5_digest("sécret", "bob")), "sécret", "alice")
    assert matches(PlainSecret("sécret"), "sécret", "alice")


@pytest.mark.parametrize("password", ["sécret", "secret", ""])
def test_a_password_is_known_again_by_its_derivation(password: str) -> None:
    secret = scram_secret("sécret", b"salt", 2)
    assert matches_salted(secret, salted_password(prepared(password), b"salt", 2)) == (password == "sécret")


def test_the_digest_of_a_password_answers_as_the_password() -> None:
    assert digest_of(PlainSecret("sécret"), "bob") == digest_of(Md5Secret(md5_digest("sécret", "bob")), "alice")


@pytest.mark.parametrize("secret", [PlainSecret("sécret"), Md5Secret(md5_digest("sécret", "bob"))])
def test_an_md5_answer_is_known_again(secret: PlainSecret | Md5Secret) -> None:
    right = md5_answer(md5_digest("sécret", "bob"), b"salt")
    assert md5_matches(secret, "bob", b"salt", right)
    for wrong in (b"", b"md5", right[:-1], right + b"0", right.upper(), md5_answer(md5_digest("", "bob"), b"salt")):
        assert not md5_matches(secret, "bob", b"salt", wrong)
    assert not md5_matches(secret, "bob", b"tlas", right)


def test_no_repr_shows_a_secret() -> None:
    assert repr(PlainSecret("open")) == "PlainSecret()"
    assert repr(Md5Secret(DIGEST.encode())) == "Md5Secret()"
    assert repr(SECRET) == "ScramSecret(iterations=4096)"
    assert repr(ScramKeys(b"salt", 4096, client_key(STORED), stored_key(STORED))) == "ScramKeys(iterations=4096)"
