"""A client in a process of its own: prints its mailbox, and then each envelope when it is acked.

Argument: the address of the relay. Run until killed.
"""

import asyncio
import contextlib
import secrets
import sys

from evanesce.mailbox import MailboxKeys
from evanesce.transport.relay_faults import RelayRefusal
from tests.relay.system_load import transport


async def main() -> None:
    keys = MailboxKeys.generate(secrets.token_bytes)
    seen: set[bytes] = set()
    async with transport(sys.argv[1]) as back:
        await back.open_mailbox(keys.reader())
        print(keys.mailbox.address.hex(), keys.mailbox.capability.hex(), flush=True)
        while True:
            found = await back.receive([keys.reader()])
            with contextlib.suppress(OSError, RelayRefusal):
                await back.ack([delivery.id for delivery in found])
                for delivery in found:
                    if delivery.id not in seen:
                        print(delivery.envelope.hex(), flush=True)
                        seen.add(delivery.id)


if __name__ == "__main__":
    asyncio.run(main())
