"""Values: text of every kind to the value, and what is said about text that is not of the kind."""

import contextlib
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.config.kinds import (
    Boolean,
    Choice,
    Ciphers,
    Duration,
    Integer,
    Kind,
    Mode,
    Names,
    Networks,
    People,
    Ports,
    Size,
    Text,
    TlsVersions,
    in_units,
)

KB, MB, GB = 1024, 1024**2, 1024**3
CHOICE = Choice(("here", "there"), refused=("nowhere",), reason="is no place")

GOOD: list[tuple[Kind, str, object]] = [
    (Integer(0, 65535), "0", 0),
    (Integer(0, 65535), "65535", 65535),
    (Integer(-5, 5), "-5", -5),
    (Integer(0, 9), "+7", 7),
    (Duration(0, 60), "0", 0.0),
    (Duration(0, 60), "60", 60.0),
    (Duration(0, 60), "0.2", 0.2),
    (Duration(0, 60), ".2", 0.2),
    (Duration(0, 60), "2.", 2.0),
    (Duration(0, 60), "5 ms", 0.005),
    (Duration(0, 60), "5ms", 0.005),
    (Duration(0, 60), "5 MS", 0.005),
    (Duration(0, 60), "5 s", 5.0),
    (Duration(0, 60), "1.5s", 1.5),
    (Size(0, GB), "0", 0),
    (Size(0, GB), "65536", 65536),
    (Size(0, GB), "17 B", 17),
    (Size(0, GB), "64kB", 64 * KB),
    (Size(0, GB), "64 KB", 64 * KB),
    (Size(0, GB), "8 MB", 8 * MB),
    (Size(0, GB), "1GB", GB),
    (CHOICE, "there", "there"),
    (Text(), "any text = at all", "any text = at all"),
    (Text(optional=True), "", ""),
    (Text("path", optional=True), "a b", "a b"),
    (Mode(), "0777", 0o777),
    (Mode(), "660", 0o660),
    (Mode(), "0", 0),
    (Networks(), "", ()),
    (Networks(), "10.0.0.1", (ip_network("10.0.0.1/32"),)),
    (Networks(), "10.0.0.0/8, fd00::/8,::1", tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "::1/128")))),
    (TlsVersions(), "secure", ("tlsv1.2", "tlsv1.3")),
    (TlsVersions(), "all", ("tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3")),
    (TlsVersions(), "legacy", ("tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3")),
    (TlsVersions(), "tlsv1.3", ("tlsv1.3",)),
    (TlsVersions(), "tlsv1.2, tlsv1.1,tlsv1.2", ("tlsv1.1", "tlsv1.2")),
    *((Ciphers(), text, "default") for text in ("default", "secure", "fast", "normal")),
    (Ciphers(), "all", "ALL"),
    (Ciphers(), "HIGH:!aNULL", "HIGH:!aNULL"),
    (People(), "*", None),
    (People(), "", ()),
    (People(), "app, @staff,a b,é*", ("app", "@staff", "a b", "é*")),
    *((Boolean(), text, True) for text in ("1", "on", "yes", "true", "ON", "True")),
    *((Boolean(), text, False) for text in ("0", "off", "no", "false", "Off", "FALSE")),
    (Ports(), "5432", (5432,)),
    (Ports(), "5432, 6432", (5432, 6432)),
    (Names(), "a", ("a",)),
    (Names(), "app0, app-1,app.2", ("app0", "app-1", "app.2")),
]

BAD: list[tuple[Kind, str, str]] = [
    *((Integer(0, 9), text, "is not a whole number") for text in ("", "x", "1.0", "1_0", "٣", "0x1", "9" * 5000)),
    (Integer(0, 65535), "65536", "is not between 0 and 65535"),
    (Integer(0, 65535), "-1", "is not between 0 and 65535"),
    *(
        (Duration(0, 60), text, 'is not a duration in seconds (such as "5", "0.2" or "5 ms")')
        for text in ("", ".", "-1", "inf", "nan", "1e3", "5 min", "5 m s", "9" * 400)
    ),
    (Duration(0, 60), "60.1", "is not between 0 and 60 seconds"),
    (Duration(0.001, 60), "0", "is not between 0.001 and 60 seconds"),
    *(
        (Size(0, GB), text, 'is not a size in bytes (such as "65536", "64 kB" or "8 MB")')
        for text in ("", "kB", "-1", "1.5 MB", "8 TB", "8 M", "9" * 5000)
    ),
    (Size(16 * KB, GB), "16383", "is not between 16 kB and 1 GB"),
    (Size(0, 100), "101", "is not between 0 B and 100 B"),
    (CHOICE, "Here", "is not one of here, there"),
    (CHOICE, "", "is not one of here, there"),
    (CHOICE, "nowhere", "is no place"),
    (Choice(("here",)), "there", "is not here"),
    (Text(), "", "is empty"),
    *((Mode(), text, 'is not an octal mode (such as "0770")') for text in ("", "8", "rwx", "00777", "-1", "0o77")),
    (Mode(), "1777", "is not between 0 and 0777"),
    *(
        (Networks(), text, 'is not a list of networks (such as "10.0.0.0/8, ::1")')
        for text in ("10.0.0.1/8", "localhost", "10.0.0.1,", "10.0.0.0/33", "*", " ")
    ),
    *(
        (TlsVersions(), text, "is not all, secure, legacy or a list of tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3")
        for text in ("", "TLSv1.2", "tlsv1.2,", "tlsv1.2,secure", "sslv3")
    ),
    *(
        (TlsVersions(), text, "leaves out a version between two others")
        for text in ("tlsv1.0,tlsv1.2", "tlsv1.3,tlsv1.1", "tlsv1.0,tlsv1.1,tlsv1.3")
    ),
    (Ciphers(), "", "is empty"),
    *(
        (People(), text, "is not a list of users and groups with commas between them")
        for text in (" ", ",", "a,", "a,,b")
    ),
    (People(), "app,*", "has others beside *, which is everyone"),
    *((People(), text, "has an @ without the name of a group behind it") for text in ("@", "@a b", "app,@ä!")),
    *((Boolean(), text, "is not one of 1, on, yes, true, 0, off, no, false") for text in ("", "2", "y", "ja")),
    (Ports(), "", "is not a whole number"),
    (Ports(), "5432,", "is not a whole number"),
    (Ports(), "0", "is not between 1 and 65535"),
    *((Names(), text, "is not a list of names with commas between them") for text in ("", "a,", "a b", "a;b")),
    (Names(), "a,b,a", "holds a name twice"),
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_text_of_a_kind_is_its_value(kind: Kind, text: str, value: object) -> None:
    parsed = kind.parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(("kind", "text", "predicate"), BAD)
def test_other_text_is_refused_with_a_predicate(kind: Kind, text: str, predicate: str) -> None:
    with pytest.raises(ValueError) as caught:
        kind.parse(text)
    assert str(caught.value) == predicate


@pytest.mark.parametrize(
    ("kind", "description"),
    [
        (Integer(0, 65535), "whole number, 0 to 65535"),
        (Duration(0.001, 86400), "seconds, 0.001 to 86400"),
        (Size(16 * KB, GB), "size, 16 kB to 1 GB"),
        (CHOICE, "one of here, there"),
        (Choice(("here",)), "here"),
        (Text(), "text"),
        (Text("path", optional=True), "path, or empty"),
        (Mode(), "octal, 0 to 0777"),
        (Networks(), "networks or addresses, with commas"),
        (TlsVersions(), "all, secure, legacy, or some of tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3, with commas"),
        (Ciphers(), "default, all, or OpenSSL's notation"),
        (People(), "users and @groups, with commas; * is everyone"),
        (Boolean(), "boolean"),
        (Ports(), "port, or one for each host, with commas"),
        (Names(), "names, with commas"),
    ],
)
def test_kind_describes_itself(kind: Kind, description: str) -> None:
    assert kind.describe() == description


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1000, "1000 B"), (1024, "1 kB"), (MB + KB, "1025 kB"), (GB, "1 GB")]
)
def test_size_is_written_in_the_largest_unit_that_divides_it(size: int, text: str) -> None:
    assert in_units(size) == text


@settings(deadline=None)
@given(st.integers(0, 2**33))
def test_written_size_reads_as_the_same_size(size: int) -> None:
    assert Size(0, 2**33).parse(in_units(size)) == size


@settings(deadline=None)
@given(st.sampled_from([kind for kind, *_ in GOOD]), st.text())
def test_any_text_is_a_value_or_a_value_error(kind: Kind, text: str) -> None:
    with contextlib.suppress(ValueError):
        kind.parse(text)
