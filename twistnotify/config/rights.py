"""Read [channels] and [groups]: who may LISTEN and NOTIFY on which channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .connections import checked
from .keywords import split_keywords
from .kinds import People
from .lines import Entry, Section
from .model import ChannelConfig
from .options import CHANNEL_KEYWORDS
from .problems import NAME, Findings, quoted, suggestion

# PostgreSQL's limit for a channel's name (NAMEDATALEN - 1), in bytes.
_LONGEST_CHANNEL = 63

Groups = Mapping[str, tuple[str, ...]]


def read_groups(section: Section, findings: Findings) -> Groups:
    """Return the users of each group."""
    return {entry.key: _read_group(entry, findings) for entry in section.entries.values()}


def _read_group(entry: Entry, findings: Findings) -> tuple[str, ...]:
    users = tuple(user.strip() for user in entry.value.split(",")) if entry.value else ()
    for complaint in _group_complaints(entry.key, users):
        findings.add(entry.line, entry.section, entry.key, complaint)
    return users


def _group_complaints(name: str, users: Sequence[str]) -> list[str]:
    faults = {
        "a name is 1 to 63 letters, digits and characters of _ . $ -": not NAME.fullmatch(name),
        "a user's name is empty": not all(users),
        "a group cannot hold a group": any(user.startswith("@") for user in users),
        "* is not a user; it belongs on a line of [channels]": "*" in users,
    }
    return [complaint for complaint, is_there in faults.items() if is_there]


def read_channels(section: Section, groups: Groups, findings: Findings) -> tuple[ChannelConfig, ...]:
    """Return the lines in their order, with the users of groups in the place of these."""
    before: list[Entry] = []
    channels = []
    for entry in section.entries.values():
        for complaint in _pattern_complaints(entry.key, before):
            findings.add(entry.line, entry.section, entry.key, complaint)
        before.append(entry)
        channels.append(_read_channel(entry, groups, findings))
    return tuple(channels)


def _pattern_complaints(pattern: str, before: Iterable[Entry]) -> list[str]:
    name = pattern.removesuffix("*")
    complaints = []
    if "*" in name:
        complaints.append("* can only be the last character of a pattern")
    if len(name.encode()) > _LONGEST_CHANNEL:
        complaints.append(f"a channel's name has at most {_LONGEST_CHANNEL} bytes")
    first = next((entry for entry in before if entry.key.endswith("*") and name.startswith(entry.key[:-1])), None)
    if first:
        complaints.append(f"this can never match: line {first.line} matches all of it, and comes first")
    return complaints


def _read_channel(entry: Entry, groups: Groups, findings: Findings) -> ChannelConfig:
    pairs, fault = split_keywords(entry.value)
    words, complaints = checked(pairs, CHANNEL_KEYWORDS)
    if fault:
        complaints.append(fault)
    # What is wrong was noted; the rest is looked at all the same.
    listed = {} if complaints else {keyword: People().parse(value) for keyword, value in words.items()}
    named = [member[1:] for members in listed.values() for member in members or () if member.startswith("@")]
    complaints += [_unknown(name, groups) for name in dict.fromkeys(named) if name not in groups]
    for complaint in complaints:
        findings.add(entry.line, entry.section, entry.key, complaint)
    return ChannelConfig(entry.key, *(_users(listed.get(keyword.name, ()), groups) for keyword in CHANNEL_KEYWORDS))


def _unknown(name: str, groups: Groups) -> str:
    return f"group {quoted(name)} is not in [groups]{suggestion(name, groups)}"


def _users(members: tuple[str, ...] | None, groups: Groups) -> tuple[str, ...] | None:
    if members is None:
        return None
    users = (groups.get(member[1:], ()) if member.startswith("@") else (member,) for member in members)
    return tuple(dict.fromkeys(user for each in users for user in each))
