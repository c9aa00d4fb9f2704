"""Operations of chapter 13, of policies (REQ-MEM-12), and of contents."""

from __future__ import annotations

from typing import Any

from ...content import Announcement, Burn, Evaporation, Said, Viewed, parse_content
from ...membership import Policy
from .registry import Json, operation
from .values import tagged, un


@operation("stricter")
def _stricter(i: Json) -> Json:
    both = Evaporation(*i["message"]).strictest(Evaporation(*i["room"]))
    return {"after_view": both.after_view, "lifetime": both.lifetime}


@operation("deadline")
def _deadline(i: Json) -> Json:
    rules = Evaporation(i["after_view"], i["lifetime"])
    if i["viewed"] is None:
        return {"deadline": rules.deadline(i["sent"], i["received"])}
    return {"deadline": rules.deadline_viewed(i["sent"], i["received"], i["viewed"])}


@operation("check policy")
def _check_policy(i: Json) -> Json:
    Policy.from_value(i["policy"])
    return {}


@operation("read content")
def _read_content(i: Json) -> Json:
    content = parse_content(un(i["content"]))
    if isinstance(content, Said):
        rules = content.evaporation
        fields: list[Any] = [
            content.sent, rules.after_view, rules.lifetime, content.quote, content.body,
        ]  # fmt: skip
        return {
            "type": "text" if isinstance(content.body, str) else "data",
            "fields": tagged(fields),
        }
    if isinstance(content, Announcement):
        return {
            "type": "announcement",
            "fields": tagged([content.name, list(content.mailbox.value())]),
        }
    if isinstance(content, Viewed | Burn):
        name = "viewed" if isinstance(content, Viewed) else "burn"
        return {"type": name, "fields": tagged([list(content.messages)])}
    return {"type": "leave", "fields": tagged([content.request])}
