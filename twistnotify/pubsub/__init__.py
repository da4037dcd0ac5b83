"""Who listens to what, and what waits for whom: pure, with clients and frames opaque."""
