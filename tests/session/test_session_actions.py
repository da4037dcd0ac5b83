"""What a session asks of the world is a value."""

from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest
from conversation import PID, SECRET

from twistnotify.session.actions import (
    Action,
    Admit,
    Attach,
    Cancel,
    Close,
    Commit,
    Derive,
    Enlist,
    Gate,
    GiveUp,
    Identify,
    Judge,
    Ready,
    Recode,
    Refuse,
    Replay,
    Reserve,
    Signal,
    StartTls,
    Turn,
    Withdraw,
)
from twistnotify.sql.statements import Listen

ACTIONS = [
    Admit("app", "alice", 32),
    Attach((Replay(b"Q", (b"Z",)),)),
    Cancel(PID, SECRET),
    Close("client"),
    Commit((Listen("a"),)),
    Derive(b"secret", b"salt", 4096),
    Identify("app", "alice"),
    Judge("alice"),
    Refuse("alice", "app", "a wrong password"),
    StartTls(),
    Enlist(("a",)),
    Turn(),
    Gate(),
    GiveUp(),
    Ready(),
    Recode(),
    Reserve("a"),
    Signal("pg_cancel_backend", PID),
    Withdraw(("a",)),
]


def test_these_are_all_the_actions() -> None:
    assert {type(action) for action in ACTIONS} == set(get_args(Action))


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_an_action_is_compared_by_what_it_says_and_cannot_be_changed(action: Action) -> None:
    values = [getattr(action, field.name) for field in fields(action)]
    again = type(action)(*values)
    assert again == action
    assert hash(again) == hash(action)
    for field in fields(action):
        with pytest.raises(FrozenInstanceError):
            setattr(action, field.name, None)
