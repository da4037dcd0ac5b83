"""What becomes of a password before it is sent or hashed."""

import pytest

from twistnotify.auth.password import MAX_PREPARED, md5_answer, md5_digest, prepared, raw

DIGEST = b"9a8d0152cf74b270fadde3dbf841058f"


def test_the_digest_of_md5_is_salted_twice() -> None:
    # By md5sum: of "sécretbob", and of its digest with the salt.
    assert md5_digest("sécret", "bob") == DIGEST
    assert md5_answer(DIGEST, b"\x01\x02\x03\xff") == b"md536ada74ed52375c26259c953714d67da"


def test_bytes_that_are_not_utf_8_go_out_as_they_came() -> None:
    assert raw(b"p\xff".decode("utf-8", "surrogateescape")) == b"p\xff"


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        # RFC 4013, section 3.
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # A space is a space, also the one that RFC 3454 maps to nothing as well.
        ("a\u00a0b", "a b"),
        ("a\u200bb", "a b"),
        # Composed or not, it is the same letter.
        ("u\u0308", "ü"),
        # From right to left, from end to end; digits have no direction.
        ("\u06271\u0628", "\u06271\u0628"),
    ],
)
def test_a_password_is_prepared(password: str, expected: str) -> None:
    assert prepared(password) == expected.encode()


@pytest.mark.parametrize(
    "password",
    [
        "\u0007",
        "é\u0080",
        "é\ue000",
        "é\ufdd0",
        "é\u2ff0",
        "\u0340",
        "é\u200e",
        "é\U000e0001",
        "é\U0001f600",
        "\u00ad",
        "\u06271",
        "1\u0627",
        "\u0627a\u0628",
    ],
    ids=[
        "ASCII control character",
        "control character",
        "private use",
        "no character",
        "inappropriate for canonical representation",
        "deprecated, though its normal form is not",
        "changes the display",
        "tag",
        "unassigned in Unicode 3.2",
        "nothing left",
        "right to left, ends otherwise",
        "right to left, begins otherwise",
        "both directions",
    ],
)
def test_a_password_that_cannot_be_prepared_is_used_as_it_is(password: str) -> None:
    assert prepared(password) == password.encode()


def test_a_password_that_is_not_utf_8_is_used_as_it_is() -> None:
    assert prepared("\u00ad\udcff") == b"\xc2\xad\xff"


def test_ascii_needs_no_preparation() -> None:
    every = "".join(map(chr, range(128)))
    assert prepared(every) == every.encode()


def test_what_is_long_is_not_prepared() -> None:
    longest = "\u00aa" * MAX_PREPARED
    assert prepared(longest) == b"a" * MAX_PREPARED
    assert prepared(longest + "\u00aa") == (longest + "\u00aa").encode()
