"""What is raised for bytes that are not the protocol."""

from twistnotify.wire.violations import MessageTooLong, ProtocolViolation


def test_a_violation_is_08P01_unless_told_otherwise() -> None:  # noqa: N802
    assert ProtocolViolation("bad").sqlstate == "08P01"
    assert ProtocolViolation("bad", "22021").sqlstate == "22021"


def test_a_violation_reads_as_its_message() -> None:
    assert str(ProtocolViolation("invalid message format")) == "invalid message format"
    assert ProtocolViolation("invalid message format").message == "invalid message format"


def test_a_message_too_long_tells_its_type_and_length() -> None:
    error = MessageTooLong(81, 5000)
    assert (error.type, error.length, error.sqlstate) == (81, 5000, "08P01")
    assert error.message == "message of type 81 is too long: 5000 bytes"
