"""What a peer can do wrong on the wire, as exceptions.

Apart from `errors`, so that the reader of message bodies can raise them and still read the messages there.
"""


class ProtocolViolation(Exception):
    """Report bytes that are not the protocol.

    `message` is worded as PostgreSQL words it; `sqlstate` is 08P01 (protocol_violation) unless told otherwise
    (PostgreSQL manual, appendix 'PostgreSQL Error Codes').
    """

    def __init__(self, message: str, sqlstate: str = "08P01") -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate


class MessageTooLong(ProtocolViolation):
    """Report a message whose body is longer than the receiver allows.

    `type` is the type byte, `length` the announced size of the body in bytes. The stream is still in step:
    the body is skipped, and the frame after it is read as any other.
    """

    def __init__(self, type: int, length: int) -> None:
        super().__init__(f"message of type {type} is too long: {length} bytes")
        self.type = type
        self.length = length
