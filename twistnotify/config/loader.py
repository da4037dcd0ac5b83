"""The text of a configuration file to a `Config`, or to everything that is wrong with it."""

from __future__ import annotations

from typing import Any

from .checks import check_lookup, check_settings
from .connections import read_lines
from .databases import build, check_lines
from .lines import Entry, Section, read_sections
from .model import Config, Settings
from .options import DATABASE_KEYWORDS, OPTIONS, SHARD_KEYWORDS, Option
from .problems import ConfigurationError, Findings, Problem, quoted, suggestion
from .rights import read_channels, read_groups

__all__ = ["ConfigurationError", "Problem", "load"]

_SECTIONS = ("twistnotify", "databases", "shards", "channels", "groups")
_OPTIONS: dict[str, Option] = {option.name: option for option in OPTIONS}


def load(text: str, path: str) -> Config:
    """Read the text of a configuration file; `path` is only for messages.

    Raises ConfigurationError with every problem there is.
    """
    findings = Findings(path)
    sections = read_sections(text, _SECTIONS, findings)
    settings = _read_settings(sections["twistnotify"], findings)
    databases = read_lines(sections["databases"], DATABASE_KEYWORDS, findings)
    shards = read_lines(sections["shards"], SHARD_KEYWORDS, findings)
    check_lines(sections["databases"], databases, shards, findings)
    check_lookup(sections["twistnotify"], settings, databases, findings)
    channels = read_channels(sections["channels"], read_groups(sections["groups"], findings), findings)
    findings.raise_if_any()
    return build(settings, databases, shards, channels)


def _read_settings(section: Section, findings: Findings) -> Settings:
    """Return the settings; one that is wrong is noted and stays at its default."""
    values: dict[str, Any] = {}
    for entry in section.entries.values():
        try:
            values[entry.key] = _parse(entry)
        except ValueError as error:
            findings.add(entry.line, entry.section, entry.key, str(error))
    settings = Settings(**values)
    check_settings(section, settings, values, findings)
    return settings


def _parse(entry: Entry) -> object:
    option = _OPTIONS.get(entry.key)
    if option is None:
        raise ValueError(f"unknown setting{suggestion(entry.key, _OPTIONS)}")
    try:
        return option.kind.parse(entry.value)
    except ValueError as error:
        raise ValueError(f"{quoted(entry.value)} {error}") from None
