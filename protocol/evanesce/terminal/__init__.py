"""The command line as a small messenger: a home, contacts, rooms, and a chat in the terminal."""
