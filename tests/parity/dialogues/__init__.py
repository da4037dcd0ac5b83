"""What is played to both servers, by subject."""

from parity.dialogue import Dialogue
from parity.dialogues import (
    channels,
    delivery,
    encodings,
    errors,
    extended,
    log_in,
    parameters,
    pipelines,
    relayed_copy,
    relayed_delivery,
    relayed_extended,
    relayed_failures,
    relayed_portals,
    relayed_settings,
    relayed_simple,
    relayed_start,
    relayed_strings,
    relayed_transactions,
    selects,
    simple,
    transactions,
)

RELAYED: tuple[Dialogue, ...] = (
    *relayed_simple.DIALOGUES,
    *relayed_strings.DIALOGUES,
    *relayed_transactions.DIALOGUES,
    *relayed_settings.DIALOGUES,
    *relayed_extended.DIALOGUES,
    *relayed_portals.DIALOGUES,
    *relayed_copy.DIALOGUES,
    *relayed_delivery.DIALOGUES,
    *relayed_failures.DIALOGUES,
    *relayed_start.DIALOGUES,
)
"""What needs a database behind twistnotify."""

DIALOGUES: tuple[Dialogue, ...] = (
    *simple.DIALOGUES,
    *selects.DIALOGUES,
    *channels.DIALOGUES,
    *errors.DIALOGUES,
    *transactions.DIALOGUES,
    *delivery.DIALOGUES,
    *extended.DIALOGUES,
    *parameters.DIALOGUES,
    *pipelines.DIALOGUES,
    *encodings.DIALOGUES,
    *log_in.DIALOGUES,
    *RELAYED,
)
