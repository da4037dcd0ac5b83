"""twistnotify measured against what one would use instead: PostgreSQL itself, and Redis.

`python -m benchmarks`, or `make bench`. The load generator is Python with raw sockets, one worker process or more.
"""
