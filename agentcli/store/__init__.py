"""Sessions on disk: append-only files of events, one a session. The store interprets no event; the engine makes history of them."""
