"""What the numbers of a report are called and what they count, in English and Korean."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["LABELS", "Said"]


class Said(NamedTuple):
    """The name of a number, and what it counts."""

    en: str
    ko: str
    what: str
    what_ko: str


LABELS: Final[dict[str, Said]] = {
    "requests": Said(
        "Requests", "요청",
        "requests that were recorded in the period", "기간 중 대장에 기록된 요청 수"),
    "received_earlier": Said(
        "of them received earlier", "그중 기간 이전 접수",
        "those that came before the period, and were recorded in it",
        "기간 이전에 접수되어 기간 중 기록된 요청 수"),
    "accounts": Said(
        "Accounts asked about", "요청 계정",
        "accounts (mailboxes) that these requests named, as they came",
        "요청에 적힌 계정(사서함) 수"),
    "answered": Said(
        "Requests answered", "처리된 요청",
        "requests that had their first answer in the period", "기간 중 처음 답변한 요청 수"),
    "processed_with_data": Said(
        "Accounts processed with data", "자료를 제공한 계정",
        "answers, each about one account, that handed over something that was held",
        "보유 중인 자료를 제공한 계정별 답변 수"),
    "processed_without_data": Said(
        "Accounts processed without data", "자료 없이 처리한 계정",
        "answers, each about one account, saying that nothing was held",
        "보유 자료가 없다고 답한 계정별 답변 수"),
    "with_envelopes": Said(
        "of them with sealed envelopes", "그중 암호화된 봉투 제공",
        "answers with data that included sealed envelopes, which the relay cannot open",
        "중계 서버가 열 수 없는 암호화된 봉투를 포함한 답변 수"),
    "repeated": Said(
        "Answers given again", "재발급한 답변",
        "answers that replaced a lost one; not counted among the processed accounts",
        "분실된 답변을 대신한 답변 수(처리 계정 수에 미포함)"),
    "rejected": Said(
        "Requests rejected", "거부한 요청",
        "requests that were rejected as a whole", "전부 거부한 요청 수"),
    "narrowed": Said(
        "Requests narrowed", "범위를 축소한 요청",
        "requests that were narrowed before they were answered",
        "답변 전에 범위를 축소한 요청 수"),
    "notified": Said(
        "Accounts notified", "통지한 계정",
        "answers whose mailbox was told of them", "해당 사서함에 통지한 답변 수"),
    "not_notifiable": Said(
        "Accounts that could not be notified", "통지할 수 없던 계정",
        "answers whose mailbox no longer existed, or never had",
        "사서함이 존재하지 않아 통지하지 못한 답변 수"),
    "gag_orders": Said(
        "Gag orders", "통지 유예(비밀 유지) 명령",
        "orders not to tell those concerned that were imposed", "기간 중 부과된 통지 유예 명령 수"),
    "gag_extensions": Said(
        "Gag orders extended", "통지 유예 연장",
        "extensions of such orders", "통지 유예 연장 수"),
    "gags_lifted": Said(
        "Gag orders lifted", "통지 유예 해제",
        "such orders that were lifted before their end", "만료 전 해제된 통지 유예 수"),
    "pending_at_start": Said(
        "Requests pending at the start", "기간 초 미처리 요청",
        "requests neither answered nor rejected when the period began",
        "기간 시작 시 답변도 거부도 하지 않은 요청 수"),
    "pending": Said(
        "Requests pending", "미처리 요청",
        "requests neither answered nor rejected when the period ended",
        "기간 종료 시 답변도 거부도 하지 않은 요청 수"),
    "notices_pending": Said(
        "Notices pending", "통지 대기",
        "answers whose mailbox has not been told of them when the period ended",
        "기간 종료 시 아직 통지하지 않은 답변 수"),
    "gags_in_force": Said(
        "Gag orders in force", "유효한 통지 유예 명령",
        "orders that still held when the period ended", "기간 종료 시 유효한 통지 유예 명령 수"),
}  # fmt: skip
