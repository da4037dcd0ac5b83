"""The lines of a pg_hba.conf: what they say, and what is not supported."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from twistnotify.auth import hba_file
from twistnotify.auth.hba import HbaRule, Names
from twistnotify.auth.hba_file import MAX_LINES, Include, read_hba

ALL = Names(everyone=True)


def no_files(name: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", name)


def files(**texts: str) -> Include:
    return lambda name: texts[name] if name in texts else no_files(name)


def rules_of(*lines: str, **texts: str) -> tuple[HbaRule, ...]:
    rules, faults = read_hba("\n".join(lines), files(**texts))
    assert faults == ()
    return rules


def rule_of(line: str, **texts: str) -> HbaRule:
    (rule,) = rules_of(line, **texts)
    return rule


def named(*names: str) -> Names:
    return Names(names=frozenset(names))


def fault_of(line: str, **texts: str) -> str:
    rules, faults = read_hba(line, files(**texts))
    assert rules == ()
    ((number, message),) = faults
    assert number == 1
    return message


# Fields


def test_a_line_says_for_whom_and_how() -> None:
    assert rules_of(
        "# comment", "local all all peer", "", "\thostssl\tapp \tbob  10.0.0.0/8 scram-sha-256 # for bob"
    ) == (
        HbaRule(2, "local", ALL, ALL, None, "peer"),
        HbaRule(4, "hostssl", named("app"), named("bob"), IPv4Network("10.0.0.0/8"), "scram-sha-256"),
    )


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("all", ALL),
        ("app", named("app")),
        ("App", named("App")),
        ("ALL", named("ALL")),
        ("a,b", named("a", "b")),
        ("a,  b,\tc", named("a", "b", "c")),
        ("a,,b", named("a", "b")),
        (",a", named("a")),
        ("a,all", Names(everyone=True, names=frozenset("a"))),
        ('"all"', named("all")),
        ('"a b"', named("a b")),
        ('"a,b",c', named("a,b", "c")),
        ('"a#b"', named("a#b")),
        ('"a""b"', named('a"b')),
        ('a"b c"d', named("ab cd")),
        ('""', named("")),
        ('"+a"', named("+a")),
        ('"@a"', named("@a")),
        ("a/b", named("a/b")),
        ("@names", Names(everyone=True, names=frozenset({"a", "b", "c d", "all"}))),
        ("x,@names,y", Names(everyone=True, names=frozenset({"a", "b", "c d", "all", "x", "y"}))),
        ("@nothing", named()),
    ],
)
def test_databases_and_users_are_names(field: str, names: Names) -> None:
    texts = {"names": 'a, b # and\n\n"c d" all \\\n"all"\n', "nothing": "# nobody\n"}
    rule = rule_of(f"local {field} {field} md5", **texts)
    assert (rule.databases, rule.users) == (names, names)


def test_words_about_databases_are_no_words_about_users() -> None:
    rule = rule_of("local sameuser sameuser,samerole,samegroup,replication md5")
    assert rule.databases == Names(own=True)
    assert rule.users == named("sameuser", "samerole", "samegroup", "replication")
    assert rule_of('local "sameuser","samerole","replication" all md5').databases == named(
        "sameuser", "samerole", "replication"
    )


def test_there_are_no_replication_connections() -> None:
    assert rule_of("local replication all md5").databases == named()
    assert rule_of("local replication,app all md5").databases == named("app")


@pytest.mark.parametrize(
    ("field", "network"),
    [
        ("all", None),
        ("192.0.2.7/32", IPv4Network("192.0.2.7")),
        ("192.0.2.7/24", IPv4Network("192.0.2.0/24")),
        ("0.0.0.0/0", IPv4Network("0.0.0.0/0")),
        ('"192.0.2.7/32"', IPv4Network("192.0.2.7")),
        ("192.0.2.7 255.255.255.255", IPv4Network("192.0.2.7")),
        ("192.0.2.7 255.255.254.0", IPv4Network("192.0.2.0/23")),
        ("192.0.2.7 0.0.0.0", IPv4Network("0.0.0.0/0")),
        ("::1/128", IPv6Network("::1")),
        ("::/0", IPv6Network("::/0")),
        ("2001:DB8::7 ffff:ffff::", IPv6Network("2001:db8::/32")),
        ("::ffff:192.0.2.7/120", IPv4Network("192.0.2.0/24")),
        ("::ffff:0:0/96", IPv4Network("0.0.0.0/0")),
        ("::ffff:0:0/95", IPv6Network("::fffe:0:0/95")),
        ("::ffff:0:0/80", IPv6Network("::/80")),
    ],
)
def test_addresses_are_a_network(field: str, network: IPv4Network | IPv6Network | None) -> None:
    assert rule_of(f"host all all {field} md5").network == network


@pytest.mark.parametrize(
    ("line", "method"),
    [
        ("local all all trust", "trust"),
        ("host all all all reject", "reject"),
        ("host all all all md5", "md5"),
        ("hostnossl all all all password", "plain"),
        ("hostssl all all all password", "plain"),
        ("host all all all scram-sha-256", "scram-sha-256"),
        ("hostssl all all all cert", "cert"),
        ("local all all peer", "peer"),
        ('"local" all all "peer"', "peer"),
    ],
)
def test_methods_are_named_as_in_the_settings(line: str, method: str) -> None:
    assert rule_of(line).method == method


# Lines


def test_a_comma_goes_on_in_what_would_be_the_next_field() -> None:
    assert rule_of("local a,b, c d md5").databases == named("a", "b", "c")
    assert rule_of("local a ,b md5").users == named("b")


def test_a_backslash_at_the_end_goes_on_in_the_next_line() -> None:
    text = "local a\\\nll \\\r\n all peer\nhost all all all md5\r\nlocal all \\"
    rules, faults = read_hba(text, no_files)
    assert [(rule.line, rule.kind) for rule in rules] == [(1, "local"), (4, "host")]
    assert faults == ((5, "the line ends before the user"),)


def test_a_comment_goes_on_as_well() -> None:
    assert rules_of("# local all all trust \\", "local all all trust") == ()


def test_only_what_an_editor_shows_as_a_line_is_one() -> None:
    assert rules_of("\ufefflocal a\u2028b\x0b all md5")[0].databases == named("a\u2028b\x0b")


def test_there_are_no_more_lines_than_the_bound() -> None:
    line = "local all all md5\n\n"
    rules, faults = read_hba(line * MAX_LINES, no_files)
    assert (len(rules), faults) == (MAX_LINES, ())
    rules, faults = read_hba("x\n" + line * MAX_LINES, no_files)
    assert len(rules) == MAX_LINES - 1
    assert faults[1:] == ((2 * MAX_LINES, f"there are more than {MAX_LINES} lines"),)


def test_there_are_no_more_names_in_a_file_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hba_file, "MAX_NAMES", 3)
    assert rule_of("local @f all md5", f="a b\nc").databases == named("a", "b", "c")
    assert fault_of("local @f all md5", f="a b\nc,d") == "there are more than 3 names in f"


# Faults


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("locale all all md5", "the line begins with no type"),
        ("Host all all all md5", "the line begins with no type"),
        ("hostgssenc all all all md5", "the type hostgssenc is not supported"),
        ("include other.conf", "the type include is not supported"),
        ("a\x1b[2J all all md5", "the line begins with no type"),
        ("local,host all all md5", "there is more than one type"),
        ("local", "the line ends before the database"),
        ("local all", "the line ends before the user"),
        ("local all all", "the line ends before the method"),
        ("host all all", "the line ends before the address"),
        ("host all all 192.0.2.7", "the line ends before the mask"),
        ("host all all 192.0.2.7/32 # md5", "the line ends before the method"),
        ('local "all all md5', "a quote is not closed"),
        ('local all "a"" md5', "a quote is not closed"),
        ('local all a"b md5', "a quote is not closed"),
        ("local all a\0b md5", "the line holds a NUL byte"),
        ("local samerole all md5", "samerole is not supported"),
        ("local a,samegroup all md5", "samegroup is not supported"),
        ("local all a,+staff md5", "groups (+name) are not supported"),
        ("local +staff all md5", "groups (+name) are not supported"),
        ("local all /^a md5", "regular expressions (/...) are not supported"),
        ('local "/^a" all md5', "regular expressions (/...) are not supported"),
        ("host all all samehost md5", "samehost is not an address (host names are not supported)"),
        ("host all all samenet md5", "samenet is not an address (host names are not supported)"),
        ("host all all .example.org md5", ".example.org is not an address (host names are not supported)"),
        ('host all all "all" md5', "all is not an address (host names are not supported)"),
        ("host all all a.example/8 md5", "a.example is not an address (host names are not supported)"),
        ("host all all 192.0.2.256/32 md5", "192.0.2.256 is not an address (host names are not supported)"),
        ("host all all 010.0.0.0/8 md5", "010.0.0.0 is not an address (host names are not supported)"),
        ("host all all 192.0.2.7 md5", "md5 is not an address (host names are not supported)"),
        ("host all all fe80::1%lo/64 md5", "the zone of an address (%...) is not supported"),
        ("host all all 192.0.2.7/33 md5", "/33 is not the length of a mask"),
        ("host all all ::/129 md5", "/129 is not the length of a mask"),
        ("host all all 192.0.2.7/ md5", "/ is not the length of a mask"),
        ("host all all 192.0.2.7/-1 md5", "/-1 is not the length of a mask"),
        ("host all all 192.0.2.7/\u0663 md5", "/\u0663 is not the length of a mask"),
        ("host all all 192.0.2.7/255.0.0.0 md5", "/255.0.0.0 is not the length of a mask"),
        ("host all all 192.0.2.0 0.0.0.255 md5", "a mask with holes is not supported"),
        ("host all all 192.0.2.0 255.0.255.0 md5", "a mask with holes is not supported"),
        ("host all all 192.0.2.0 ffff:: md5", "the address and the mask are of different kinds"),
        ("host all all ::1 255.0.0.0 md5", "the address and the mask are of different kinds"),
        ("host all all ::1/128,::2/128 md5", "there is more than one address"),
        ("host all all all ldap", "the method ldap is not supported"),
        ("host all all all pam", "the method pam is not supported"),
        ("host all all all gss", "the method gss is not supported"),
        ("host all all all plain", "the method plain is not supported"),
        ("host all all all MD5", "the method MD5 is not supported"),
        ("host all all all md5,trust", "there is more than one method"),
        ("host all all all cert", "the method cert is for hostssl lines only"),
        ("local all all cert", "the method cert is for hostssl lines only"),
        ("host all all all peer", "the method peer is for local lines only"),
        ("local all all peer map=users", "options behind the method are not supported"),
        ("hostssl all all all md5 clientcert=verify-full", "options behind the method are not supported"),
        ("local @none all md5", "cannot read none: No such file or directory"),
        ("local all @self md5", "self includes another file, which is not supported"),
        ("local all @groups md5", "groups (+name) are not supported"),
        ("local all @quote md5", "a quote is not closed"),
    ],
)
def test_what_is_not_supported_is_said(line: str, message: str) -> None:
    assert fault_of(line, self="a @self", groups="+staff", quote='"') == message


def test_a_fault_does_not_hide_the_lines_around_it() -> None:
    rules, faults = read_hba("local all all peer\nx\nhost all all all md5\ny", no_files)
    assert [rule.line for rule in rules] == [1, 3]
    assert [fault.line for fault in faults] == [2, 4]


# Anything


words = st.sampled_from(
    [
        *("local", "host", "hostssl", "all", "sameuser", "a", '"b c"', '"', ",", "@f", "@", "+g", "/r", "\\", "#"),
        *("10.0.0.0/8", "10.0.0.1", "255.0.0.0", "::1/128", "::", "/", "md5", "trust", "peer", "cert", "map=x"),
        *("\0", "\n", "\r", "é"),
    ]
)


@settings(max_examples=300)
@given(st.lists(words | st.sampled_from([" ", "\t"]), max_size=40).map("".join), st.text('a" @\n,', max_size=8))
def test_garbage_gives_a_fault_and_nothing_else(text: str, names: str) -> None:
    rules, faults = read_hba(text, files(f=names))
    numbers = sorted([rule.line for rule in rules] + [fault.line for fault in faults])
    assert numbers == sorted(set(numbers))
    assert all(0 < number <= text.count("\n") + 1 for number in numbers)


@given(st.ip_addresses(), st.integers(0, 128))
def test_a_mask_says_the_same_as_its_length(address: IPv4Address | IPv6Address, bits: int) -> None:
    assume(not (isinstance(address, IPv6Address) and address.ipv4_mapped))
    network = ip_network((address, min(bits, address.max_prefixlen)), strict=False)
    by_length, by_mask = rules_of(
        f"host all all {address}/{network.prefixlen} md5", f"host all all {address} {network.netmask} md5"
    )
    assert by_length.network == by_mask.network == network
