"""Names and texts as SQL: the only place where SQL text is quoted.

For standard_conforming_strings = on, which every PostgreSQL connection of ours keeps.
"""


def quote_identifier(name: str) -> str:
    """Quote a name so that PostgreSQL reads exactly it, up to its limit of 63 bytes.

    Raises ValueError for NUL, which no SQL text can hold. An empty name stays one: PostgreSQL refuses it.
    """
    _refuse_nul(name)
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Quote a text as a string constant; raises ValueError for NUL."""
    _refuse_nul(text)
    return "'" + text.replace("'", "''") + "'"


def _refuse_nul(text: str) -> None:
    if "\0" in text:
        raise ValueError("SQL text cannot hold a NUL character")


def notify_statement(channel: str, payload: str) -> str:
    """Return a NOTIFY statement; raise ValueError for NUL.

    `quote_identifier` and `quote_literal` in one: there is one for every notification that goes out.
    """
    if "\0" in channel or "\0" in payload:
        raise ValueError("SQL text cannot hold NUL")
    return 'NOTIFY "' + channel.replace('"', '""') + "\",'" + payload.replace("'", "''") + "'"
