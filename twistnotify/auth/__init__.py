"""How a password is proved without being shown: pure functions and values, no message formats of PostgreSQL.

Must not know sockets, clocks or random bytes: salts and nonces are arguments. No secret is in a repr or an error.
"""
