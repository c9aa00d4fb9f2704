"""The specification and the code say the same: ids of requirements, labels, numbers, limits.

The tables of the specification are read as text, and compared with what `evanesce` holds.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from evanesce import errors, formats, limits, relay_formats, wire
from evanesce.membership import Mode, Role
from evanesce.message import STRAYED
from evanesce.primitives import SUITES
from evanesce.proofs import ProofKind

ROOT = Path(__file__).parents[2]
CHAPTERS = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "spec").glob("*.md"))}
CONSTANTS = CHAPTERS["02-constants.md"]
LIMITS = CHAPTERS["15-limits.md"]
PACKAGE = Path(errors.__file__).parent  # as it is installed
SOURCES = {
    Path(name) / path.relative_to(folder): path.read_text("utf-8")
    for name, folder in (("evanesce", PACKAGE), ("tests", ROOT / "tests"), ("spec", ROOT / "spec"))
    for path in sorted(folder.rglob("*.py"))
    if path != Path(__file__)
}

CITED = re.compile(r"REQ-[A-Z]+-[0-9]+")
# At the beginning of a paragraph or list item; what is indented by four is an example.
DEFINED = re.compile(r"^ {0,3}(?:- )?\*\*(REQ-[^*]*)\*\*(.*)$", re.MULTILINE)
FORMS = {form.name: form for form in vars(formats).values() if isinstance(form, wire.Form)}
RELAY_FORMS = {
    form.name: form for form in vars(relay_formats).values() if isinstance(form, wire.Form)
}


def definitions() -> Iterator[tuple[str, str, str]]:
    """Chapter, id, and what follows it in the line, for each definition."""
    for name, text in CHAPTERS.items():
        for match in DEFINED.finditer(text):
            yield name, match[1], match[2]


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of all tables under a heading, without their heads."""
    section = text.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    tables = [part.splitlines() for part in section.split("\n\n") if part.startswith("|")]
    lines = [line for table in tables for line in table[2:]]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def number(written: str) -> int:
    """The value of a number as the specification writes it, durations in seconds."""
    count, _, unit = written.partition(" ")
    if written.startswith("2^"):
        power, _, less = written[2:].partition(" − ")
        return (1 << int(power)) - int(less or 0)
    factor = {"": 1, "s": 1, "h": 3_600, "days": 86_400}[unit]
    return int(count.replace(",", "")) * factor


# --- requirements --------------------------------------------------------------------------------


def test_every_id_is_defined_once() -> None:
    counts = Counter(requirement for _, requirement, _ in definitions())
    assert counts
    assert [requirement for requirement, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_definition_is_well_formed(chapter: str) -> None:
    bad = [
        requirement + rest
        for name, requirement, rest in definitions()
        if name == chapter
        and not (
            re.fullmatch(r"REQ-[A-Z]+-[0-9]{2}", requirement)
            and re.match(r" \((wire|state|duty)\) ", rest)
        )
    ]
    assert bad == []


def test_one_chapter_defines_each_family() -> None:
    homes: dict[str, set[str]] = {}
    for name, requirement, _ in definitions():
        homes.setdefault(requirement.split("-")[1], set()).add(name)
    assert {family: names for family, names in homes.items() if len(names) > 1} == {}


def test_every_requirement_says_must_or_should() -> None:
    silent = []
    for text in CHAPTERS.values():
        found = list(DEFINED.finditer(text))
        ends = [*(match.start() for match in found[1:]), len(text)]
        for match, end in zip(found, ends, strict=False):
            if not re.search(r"\b(MUST|SHOULD)\b", text[match.start() : end]):
                silent.append(match[1])
    assert silent == []


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_id_cited_in_code_is_defined(source: Path) -> None:
    defined = {requirement for _, requirement, _ in definitions()}
    assert set(CITED.findall(SOURCES[source])) - defined == set()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_id_cited_in_the_specification_is_defined(chapter: str) -> None:
    defined = {requirement for _, requirement, _ in definitions()}
    assert set(CITED.findall(CHAPTERS[chapter])) - defined == set()


# --- labels --------------------------------------------------------------------------------------

# What never leaves a device has labels of its own, which the specification does not list.
OWN_LABELS = {"invitation seen", "waiting", "room digest"}


# Stores, transports and the command line have formats of their own, with labels of their own.
OWN_FOLDERS = ("store", "transport", "terminal")
# What the specification asks of a relay, whichever it is.
RELAY_LABELS = {"mailbox", "capability", "blob", "blob token"}


def package_labels(*folders: str) -> dict[str, set[str]]:
    """The labels in the package's calls, by what they are given to: KDF, H, or a signature.

    Those of the protocol; or those of these folders, which have labels of their own.
    """
    place = {
        "KDF": ("KDF", 1), "each": ("KDF", 0), "H": ("H", 0), "sign": ("sign", 1),
        "seal_signed": ("sign", 1), "verify": ("sign", 2),
    }  # fmt: skip
    found: dict[str, set[str]] = {"KDF": set(), "H": set(), "sign": set()}
    for path, text in SOURCES.items():
        own = path.parts[1] if path.parts[1] in (*OWN_FOLDERS, "relay") else ""
        if path.parts[0] != "evanesce" or (own not in folders if folders else own):
            continue
        tree = ast.parse(text)
        named = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign)
            and isinstance(node.value, ast.Constant)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            kind, at = place.get(node.func.id, ("", 0))
            last = at + 2 if node.func.id == "each" else at + 1
            for argument in node.args[at:last] if kind else []:
                value = argument.value if isinstance(argument, ast.Constant) else None
                if isinstance(argument, ast.Name):
                    value = named.get(argument.id)
                if isinstance(value, bytes):
                    found[kind].add(value.decode())
    return found


@pytest.mark.parametrize(("heading", "kind"), [("2.1", "KDF"), ("2.2", "H"), ("2.3", "sign")])
def test_the_labels_are_those_of_the_code(heading: str, kind: str) -> None:
    listed = [row[0].strip('`"') for row in rows(CONSTANTS, heading)]
    assert [label for label, count in Counter(listed).items() if count > 1] == []
    own, relay = package_labels(*OWN_FOLDERS)[kind], package_labels("relay")[kind]
    protocol = package_labels()[kind] - OWN_LABELS | (own & RELAY_LABELS)
    assert protocol <= set(listed) <= protocol | relay
    assert not (own - RELAY_LABELS) & set(listed)


def test_the_labels_of_a_relay_are_those_of_the_code() -> None:
    listed = [(row[1].strip("`"), row[0].strip('`"')) for row in rows(CONSTANTS, "2.7")]
    assert [label for label, count in Counter(listed).items() if count > 1] == []
    sent = {
        (kind, row[0].strip('`"'))
        for heading, kind in (("2.1", "KDF"), ("2.2", "H"), ("2.3", "sign"))
        for row in rows(CONSTANTS, heading)
    }
    used = {(kind, each) for kind, labels in package_labels("relay").items() for each in labels}
    assert used - sent == set(listed)
    own = package_labels(*OWN_FOLDERS)
    assert not used & {(kind, each) for kind, labels in own.items() for each in labels} - sent


# --- types and other numbers ---------------------------------------------------------------------


def test_the_types_are_those_of_the_code() -> None:
    cells = [row[n : n + 2] for row in rows(CONSTANTS, "2.4") for n in (0, 2)]
    written = [(name, int(kind)) for kind, name in cells if kind]
    listed = dict(written)
    assert len(listed) == len(written)
    assert listed == {form.name: form.type for form in (FORMS | RELAY_FORMS).values()}
    assert len(set(listed.values())) == len(listed)
    assert not FORMS.keys() & RELAY_FORMS.keys()


def test_chapter_22_gives_every_object_of_a_relay_its_type_limit_and_fields() -> None:
    listed = [(name, int(kind), number(limit), len(fields.split(";")))
              for kind, name, limit, fields in rows(CHAPTERS["22-relay.md"], "22.2")]  # fmt: skip
    forms = RELAY_FORMS.values()
    assert listed == [(form.name, form.type, form.limit, len(form.fields)) for form in forms]


# Two objects that have the same table: "**Text**, type 32, and **data**, type 33, …".
TWO = re.compile(r"\*\*([A-Z][a-z]+)\*\*, type (\d+), and \*\*([a-z]+)\*\*, type (\d+)")


def test_chapter_5_gives_every_object_its_type_and_limit() -> None:
    text = CHAPTERS["05-formats.md"].replace("\n", " ")
    each = re.compile(TWO.pattern + r", (at most [\d,]+ bytes) each")
    text = each.sub(r"**\1**, type \2, \5. **\3**, type \4, \5", text)
    found = re.findall(r"\*\*([A-Za-z ]+)\*\*, type (\d+), at most ([\d,]+) bytes", text)
    listed = {name.lower(): (int(kind), number(limit)) for name, kind, limit in found}
    assert listed == {form.name: (form.type, form.limit) for form in FORMS.values()}


def test_chapter_5_gives_every_object_as_many_fields_as_the_code() -> None:
    text = CHAPTERS["05-formats.md"]
    pairs = {first.lower(): second for first, _, second, _ in TWO.findall(text)}
    text = TWO.sub(r"**\1**, type \2; \3", text)
    counts: dict[str, int] = {}
    for part in re.split(r"\n(?=\*\*[A-Z][a-z ]+\*\*, type )", text)[1:]:
        name = part[2 : part.index("**", 2)].lower()
        lines = part.split("\n|", 1)[1].split("\n\n", 1)[0].splitlines()
        head = [cell.strip() for cell in lines[0].strip("|").split("|")]
        at = head.index("field")
        cells = [line.strip("|").split("|")[at].strip() for line in lines[2:]]
        counts[name] = sum(1 for cell in cells if cell)
        if name in pairs:
            counts[pairs[name]] = counts[name]
    assert pairs == {"text": "data", "viewed": "burn"}
    assert counts == {form.name: len(form.fields) for form in FORMS.values()}


def test_other_numbers_are_those_of_the_code() -> None:
    listed: dict[str, dict[int, str]] = {}
    what = ""
    for name, value, meaning in rows(CONSTANTS, "2.5"):
        what = name or what
        if value.isdigit():
            listed.setdefault(what, {})[int(value)] = meaning
    named = {
        kind: {value: meaning.split(";")[0] for value, meaning in listed[kind].items()}
        for kind in ("mode", "role", "operation", "kind of proof")
    }
    assert listed["wire version"].keys() == {wire.VERSION}
    reserved = {value for value, meaning in listed["suite"].items() if "reserved" in meaning}
    assert listed["suite"].keys() - reserved == SUITES.keys()
    assert all(listed["suite"][value] == suite.name for value, suite in SUITES.items())
    assert named["mode"] == {mode.value: mode.name.lower() for mode in Mode}
    assert named["role"] == {role.value: role.name.lower() for role in Role}
    assert named["operation"] == {
        formats.ADD: "add",
        formats.SANCTIONED: "sanction",
        formats.SET_ROLE: "set role",
        formats.SET_POLICY: "set policy",
        formats.RESYNC: "resync",
    }
    assert named["kind of proof"] == {
        ProofKind.LEAVE.value: "leave request",
        ProofKind.SANCTION.value: "sanction",
    }
    (flag,) = [value for name, value, _ in rows(CONSTANTS, "2.5") if name == "flag of a header"]
    assert flag == f"bit {STRAYED.bit_length() - 1}"


# --- reason codes --------------------------------------------------------------------------------


def test_the_reason_codes_are_those_of_the_code_in_its_order() -> None:
    codes = [row[0].strip("`") for row in rows(CONSTANTS, "2.6") if row[0].startswith("`")]
    assert codes == [reason.value for reason in errors.Reason]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_failure_names_a_code(chapter: str) -> None:
    codes = {reason.value for reason in errors.Reason}
    text = re.sub(r"\s+", " ", CHAPTERS[chapter])
    named = re.findall(r"→ `?([a-z]+-[a-z-]+)`?", text)
    assert set(named) - codes == set()


# --- limits --------------------------------------------------------------------------------------

EXPECTED: dict[str, tuple[int, ...]] = {
    "01": (limits.MAX_DEPTH,),
    "02": (limits.MAX_BODY,),
    "03": (limits.MAX_CONTENT,),
    "04": (limits.MAX_CIPHERTEXT,),
    "05": (limits.MAX_COMMIT,),
    "06": (limits.MAX_INVITATION,),
    "07": (limits.MAX_ENVELOPE,),
    "08": (formats.SIGNED.limit, formats.MEMBER_ENTRY.limit),
    "09": (limits.MAX_NAME,),
    "10": (limits.MAX_MEMBERS,),
    "11": (formats.OPERATION_LIMIT,),
    "12": (limits.MAX_PROOFS,),
    "13": (limits.MAX_CLOCK_LEAD,),
    "14": (limits.EPOCH_GRACE,),
    "15": (limits.MAX_EPOCHS,),
    "16": (limits.MAX_JUMP,),
    "17": (limits.MAX_JUMP,),
    "18": (limits.MAX_JUMP,),
    "19": (limits.MAX_SKIPPED_ROOM,),
    "20": (limits.SKIPPED_LIFETIME,),
    "21": (limits.MAX_INDEX,),
    "22": (limits.REFRESH_AFTER, limits.REFRESH_MESSAGES),
    "23": (limits.ONE_TIME_PREKEYS,),
    "24": (limits.PACKAGE_LIFETIME, limits.SIGNED_PREKEY_ROTATION),
    "25": (limits.SIGNED_PREKEY_ROTATION,),
    "26": (limits.SIGNED_PREKEY_GRACE,),
    "27": (limits.MAX_LIFETIME,),
    "28": (limits.MAX_WAITING, limits.MAX_WAITING_BYTES, limits.RETENTION),
    "29": (limits.MAILBOX_ENVELOPES,),
    "30": (limits.RETENTION,),
    "31": (limits.MAILBOX_DRAIN_MIN, limits.MAILBOX_DRAIN_MAX),
    "32": (limits.LAST_RESORT_WEAK,),
    "33": (limits.MAX_TOMBSTONES, limits.TOMBSTONE_LIFETIME),
    "34": (limits.MAX_NAMED,),
    "35": (limits.MAX_REPAIRS, limits.REPAIR_WINDOW),
    "36": (limits.REQUEST_LIFETIME,),
    "37": (limits.MAX_BATCH,),
    "38": (limits.MAX_BLOB,),
    "39": (limits.MAX_PUBLISHED,),
    "40": (limits.MAX_CREDIT, limits.MAX_CREDIT_BYTES),
    "41": (limits.RETENTION_MIN,),
    "42": (limits.QUARTER,),
    "43": (limits.NOTICE_LIFETIME,),
    "44": (limits.MAX_SPARED,),
    "45": (limits.NOTED_LIFETIME, limits.MAX_NOTED),
}


def test_the_limits_are_those_of_the_code() -> None:
    items = re.split(r"\n(?=- \*\*REQ-)|\n## ", LIMITS)
    bold = re.compile(r"\*\*([^*]+)\*\*")
    listed = {
        match[1]: tuple(number(written) for written in bold.findall(item, match.end()))
        for item in items
        if (match := re.match(r"- \*\*REQ-LIMIT-([0-9]+)\*\*", item))
    }
    assert listed == EXPECTED


def test_every_limit_of_the_code_is_in_the_specification() -> None:
    units = {"HOUR", "DAY"}
    bucket = re.search(r"bucket +=.* div ([0-9,]+)\n", CHAPTERS["10-epoch.md"])
    assert bucket is not None
    assert number(bucket[1]) == limits.FORK_BUCKET, "part of a formula, and no limit"
    units.add("FORK_BUCKET")
    values = {value for entry in EXPECTED.values() for value in entry}
    assert {
        name
        for name, value in vars(limits).items()
        if name.isupper() and name not in units and value not in values
    } == set()
