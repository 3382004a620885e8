"""Plain data that every floor shares: messages, events, commands, models, errors, the base of tools, clean text."""
