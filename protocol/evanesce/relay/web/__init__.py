"""The HTTP and WebSocket face of a relay (spec 22.1 to 22.4). Needs the extra `relay`."""
