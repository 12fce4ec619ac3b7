"""Who may do what: API keys, staff actors, sessions, scopes."""
