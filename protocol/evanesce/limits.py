"""Every limit of the protocol, with the reason for its size (spec 15).

Sizes are in bytes, times in seconds. A value *at* a limit is accepted, one past it is refused.
"""

from __future__ import annotations

from typing import Final

HOUR: Final = 3_600
DAY: Final = 24 * HOUR

# Encoding. Depth counts arrays per object: an embedded `bin` object starts again at 1.
MAX_DEPTH: Final = 4

# A message body: what a person writes, in UTF-8, before any padding.
MAX_BODY: Final = 64 * 1024
# The encoded content around it: time, policy, quote and array headers fit in 256 bytes.
MAX_CONTENT: Final = MAX_BODY + 256
# A padded content may be as large as the largest envelope step that a full body can need.
MAX_CIPHERTEXT: Final = 80 * 1024
# A commit: 1,000 operations of at most about 700 bytes each.
MAX_COMMIT: Final = 768 * 1024
# An invitation carries the roster of up to 1,000 members and the commit that admits.
MAX_INVITATION: Final = 1536 * 1024
# The largest thing a mailbox takes: an invitation, sealed and padded (Padmé adds at most 12 %).
MAX_ENVELOPE: Final = 2 * 1024 * 1024

# Members of a room: one commit costs a slot for each, so this bounds the cost of every commit.
MAX_MEMBERS: Final = 1_000
# Proofs in a commit; each is verified by every member.
MAX_PROOFS: Final = 16

# Members that a removal says it does not take along: its signed form stays a small object.
MAX_SPARED: Final = 64
# What lost commits did to members is done again by any commit for so long.
NOTED_LIFETIME: Final = 30 * DAY
MAX_NOTED: Final = 1_000  # of a room; each is verified anew in each epoch
MAX_FORMER: Final = 1_000  # members of earlier epochs that are kept in the directory

# The forward jump: how many message keys of a chain one message may skip. It bounds the work that
# a forged index can cause (about 1 ms) and the keys one chain may keep.
MAX_JUMP: Final = 1_000
# Skipped keys a room keeps over all its chains.
MAX_SKIPPED_ROOM: Final = 4_000
SKIPPED_LIFETIME: Final = 72 * HOUR
# Indices are 32-bit: a chain refreshes long before.
MAX_INDEX: Final = 2**32 - 1

# Epochs that are over stay readable for late messages, and siblings of their commits recognisable.
EPOCH_GRACE: Final = 72 * HOUR
MAX_EPOCHS: Final = 256

# Commits on one epoch are ordered by the hour of their time first: clocks differ by less.
FORK_BUCKET: Final = HOUR

# How long after it has joined a device can be brought over to another branch.
MOVE_WINDOW: Final = 72 * HOUR

# A commit that claims to be later than this after the receiver's clock waits.
MAX_CLOCK_LEAD: Final = 5 * 60

# A refresh is due after so long, or after so many own messages in signed and deniable rooms.
REFRESH_AFTER: Final = 7 * DAY
REFRESH_MESSAGES: Final = 256

# Key packages.
ONE_TIME_PREKEYS: Final = 4
PACKAGE_LIFETIME: Final = 30 * DAY  # of a one-time package; a last-resort one lives until rotated
SIGNED_PREKEY_ROTATION: Final = 7 * DAY
SIGNED_PREKEY_GRACE: Final = 72 * HOUR
# Until a last-resort package's signed prekey is surely erased, rooms begun through it are weak.
LAST_RESORT_WEAK: Final = SIGNED_PREKEY_ROTATION + SIGNED_PREKEY_GRACE

# Evaporation: no message outlives this, viewed or not.
MAX_LIFETIME: Final = 72 * HOUR
# Messages that one viewed or burn names: one envelope of 8 KiB.
MAX_NAMED: Final = 256
# Of one member's burned messages that have not come yet, in one room.
MAX_TOMBSTONES: Final = 1_000
TOMBSTONE_LIFETIME: Final = 72 * HOUR

# Repair and resync. A request waits no longer than a relay keeps it.
REQUEST_LIFETIME: Final = 72 * HOUR
MAX_REPAIRS: Final = 10  # of one member in one room, within
REPAIR_WINDOW: Final = 3 * HOUR
COPY_LIFETIME: Final = 30 * DAY  # of a commit, for repair: until its receiver provably has it

# Device and transport.
MAX_WAITING: Final = 256
MAX_WAITING_BYTES: Final = 8 * 1024 * 1024  # of the same: a few commits of the largest rooms
MAILBOX_ENVELOPES: Final = 1_000
RETENTION: Final = 72 * HOUR
MAILBOX_DRAIN_MIN: Final = 72 * HOUR
MAILBOX_DRAIN_MAX: Final = 30 * DAY
MAX_NAME: Final = 256

# Relay. One request or frame: as many envelopes as one message in a large group has copies.
MAX_BATCH: Final = 256
MAX_BLOB: Final = 1024 * 1024  # a chunk of a file or of a roster
MAX_PUBLISHED: Final = 100  # one-time packages of one device that wait at a relay
MAX_CREDIT: Final = 1_000  # envelopes that may be on their way to a reader who has acked none
MAX_CREDIT_BYTES: Final = 16 * 1024 * 1024
RETENTION_MIN: Final = 48 * HOUR  # a relay may keep envelopes for less than `RETENTION`
QUARTER: Final = 91 * DAY  # a mailbox that was not made in this one or the last is removed
NOTICE_LIFETIME: Final = 90 * DAY  # of a notice of a disclosure
