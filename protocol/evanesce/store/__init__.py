"""Stores: where a device keeps its state."""
