"""The PostgreSQL v3 wire protocol as pure values: bytes in, frozen messages out, and back.

Every message is named as in the PostgreSQL manual (Protocol, section 'Message Formats') and both decodes and
encodes. The package must not know Twisted, sockets, clocks, random bytes, or what any message is for.
"""
