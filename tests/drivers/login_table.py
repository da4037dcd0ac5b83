"""The table of how the drivers have logged in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from drivers.login_cases import Case
from drivers.login_catalogue import Login
from drivers.table import as_columns, as_markdown

ABSENT = "absent"


@dataclass(slots=True)
class Answers:
    """What a driver's program was expected to answer, and what it has; `failed` says why there is none."""

    login: Login
    version: str = "-"
    expected: dict[Case, str] = field(default_factory=dict)
    given: dict[Case, str] = field(default_factory=dict)
    not_run: str = ""
    failed: str = ""
    seconds: float = 0.0

    def is_right(self, case: Case) -> bool:
        """Compare; a driver that cannot tell whether it has TLS is believed."""
        expected, given = self.expected[case], self.given.get(case, "no line")
        if expected.startswith("driver:"):
            return re.match(expected, given, re.IGNORECASE) is not None
        return given in (expected, re.sub(r"^(ok .*) \w+$", r"\1 ?", expected))

    @property
    def wrong(self) -> list[Case]:
        """The cases with an answer that is not the expected one."""
        return [case for case in self.expected if not self.is_right(case)]

    def cell(self, case: Case) -> str:
        """Return a word or two."""
        if case not in self.expected:
            return "-"
        if not self.is_right(case):
            return "FAILED"
        given = self.given[case]
        return "ok" if given.startswith("ok ") else given.partition(":")[0]


def table(all_answers: Sequence[Answers], cases: Sequence[Case], markdown: bool) -> str:
    """Return a row for each case and a column for each driver, and a line for each answer that is wrong."""
    heading = ("case", *(answers.login.driver.name for answers in all_answers))
    versions = ("", *(answers.version for answers in all_answers))
    rows = [heading, versions, *((case.name, *(each.cell(case) for each in all_answers)) for case in cases)]
    lines = [*(as_markdown if markdown else as_columns)(rows), ""]
    for answers in all_answers:
        lines += _remarks(answers)
    return "\n".join([*lines, ""])


def _remarks(answers: Answers) -> list[str]:
    name = answers.login.driver.name
    if answers.not_run or answers.failed:
        return [f"not run {name}: {answers.not_run}" if answers.not_run else f"FAILED {name}: {answers.failed}"]
    right = len(answers.expected) - len(answers.wrong)
    absent = list(answers.expected.values()).count(ABSENT)
    lines = [f"{name}: {right - absent} right, {len(answers.wrong)} wrong, {absent} absent, {answers.seconds:.1f} s"]
    lines += [
        f"  {case.name}: {answers.expected[case]} here, since {case.exceptions[name][1]}"
        for case in answers.expected
        if name in case.exceptions
    ]
    return lines + [
        f"FAILED {name}, {case.name}: {answers.given.get(case, 'no line')} instead of {answers.expected[case]}"
        for case in answers.wrong
    ]
