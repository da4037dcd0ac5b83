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
    selects,
    simple,
    transactions,
)

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
)
