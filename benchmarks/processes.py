"""What Linux says about processes, in /proc."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    found = [pid]
    for each in found:
        try:
            children = (_PROC / str(each) / "task" / str(each) / "children").read_text()
        except OSError:
            continue
        found += map(int, children.split())
    return found


def processor_time(pid: int) -> float:
    """Return the seconds that a process and all that it has started, ended ones included, have computed."""
    return sum(map(_ticks, tree(pid))) / _TICKS


def memory(pid: int) -> int:
    """Return the resident bytes of a process and all that it has started; shared pages count once (Pss)."""
    return sum(map(_resident, tree(pid)))


def _ticks(pid: int) -> int:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0
    # utime, stime, and those of children that were waited for: fields 14 to 17 (proc(5)); a name may hold blanks.
    return sum(map(int, text.rpartition(")")[2].split()[11:15]))


def _resident(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
