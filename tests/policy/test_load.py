"""Policies from files: strict, with places, extended, digested."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.errors import ConfigError, PolicyError
from guard.operators import LABEL, Operator
from guard.policy.load import from_document, load, load_model, read, resolve
from guard.policy.schema import document
from guard.types import Ack, Action, Mode, Stage

pytestmark = pytest.mark.usefixtures("sample_plugin")

GOOD = """\
name: demo
version: "2"
checkers:
  words:
    use: sample-words
    timeout: 250ms
    params: {words: [x]}
rules:
  - id: one
    checker: words
    stage: output
    category: word
    threshold: 0.7
    when: request.purpose == "test" && finding.score > 0.1
    action: redact
  - {id: two, checker: words, action: block, mode: shadow}
on_error: block
review: {within: 2h}
"""


def write(folder: Path, text: str, name: str = "policy.yaml") -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    return file


def test_a_policy_is_read(tmp_path: Path) -> None:
    policy = load(write(tmp_path, GOOD))
    assert (policy.name, policy.version, policy.on_error, policy.otherwise) == ("demo", "2", Action.BLOCK, Action.ALLOW)
    assert policy.review_within == 7200
    [words] = policy.checkers
    assert (words.name, words.use, words.timeout, words.params) == ("words", "sample-words", 0.25, {"words": ["x"]})
    one, two = policy.rules
    assert (one.action, one.stages, one.categories, one.threshold) == (
        Action.REDACT,
        frozenset({Stage.OUTPUT}),
        frozenset({"word"}),
        0.7,
    )
    assert (two.mode, two.stages, two.categories) == (Mode.SHADOW, frozenset(Stage), frozenset())


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("on_error: block", "on_eror: block"), 17, "unknown key 'on_eror'; did you mean 'on_error'?"),
        (("    timeout:", "    timout:"), 6, "unknown key 'checkers.words.timout'; did you mean 'timeout'?"),
        (("    action: redact", "    acton: redact"), 15, "unknown key 'rules.0.acton'; did you mean 'action'?"),
        (("{words: [x]}", "{word: [x]}"), 7, "unknown key 'word'; did you mean 'words'?"),
        (("{words: [x]}", "{}"), 7, "'words' is missing"),
        (("version: \"2\"\n", ""), 1, "'version' is missing"),
        (("threshold: 0.7", "threshold: 7"), 13, "less than or equal to 1"),
        (("threshold: 0.7", "threshold: .nan"), 13, "finite"),
        (("250ms", "250 parsecs"), 6, "a duration is"),
        (("use: sample-words", "use: sample-word"), 4, "checker 'sample-word' is not known"),
        (("use: sample-words", "use: sample-missing"), 4, "cannot be imported"),
        (("    checker: words", "    checker: wrods"), 10, "no checker 'wrods' is declared; did you mean 'words'?"),
        (("{id: two,", "{id: one,"), 16, "rule 'one' stands twice"),
        (("name: demo", "name: demo\nname: demo"), 2, "'name' stands twice"),
        (("finding.score > 0.1", "findings.score > 0.1"), 14, "the condition names 'findings'"),
        (("&& finding.score > 0.1", "&&"), 14, "the condition does not parse"),
        (("review: {within: 2h}", "review: {within: 2h"), 19, "expected"),
        (("name: demo", "name: !!python/object:os.system demo"), 1, "not supported"),
        (("name: demo", "name: \"\\x07\""), 1, ""),
        (("name: demo", "name: &a demo\ndescription: *a"), 2, "aliases are not supported"),
        (("    action: redact", "    action: [redact]"), 15, "action"),
        (("  words:\n", "  stamp:\n"), 4, "choose another name"),
        (("action: redact", "action: redact\n    operator: maks"), 16, "operator.name: Input should be 'replace'"),
        (("action: redact", "action: redact\n    operator: {nam: mask}"), 16, "did you mean 'name'?"),
        (("action: redact", "action: redact\n    operator: {name: hash, restore: true}"), 16, "hash takes no parameters"),
        (("action: redact", "action: redact\n    operator: {name: replace, new_value: 'a\"b'}"), 16, "would break JSON"),
        (("action: redact", "action: redact\n    operator: {name: mask, masking_char: '**'}"), 16, "at most 1"),
        (("action: redact", "action: review\n    operator: mask"), 9, "an operator goes with"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_file_and_line(tmp_path: Path, change: tuple[str, str], line: int, words: str) -> None:
    assert change[0] in GOOD
    file = write(tmp_path, GOOD.replace(*change, 1))
    if words:
        with pytest.raises(PolicyError) as caught:
            load(file)
        assert str(caught.value).startswith(f"{file}:{line}: "), caught.value
        assert words in str(caught.value)
    else:
        load(file)


@pytest.mark.parametrize(
    ("data", "line"),
    [(b"name: a\nversion: \xff\n", 2), (b"name: a\x00b\n", 1), (b"- a\n- b\n", 1), (b"", 1), (b"? [a]\n: b\n", 1)],
)
def test_files_that_are_no_policy(tmp_path: Path, data: bytes, line: int) -> None:
    file = tmp_path / "policy.yaml"
    file.write_bytes(data)
    with pytest.raises(PolicyError, match=rf"policy\.yaml:{line}: "):
        load(file)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="nested too deeply"):
        load(write(tmp_path, "name: " + "[" * 5000 + "]" * 5000))


def test_a_rule_for_a_stage_its_checker_never_sees(tmp_path: Path) -> None:
    text = GOOD.replace("    timeout: 250ms", "    stages: [input]").replace("    stage: output", "    stage: [output]")
    with pytest.raises(PolicyError, match=r":11: checker 'words' does not look at output"):
        load(write(tmp_path, text))


CHILD = """\
name: child
version: "1"
extends: ../policy.yaml
rules:
  - {id: two, checker: words, action: annotate}
  - {id: three, checker: more, action: review}
checkers:
  more: {use: sample-words, params: {words: [z]}}
otherwise: annotate
"""


def test_extends_merges_by_name_and_id(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "child").mkdir()
    policy = load(write(tmp_path / "child", CHILD))
    assert (policy.name, policy.on_error, policy.otherwise) == ("child", Action.BLOCK, Action.ANNOTATE)
    assert [checker.name for checker in policy.checkers] == ["words", "more"]
    assert [(rule.id, rule.action) for rule in policy.rules] == [
        ("one", Action.REDACT),
        ("two", Action.ANNOTATE),
        ("three", Action.REVIEW),
    ]


def test_a_mistake_in_a_parent_is_named_there(tmp_path: Path) -> None:
    parent = write(tmp_path, GOOD.replace("threshold: 0.7", "threshold: 7"))
    (tmp_path / "child").mkdir()
    with pytest.raises(PolicyError) as caught:
        load(write(tmp_path / "child", CHILD))
    assert f"{parent.name}:13: rules.0.threshold" in str(caught.value)


def test_extends_in_a_circle(tmp_path: Path) -> None:
    write(tmp_path, "name: a\nversion: '1'\nextends: b.yaml\n")
    write(tmp_path, "name: b\nversion: '1'\nextends: policy.yaml\n", "b.yaml")
    with pytest.raises(PolicyError, match="circle"):
        load(tmp_path)


def test_extends_of_nothing_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"policy\.yaml:3: there is no policy at nowhere"):
        load(write(tmp_path, "name: a\nversion: '1'\nextends: nowhere\n"))


def test_the_digest_covers_the_effective_policy(tmp_path: Path) -> None:
    first = load(write(tmp_path, GOOD))
    assert load(write(tmp_path, "# a comment\n" + GOOD)).digest == first.digest
    assert load(write(tmp_path, GOOD.replace("0.7", "0.71"))).digest != first.digest
    assert load(write(tmp_path, GOOD.replace("on_error: block\n", ""))).digest != first.digest
    assert load(write(tmp_path, GOOD + "otherwise: allow\n")).digest == first.digest  # the default, written out


def test_the_recorded_document_gives_the_same_policy(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    assert from_document(document(load_model(file))) == load(file)


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = resolve("default")
    assert resolve("policies/default") == shipped  # also where there is no checkout around
    with pytest.raises(ConfigError, match=r"one of: .*default"):
        resolve("nowhere")
    write(tmp_path, GOOD)
    assert resolve(tmp_path) == tmp_path / "policy.yaml"


def test_places(tmp_path: Path) -> None:
    found = read(write(tmp_path, GOOD))
    assert found.place(("rules", 1)).line == 16
    assert found.place(("rules", 1, "no", "such")).line == 16


def test_a_policy_as_plain_data_is_checked_alike() -> None:
    with pytest.raises(PolicyError, match="unknown key 'rule'; did you mean 'rules'"):
        load_model({"name": "a", "version": "1", "rule": []})
    with pytest.raises(PolicyError, match="no checker 'x' is declared"):
        load_model({"name": "a", "version": "1", "rules": [{"id": "r", "checker": "x", "action": "allow"}]})


def test_what_takes_the_place(tmp_path: Path) -> None:
    plain = load(write(tmp_path, GOOD))
    assert plain.rules[0].operator == LABEL
    assert "operator" not in document(load_model(write(tmp_path, GOOD)))["rules"][0]  # and so the digest of before
    text = GOOD.replace("action: redact", "action: redact\n    operator: {name: mask, chars_to_mask: 4}")
    model = load_model(write(tmp_path, text))
    assert document(model)["rules"][0]["operator"] == {
        "name": "mask", "masking_char": "*", "chars_to_mask": 4, "from_end": False,
    }  # fmt: skip
    policy = from_document(document(model))
    assert policy.rules[0].operator == Operator("mask", chars_to_mask=4)
    assert policy.digest == load(tmp_path / "policy.yaml").digest != plain.digest
    assert load(write(tmp_path, GOOD.replace("redact", "redact\n    operator: hash"))).rules[0].operator.name == "hash"


def test_what_outcomes_wait_for(tmp_path: Path) -> None:
    plain = load(write(tmp_path, GOOD))
    spoken = load(write(tmp_path, GOOD + "record: {wait_for: {block: sequenced}}\n"))
    assert plain.acks == spoken.acks == {}
    assert plain.digest == spoken.digest  # policies of before keep their digest
    model = load_model(write(tmp_path, GOOD + "record: {wait_for: {block: witnessed, review: sequenced}}\n"))
    policy = from_document(document(model))
    assert policy.acks == {Action.BLOCK: Ack.WITNESSED}
    assert policy.digest != plain.digest
    with pytest.raises(PolicyError, match=r"policy\.yaml:.*did you mean 'block'"):
        load(write(tmp_path, GOOD + "record: {wait_for: {blok: witnessed}}\n"))
    with pytest.raises(PolicyError, match="witnessed"):
        load(write(tmp_path, GOOD + "record: {wait_for: {block: published}}\n"))
    fast = GOOD + "record:\n  wait_for:\n    allow: durable\n"
    assert load(write(tmp_path, fast)).acks == {Action.ALLOW: Ack.DURABLE}
    line = fast.count("\n") + 1
    with pytest.raises(
        PolicyError, match=rf":{line}: record.wait_for.review: .*opens a case.*say sequenced or witnessed"
    ):
        load(write(tmp_path, fast + "    review: durable\n"))


def test_a_category_that_the_checker_never_reports_is_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        'name: own\nversion: "1"\ncheckers: {toxicity: {}, rude: {use: toxicity}}\nrules:\n'
        "  - {id: a, checker: toxicity, category: [hate, threat], action: block}\n"
        "  - {id: b, checker: rude, category: [harassment,\n      harasment], action: block}\n",
        "utf-8",
    )
    with pytest.raises(
        PolicyError, match=r"policy.yaml:7: .*'rude' knows no category 'harasment'; did you mean 'harassment'\?"
    ):
        load(path)
