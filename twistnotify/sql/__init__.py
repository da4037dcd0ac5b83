"""SQL text to intent and back: what a client asks for, read by PostgreSQL's own grammar.

Knows statements, names and literals; must not know sessions, sockets or what becomes of a statement.
"""
