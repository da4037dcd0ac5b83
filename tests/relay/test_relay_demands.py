from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from twistnotify.relay.connection import UpstreamRefused
from twistnotify.relay.demands import Authentication, check_attributes, with_sslmode
from twistnotify.wire.authentication import (
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
)
from twistnotify.wire.session_status import ParameterStatus

ASKED: dict[str, Any] = {
    "none": AuthenticationOk(),
    "password": AuthenticationCleartextPassword(),
    "md5": AuthenticationMD5Password(b"salt"),
    "scram-sha-256": AuthenticationSASL(("SCRAM-SHA-256",)),
}


def check(authentication: Authentication, *messages: Any) -> None:
    for message in messages:
        frame = message.encode()
        authentication.check(frame[0], frame[5:])


@pytest.mark.parametrize(
    ("conninfo", "mode"),
    [
        ({}, "prefer"),
        ({"sslmode": "disable"}, "disable"),
        ({"sslrootcert": "/root.crt"}, "prefer"),
        ({"sslrootcert": "system"}, "verify-full"),
        ({"sslrootcert": "system", "sslmode": "require"}, "require"),
    ],
)
def test_the_default_of_sslmode_is_libpqs(conninfo: dict[str, str], mode: str) -> None:
    assert with_sslmode(conninfo) == {**conninfo, "sslmode": mode}


@pytest.mark.parametrize("keyword", ["channel_binding", "gssencmode"])
def test_what_would_be_less_safe_if_it_were_ignored_is_refused(keyword: str) -> None:
    for value in ("disable", "prefer"):
        assert with_sslmode({keyword: value})[keyword] == value
    with pytest.raises(UpstreamRefused) as refusal:
        with_sslmode({keyword: "require"})
    assert f"{keyword}=require is not supported" in refusal.value.fields.message
    assert not refusal.value.elsewhere


@pytest.mark.parametrize(
    ("wanted", "reported", "complaint"),
    [
        ("any", {"in_hot_standby": "on", "default_transaction_read_only": "on"}, None),
        (None, {"in_hot_standby": "on"}, None),
        ("primary", {}, None),
        ("primary", {"in_hot_standby": "off", "default_transaction_read_only": "on"}, None),
        ("primary", {"in_hot_standby": "on"}, "server is in hot standby mode"),
        ("read-write", {"in_hot_standby": "off", "default_transaction_read_only": "off"}, None),
        ("read-write", {"in_hot_standby": "on"}, "session is read-only"),
        ("read-write", {"default_transaction_read_only": "on"}, "session is read-only"),
    ],
)
def test_a_server_of_the_wrong_kind_sends_elsewhere(
    wanted: str | None, reported: dict[str, str], complaint: str | None
) -> None:
    conninfo = {} if wanted is None else {"target_session_attrs": wanted}
    if complaint is None:
        check_attributes(reported, conninfo)
        return
    with pytest.raises(UpstreamRefused) as refusal:
        check_attributes(reported, conninfo)
    assert refusal.value.fields.message.endswith(complaint)
    assert refusal.value.elsewhere


@pytest.mark.parametrize(
    ("required", "allowed"),
    [
        ("", {*ASKED}),
        ("scram-sha-256", {"scram-sha-256"}),
        ("md5, none", {"md5", "none"}),
        ("!password", {"none", "md5", "scram-sha-256"}),
        ("!password,!none", {"md5", "scram-sha-256"}),
    ],
)
def test_a_server_may_ask_only_for_what_is_allowed(required: str, allowed: set[str]) -> None:
    for method, message in ASKED.items():
        with nullcontext() if method in allowed else pytest.raises(UpstreamRefused):
            check(Authentication({"require_auth": required}), message)


def test_the_ok_behind_a_proof_is_not_the_absence_of_one() -> None:
    authentication = Authentication({"require_auth": "scram-sha-256"})
    check(authentication, ASKED["scram-sha-256"], AuthenticationSASLContinue(b"r="), AuthenticationOk())


def test_other_messages_ask_for_nothing() -> None:
    check(Authentication({"require_auth": "scram-sha-256"}), ParameterStatus("\0\0\0\0"[:0], "x"))
