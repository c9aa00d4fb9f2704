"""What a relay answers to whoever demands what it keeps, and how it accounts for it (spec 22.8)."""
