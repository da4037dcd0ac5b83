"""Read PgBouncer's userlist.txt: users and their secrets, a line each.

Format: PgBouncer's manual, 'Authentication file format'. What a secret is (a password, an MD5 digest, a SCRAM verifier)
is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from twistnotify.auth.faults import Fault
from twistnotify.auth.password import raw

# All of them are held in memory, some 300 bytes each. Whoever has more keeps them in PostgreSQL and looks them up.
MAX_USERS = 100_000

# Bytes: what PostgreSQL keeps of a role's name (NAMEDATALEN - 1).
MAX_USER_NAME = 63

_QUOTED = r'"((?:[^"]|"")*)"(?!")'
_USER = re.compile(rf"[ \t]*{_QUOTED}[ \t]+{_QUOTED}")


def read_userlist(text: str) -> tuple[Mapping[str, str], tuple[Fault, ...]]:
    """Return the secrets by user, and what is wrong with the lines that gave none.

    Of lines with the same user the first counts. The mapping holds secrets as they are: it is not to be shown.
    """
    secrets: dict[str, str] = {}
    numbers: dict[str, int] = {}
    faults: list[Fault] = []
    for number, line in _lines(text):
        user, secret, wrong = _read(line)
        if wrong is None and user in numbers:
            wrong = f"this user is in line {numbers[user]} already"
        elif wrong is None and len(secrets) == MAX_USERS:
            return secrets, (*faults, Fault(number, f"there are more than {MAX_USERS} users"))
        if wrong is not None:
            faults.append(Fault(number, wrong))
            continue
        secrets[user], numbers[user] = secret, number
    return secrets, tuple(faults)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are to name a user, with their numbers."""
    # Not splitlines(), which also splits where no editor counts a line (form feeds, U+2028 ...).
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        stripped = line.strip(" \t\r")
        if stripped and stripped[0] not in ";#":
            yield number, stripped


def _read(line: str) -> tuple[str, str, str | None]:
    """Return user, secret and what is wrong. As PgBouncer does, ignore what follows the secret."""
    match = _USER.match(line)
    if match is None:
        return "", "", 'the line is not "user" "secret"'
    user, secret = (field.replace('""', '"') for field in match.groups())
    if not user:
        return "", "", "the user has no name"
    if len(raw(user)) > MAX_USER_NAME:
        return "", "", f"the user's name is longer than {MAX_USER_NAME} bytes"
    return user, secret, None
