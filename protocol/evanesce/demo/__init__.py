"""The demo: a real conversation through real devices, and then an honest attempt to read it."""
