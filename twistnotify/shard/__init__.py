"""The upstream side: one PostgreSQL connection a shard, for LISTEN and NOTIFY both."""
