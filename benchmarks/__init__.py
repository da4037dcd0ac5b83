"""twistnotify measured against what one would use instead: PostgreSQL itself, and Redis; for the relay, PgBouncer.

`python -m benchmarks` and `python -m benchmarks.relay`, or `make bench` and `make bench-relay`; `benchmarks.logins` and
`benchmarks.tls`, or `make bench-logins` and `make bench-tls`, measure what proofs and encryption cost. The load
generator is Python with raw sockets, one worker process or more, and pgbench for the relay.
"""
