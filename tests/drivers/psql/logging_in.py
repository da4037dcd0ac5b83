"""psql logs in: one psql for each attempt."""

from __future__ import annotations

import os
import re
import subprocess

from attempts import LIMIT, LISTEN, WHO, Attempt, Refused, answer, refusal

ARGUMENTS = ("-X", "-w", "-q", "-A", "-t", "-v", "VERBOSITY=sqlstate", "-v", "ON_ERROR_STOP=1")
COMMANDS = ("-c", LISTEN, "-c", WHO, "-c", r"\conninfo")
SINCE = {"require_auth": 16, "sslnegotiation": 17}
"""The versions that have brought what not every psql has."""


class Psql:
    """A psql that has already run."""

    def __init__(self, attempt: Attempt) -> None:
        words = {**attempt.given(), "connect_timeout": str(LIMIT)}
        password = words.pop("password", "")
        line = " ".join(f"{name}='{value}'" for name, value in words.items())
        self._done = subprocess.run(
            ["psql", *ARGUMENTS, line, *COMMANDS],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PGPASSWORD": password},
        )
        said = self._done.stderr
        if said.startswith("psql: error:"):
            raise Refused(refusal(said) or "") if refusal(said) else ConnectionError(said)

    @property
    def tls(self) -> bool:
        r"""\conninfo says so, in the words of this or that version."""
        return bool(re.search(r"^SSL connection \(|^SSL Connection\|true", self._done.stdout, re.MULTILINE))

    def user(self) -> str:
        """Return what it has shown."""
        failed = re.search(r"(?:ERROR|FATAL):  (\w{5})$", self._done.stderr, re.MULTILINE)
        if failed:
            raise Refused(failed[1])
        if self._done.returncode:
            raise ConnectionError(self._done.stderr)
        return self._done.stdout.splitlines()[0]

    def close(self) -> None:
        """It is gone."""


def _version() -> int:
    said = subprocess.run(["psql", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\d+", said)[0])


if __name__ == "__main__":
    answer(Psql, *(name for name, version in SINCE.items() if version > _version()))
