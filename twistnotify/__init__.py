"""PostgreSQL LISTEN/NOTIFY for tens of thousands of clients over one connection a shard."""
