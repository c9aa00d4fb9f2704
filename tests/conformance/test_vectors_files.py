"""The vectors as files: found, read, checked."""

import json
from pathlib import Path

import pytest

from evanesce.conformance.text import RunError
from evanesce.conformance.vectors import Vectors, default_folder, matcher
from tests.conformance.conformance_support import case, invalid, write_sums, write_vectors


def test_this_installation_has_whole_vectors() -> None:
    vectors = Vectors()
    assert vectors.folder == default_folder()
    assert vectors.faults() == []
    assert len(list(vectors)) > 1000


def test_whole_vectors_have_no_faults(small: Vectors) -> None:
    assert small.faults() == []
    assert [each.id for each in small] == ["good", "bad", "after"]


def test_a_changed_byte_is_found(small: Vectors) -> None:
    path = small.v1 / "hash.json"
    path.write_bytes(path.read_bytes().replace(b'"bad"', b'"bat"'))
    assert small.faults() == [
        "hash.json: its SHA-256 differs",
        "hash.json: its sum is not that of SHA256SUMS",
    ]
    with pytest.raises(RunError, match="not as the manifest says"):
        Vectors(small.folder).file("hash.json")


def test_a_changed_size_is_found(small: Vectors) -> None:
    path = small.v1 / "hash.json"
    path.write_bytes(path.read_bytes() + b"\n")
    assert "bytes, the manifest says" in small.faults()[0]


def test_missing_and_additional_files_are_found(small: Vectors) -> None:
    (small.v1 / "hash.json").rename(small.v1 / "other.json")
    faults = "\n".join(small.faults())
    assert "hash.json: No such file" in faults
    assert "other.json: not in the manifest" in faults
    (small.v1 / "SHA256SUMS").unlink()
    assert "SHA256SUMS: No such file or directory" in Vectors(small.folder).faults()


@pytest.mark.parametrize("line", ["0" * 64 + "  ../../secret", "0" * 64 + "  /etc/hostname", "?"])
def test_sums_name_every_file_and_no_file_elsewhere(small: Vectors, line: str) -> None:
    (small.v1 / "SHA256SUMS").write_text(f"{line}\n")
    assert small.faults() == [
        f"SHA256SUMS: not a line of sums: {line!r}",
        "SHA256SUMS: hash.json is not in it",
        "SHA256SUMS: manifest.json is not in it",
        "SHA256SUMS: schema/any.schema.json is not in it",
    ]


def test_counts_ids_and_parents_are_checked(tmp_path: Path) -> None:
    orphan = invalid("orphan")
    vectors = write_vectors(tmp_path, {"a.json": [case("x")], "b.json": [case("x"), orphan]})
    manifest = json.loads((vectors.v1 / "manifest.json").read_bytes())
    manifest["files"]["b.json"]["valid"] = 2
    (vectors.v1 / "manifest.json").write_text(json.dumps(manifest))
    write_sums(vectors.v1)
    assert vectors.faults() == [
        "b.json: 1 valid, the manifest says 2",
        "b.json: x is also in a.json",
        "orphan: there is no good, its parent",
    ]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"spec": "1", "vectors": "1", "files": 3}', '{"spec": 1}']
)
def test_a_manifest_that_is_none(small: Vectors, content: str) -> None:
    (small.v1 / "manifest.json").write_text(content)
    with pytest.raises(RunError, match="is not a manifest"):
        small.faults()


def test_files_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    vectors = write_vectors(tmp_path, {"a.json": [case("x")], "b.json": [case("y")]})
    (vectors.v1 / "b.json").unlink()
    assert [each.id for each in vectors.file("a.json")] == ["x"]
    with pytest.raises(RunError):
        vectors.file("b.json")


def test_an_unknown_case_names_those_near_it(small: Vectors) -> None:
    with pytest.raises(RunError, match="no such case: goot; near it: good"):
        small.case("goot")


def test_patterns_have_stars_and_question_marks_and_nothing_else() -> None:
    assert matcher(["kdf-*"]).fullmatch("kdf-small-32")
    assert matcher(["a", "kd?"]).fullmatch("kdf")
    assert not matcher(["kd?"]).fullmatch("kd")
    assert not matcher(["[k]df"]).fullmatch("kdf")
    assert matcher([]).fullmatch("anything")
