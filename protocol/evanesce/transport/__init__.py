"""Transports: how envelopes get from one device to another."""
