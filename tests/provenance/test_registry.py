"""What was released is found again when its bytes have changed, and nothing that was copied passes for it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil
from sqlalchemy import delete, insert, select, update

import guard
from guard import Guard, settings
from guard.audit import names
from guard.audit.erase import Why, erase_entries, erase_subject
from guard.errors import ConfigError
from guard.provenance import jumbf
from guard.provenance.inspector import Inspector
from guard.provenance.verdict import Inspection, Reason, Verdict
from guard.store.engine import reading, writing
from guard.store.tables import LogEntry, LogName
from guard.types import Image, Text
from tests.pictures import encoded, scene
from tests.provenance import spread
from tests.provenance.test_fingerprint import LONG, tune, wav, waves

KEY = 11
POLICY = {"name": "registry", "version": "1", "checkers": {}}
WHY = Why("kim", "a letter asks")
IDS = {"first": b"\x01\x9a\x33\x70\x5c\xe1", "second": b"\xfe\x11\x08\x6b\x90\x27", "bare": b"\x55\xaa\x0f\xf0\x3c\xc3"}
PICTURES = {name: scene(number, (512, 512)) for number, name in enumerate(IDS)}


def guarded(folder: Path) -> Guard:
    return Guard(POLICY, store=f"sqlite:///{folder / 'guard.db'}", home=folder / "home")


@pytest.fixture
def g(tmp_path: Path) -> Iterator[Guard]:
    with guarded(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Image]]:
    """A record of two released pictures; the pictures, by prompt."""
    folder, found = tmp_path_factory.mktemp("gallery"), {}
    with guarded(folder) as made:
        painter = made.wrap(spread.Marked(PICTURES, IDS, KEY))
        for name in ("first", "second"):
            outcome = painter(name, id=name, requester=f"{name}@example.org")
            assert isinstance(outcome.content, Image)
            found[name] = outcome.content
    return folder, found


@pytest.fixture
def painted(gallery: tuple[Path, dict[str, Image]], tmp_path: Path) -> dict[str, Image]:
    """The pictures, whose record the guard of the test has. Ask for it before `g`."""
    shutil.copytree(gallery[0], tmp_path, dirs_exist_ok=True)
    return gallery[1]


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., Inspection]:
    """Inspects with the small detector of these tests."""
    detector = spread.Detector(KEY)

    def inspect(data: bytes | Image, **options: Any) -> Inspection:
        chosen = settings.load(store=f"sqlite:///{tmp_path / 'guard.db'}", home=tmp_path / "home")
        with Inspector.open(chosen, detect=detector) as inspector:
            return inspector.inspect(data if isinstance(data, bytes) else data.data, **options)

    return inspect


def opened(image: Image) -> Any:
    return Pil.open(io.BytesIO(image.data)).convert("RGB")


def resaved(picture: Any, size: int = 400, quality: int = 60) -> bytes:
    """As a chat program leaves it: another size, compressed, without its credential."""
    return encoded(picture.resize((size, size)), "JPEG", quality=quality).data


def statuses(found: Inspection) -> dict[str, str]:
    return {each.layer: each.status for each in found.evidence}


def seq_of(g: Guard, name: str) -> int:
    entry = g.ledger.reader.generation(name)
    assert entry is not None
    return entry.seq


# --- pictures ------------------------------------------------------------------------------------------------------------


def test_a_mark_that_names_its_own_picture_recovers_the_entry_with_its_proof(
    painted: dict[str, Image], g: Guard, look: Callable[..., Inspection]
) -> None:
    for name, image in painted.items():
        found = look(resaved(opened(image)))
        assert (found.verdict, found.reason) == (Verdict.RECOVERED, None)
        assert statuses(found) == {"credential": "none", "watermark": "recovered", "record": "none"}
        assert found.entry is not None
        assert (found.entry.seq, found.entry.request_id, found.entry.proved) == (seq_of(g, name), name, True)
        assert found.entry.receipt.proof
    assert look(painted["first"]).verdict is Verdict.TRUSTED


def test_a_mark_on_another_picture_is_called_out(painted: dict[str, Image], look: Callable[..., Inspection]) -> None:
    residual = (
        np.asarray(opened(painted["first"]), float) - np.asarray(PICTURES["first"].convert("RGB"), float) * 0.8 - 25
    )
    for seed in range(20, 24):
        other = np.asarray(scene(seed, (512, 512)), float) * 0.8 + 25 + residual
        forged = Pil.fromarray(np.clip(other, 0, 255).astype("u1"))
        found = look(resaved(forged, 512, 80))
        assert (found.verdict, found.reason) == (Verdict.CONTRADICTED, Reason.TRANSPLANTED)
        assert found.public()["reason"] == "transplanted"
    # One that is copied onto another picture that was released here too.
    both = np.asarray(opened(painted["second"]), float) + residual - spread.residual(IDS["second"], KEY)[:, :, None]
    found = look(resaved(Pil.fromarray(np.clip(both, 0, 255).astype("u1")), 512, 80))
    assert (found.verdict, found.reason) == (Verdict.CONTRADICTED, Reason.TRANSPLANTED)


def test_a_mark_that_names_nothing_or_what_was_erased_proves_nothing(
    painted: dict[str, Image], g: Guard, look: Callable[..., Inspection]
) -> None:
    stranger = spread.embed(PICTURES["bare"], IDS["bare"], KEY)
    found = look(stranger)
    assert (found.verdict, statuses(found)["watermark"], found.entry) == (Verdict.PROBABLE, "unverified", None)
    erase_subject(g.ledger.log, g.ledger.log.vault.pseudonym("first@example.org"), WHY)
    found = look(resaved(opened(painted["first"])))
    assert (found.verdict, statuses(found)["watermark"], found.entry) == (Verdict.PROBABLE, "unverified", None)
    assert statuses(found)["fingerprint"] == "none"
    assert look(resaved(opened(painted["second"]))).verdict is Verdict.RECOVERED


def test_without_its_mark_a_picture_is_probably_one_that_looks_like_it(
    painted: dict[str, Image], g: Guard, look: Callable[..., Inspection]
) -> None:
    picture = opened(painted["second"])
    for changed in (
        picture.resize((64, 64)).resize((300, 300)),
        picture.rotate(90),
        picture.transpose(Pil.Transpose.FLIP_LEFT_RIGHT),
    ):
        found = guard.inspect(encoded(changed, "JPEG", quality=70), home=g.settings.home, store=g.settings.store_url)
        assert (found.verdict, statuses(found)) == (
            Verdict.PROBABLE,
            {"credential": "none", "watermark": "none", "record": "none", "fingerprint": "similar"},
        )
        assert found.entry is not None
        assert (found.entry.seq, found.entry.proved) == (seq_of(g, "second"), True)
    found = look(encoded(scene(99, (512, 512))))
    assert (found.verdict, found.entry) == (Verdict.NO_EVIDENCE, None)


def test_what_takes_long_is_looked_for_where_nothing_else_named_an_entry(painted: dict[str, Image], g: Guard) -> None:
    detector = spread.Detector(KEY)
    stranger = encoded(scene(98, (512, 512))).data
    with Inspector.open(g.settings, detect=detector) as inspector:
        for data, search, calls in (
            (painted["first"].data, None, [False]),
            (resaved(opened(painted["first"])), None, [False]),
            (stranger, None, [False, True]),
            (stranger, False, [False]),
            (stranger, True, [True]),
        ):
            detector.calls.clear()
            inspector.inspect(data, search=search)
            assert detector.calls == calls


def test_a_tampered_picture_still_leads_to_what_it_was(
    painted: dict[str, Image], g: Guard, look: Callable[..., Inspection]
) -> None:
    data = bytearray(painted["first"].data)
    at = data.rindex(b"IDAT") + 400
    data[at : at + 4] = b"\0\0\0\0"  # the checksum no longer fits either: Pillow refuses it, and the credential does
    assert look(bytes(data)).reason is Reason.TAMPERED
    found = look(painted["first"].data + b"more")
    assert (found.verdict, found.reason) == (Verdict.CONTRADICTED, Reason.TAMPERED)
    assert found.entry is not None
    assert found.entry.seq == seq_of(g, "first")


# --- texts and sounds ----------------------------------------------------------------------------------------------------


def test_an_edited_text_and_a_quoted_part_are_probably_the_released_one(g: Guard) -> None:
    made = g.wrap(lambda prompt: LONG if prompt == "long" else "Something else altogether, of a few words.")
    made("short"), made("long", id="long")
    edited = LONG.replace(LONG[600:640], "quite another thing").upper()
    for changed in (edited, LONG[200:1400].replace(" ", "\n"), f"Somebody wrote: {LONG[:700]}"):
        found = guard.inspect(changed, home=g.settings.home, store=g.settings.store_url)
        assert (found.verdict, statuses(found)["fingerprint"]) == (Verdict.PROBABLE, "similar")
        assert found.entry is not None
        assert found.entry.seq == seq_of(g, "long")
    for other in ("Something else altogether.", "word " * 300, ""):
        assert guard.inspect(other, home=g.settings.home, store=g.settings.store_url).verdict is Verdict.NO_EVIDENCE
    assert guard.inspect(LONG, home=g.settings.home, store=g.settings.store_url).verdict is Verdict.RECOVERED


def test_a_sound_is_found_by_a_part_of_it(g: Guard) -> None:
    g.wrap(lambda _: tune(3))("hum", id="hum")
    part = wav(waves(3)[20_000:110_000] * 0.3)
    found = guard.inspect(part, home=g.settings.home, store=g.settings.store_url)
    assert (found.verdict, found.kind, statuses(found)["fingerprint"]) == (Verdict.PROBABLE, "audio", "similar")
    assert guard.inspect(tune(4), home=g.settings.home, store=g.settings.store_url).verdict is Verdict.NO_EVIDENCE


def test_an_index_takes_in_what_was_added_and_forgets_what_was_erased(g: Guard) -> None:
    made = g.wrap(lambda prompt: f"{prompt} {LONG}")
    with Inspector.open(g.settings) as inspector:
        registry = inspector.registry
        assert registry is not None
        assert registry.refresh() == 0
        for count in (1, 2):
            made(f"number {count}", id=str(count))
            assert registry.refresh() == 1
        assert {hit.entry.request_id for hit in registry.similar(Text(LONG))} == {"1", "2"}
        erase_entries(g.ledger.log, WHY, request_id="1")
        assert [hit.entry.request_id for hit in registry.similar(Text(LONG))] == ["2"]
        assert registry.refresh() == 0


def test_what_was_held_or_only_checked_is_not_told_as_released(g: Guard) -> None:
    g.check(LONG)
    assert guard.inspect(LONG.upper(), home=g.settings.home, store=g.settings.store_url).verdict is Verdict.NO_EVIDENCE


# --- names ---------------------------------------------------------------------------------------------------------------


def table(g: Guard) -> set[tuple[str, str]]:
    with reading(g.ledger.engine) as connection:
        return {(name, entry) for name, entry in connection.execute(select(LogName.name, LogName.id))}


def test_names_are_those_of_the_leaves_and_are_made_again_from_them(painted: dict[str, Image], g: Guard) -> None:
    before = table(g)
    reader = g.ledger.reader
    for name, image in painted.items():
        [entry] = reader.named(names.mark_name(IDS[name].hex()))
        label = jumbf.active_label(image.data)
        assert label is not None
        assert (entry.request_id, reader.named(names.manifest_name(label))) == (name, [entry])
        assert set(entry.names) == {names.mark_name(IDS[name].hex()), names.manifest_name(label)}
    assert len(before) == 4
    with writing(g.ledger.engine) as connection:
        connection.execute(delete(LogName))
    assert names.rebuild(g.ledger.engine) == 4
    assert table(g) == before
    erase_entries(g.ledger.log, WHY, request_id="first")
    assert {name for name, _ in table(g)} == set(reader.named(names.mark_name(IDS["second"].hex()))[0].names)
    assert names.rebuild(g.ledger.engine) == 2


def test_a_row_that_no_leaf_bears_out_is_not_believed(
    painted: dict[str, Image], g: Guard, look: Callable[..., Inspection]
) -> None:
    mark = names.mark_name(IDS["first"].hex())
    with writing(g.ledger.engine) as connection:
        wrong = select(LogEntry.id).where(LogEntry.request_id == "second").scalar_subquery()
        connection.execute(insert(LogName).values(name=mark, id=wrong))
    assert look(resaved(opened(painted["first"]))).verdict is Verdict.RECOVERED
    with writing(g.ledger.engine) as connection:
        connection.execute(delete(LogName).where(LogName.name == mark, LogName.id != wrong))
        connection.execute(update(LogName).where(LogName.name == mark).values(id=wrong))
    found = look(resaved(opened(painted["first"])))
    assert statuses(found)["watermark"] == "unverified"


@pytest.mark.parametrize(
    "fields",
    [{}, {"stamp": None}, {"stamp": []}, {"stamp": {"layers": 7}}, {"stamp": {"layers": [None, 7, {}]}},
     {"stamp": {"layers": [{"status": "failed", "detail": {"mark_id": "0"}}]}},
     {"stamp": {"layers": [{"status": "applied", "detail": {"mark_id": 7, "manifest_id": "x" * 300}}]}}],
)  # fmt: skip
def test_a_malformed_leaf_has_no_names(fields: dict[str, Any]) -> None:
    assert names.names_of(fields) == ()


# --- what strangers are told -----------------------------------------------------------------------------------------------


def test_the_public_answer_has_classes_and_proofs_only(
    painted: dict[str, Image], g: Guard, look: Callable[..., Inspection]
) -> None:
    found = look(resaved(opened(painted["first"])))
    inside, public = found.data(), found.public()
    assert "likeness" in str(inside)
    assert IDS["first"].hex() in str(inside)
    for secret in ("likeness", "p_value", "z_score", IDS["first"].hex(), "request_id"):
        assert secret not in str(public)
    record = public["record"]
    assert isinstance(record, dict)
    assert (record["entry"], record["proved"]) == (seq_of(g, "first"), True)


def test_a_record_that_was_changed_names_nothing(
    painted: dict[str, Image], g: Guard, look: Callable[..., Inspection]
) -> None:
    seq = seq_of(g, "first")
    with writing(g.ledger.engine) as connection:
        connection.exec_driver_sql("DROP TRIGGER log_entry_no_update")
        leaf = connection.execute(select(LogEntry.leaf).where(LogEntry.seq == seq)).scalar_one()
        changed = leaf.replace(b'"model":"painter"', b'"model":"another"')
        assert changed != leaf
        connection.execute(update(LogEntry).where(LogEntry.seq == seq).values(leaf=changed))
    found = look(resaved(opened(painted["first"])))
    assert (found.verdict, statuses(found)["watermark"], found.entry) == (Verdict.NO_EVIDENCE, "unproved", None)


def test_files_are_read_with_what_lies_beside_them(g: Guard, tmp_path: Path) -> None:
    outcome = g.wrap(lambda _: LONG)("say")
    assert outcome.stamp is not None
    path = tmp_path / "answer.txt"
    path.write_text(LONG)
    found = guard.inspect(path, home=g.settings.home, store=g.settings.store_url)
    assert (found.name, found.verdict) == ("answer.txt", Verdict.RECOVERED)
    path.with_name("answer.txt.stamp.json").write_text(outcome.stamp.manifest or "")
    assert guard.inspect(path, home=g.settings.home, store=g.settings.store_url).verdict is Verdict.TRUSTED
    path.with_name("answer.txt.stamp.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        guard.inspect(path, home=g.settings.home)
    with pytest.raises(ConfigError, match="cannot read"):
        guard.inspect(tmp_path / "missing", home=g.settings.home)
    assert guard.inspect(b"\xff\x00", home=tmp_path / "nothing").verdict is Verdict.NO_EVIDENCE
    assert not (tmp_path / "nothing").exists()
