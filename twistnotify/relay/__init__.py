"""The private PostgreSQL sessions of clients, which serve what twistnotify does not serve itself."""
