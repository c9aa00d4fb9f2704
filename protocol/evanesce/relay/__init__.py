"""The relay: a server that keeps envelopes for a while, and forgets (spec 22). Extra `relay`."""
