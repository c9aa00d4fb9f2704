"""Evanesce: end-to-end encrypted rooms whose messages evaporate once viewed.

Start with `Device`. Below it, `Room` is the protocol without any I/O, for those who bring their own
delivery and storage. The specification is in the project's `spec` folder, the test vectors in
`evanesce/_vectors`.
"""

from .content import Evaporation
from .conversation import Conversation
from .device import Device
from .errors import EvanesceError, HeldError, LocalError, Reason, RemoteError, StorageError
from .events import (
    ApplicationFailed,
    ChangesLost,
    DeliveryFailed,
    Disclosed,
    Equivocated,
    Event,
    FallenBehind,
    IdentityChanged,
    MessageArrived,
    MessageBurned,
    MessageEvaporated,
    MessageHandle,
    MessagesMissing,
    MessageViewed,
    Person,
    RefreshDue,
    Rejected,
    RemovedFromRoom,
    ResyncAsked,
    RolledBack,
    RoomChanged,
    RoomJoined,
    RoomReplaced,
    StoreFailed,
)
from .identity import Identity, safety_number
from .keypackage import Card
from .ledger import Recipient, Report, SentMessage, State
from .membership import Mode, Policy, Role
from .pins import Pin
from .room import Room
from .store.keys import Passphrase, RawKey
from .store.memory import MemoryStore
from .store.sqlite import SqliteStore
from .transport.armored import ArmoredTransport
from .transport.folder import FolderTransport
from .transport.memory import MemoryTransport

__all__ = [
    "ApplicationFailed",
    "ChangesLost",
    "ArmoredTransport",
    "Card",
    "Conversation",
    "DeliveryFailed",
    "Device",
    "Disclosed",
    "EvanesceError",
    "Evaporation",
    "Event",
    "Equivocated",
    "FallenBehind",
    "FolderTransport",
    "HeldError",
    "Identity",
    "IdentityChanged",
    "LocalError",
    "MemoryStore",
    "MemoryTransport",
    "MessageArrived",
    "MessageBurned",
    "MessageEvaporated",
    "MessageHandle",
    "MessageViewed",
    "MessagesMissing",
    "Mode",
    "Passphrase",
    "Person",
    "Pin",
    "Policy",
    "RawKey",
    "Reason",
    "Recipient",
    "RefreshDue",
    "Rejected",
    "RemoteError",
    "RemovedFromRoom",
    "Report",
    "ResyncAsked",
    "Role",
    "RolledBack",
    "Room",
    "RoomChanged",
    "RoomJoined",
    "RoomReplaced",
    "SentMessage",
    "SqliteStore",
    "State",
    "StorageError",
    "StoreFailed",
    "safety_number",
]
__version__ = "0.1.0"
