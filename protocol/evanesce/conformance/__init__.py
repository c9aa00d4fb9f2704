"""Test vectors, and the runner that drives an implementation through them (spec 20 and 21)."""
