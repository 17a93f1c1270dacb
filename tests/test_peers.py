"""The bench beside other libraries: what it measures is what ran, and a peer that cannot be had says why."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guard.types import Stage
from tests.bench import peers
from tests.bench.peers import TRAP, Peer, Script, Side, Unavailable, in_this_process, ours, passages

CLEAN = "The parcel left our warehouse this morning."


@contextmanager
def running(body: str, scratch: Path) -> Iterator[Script]:
    script = Script(Peer("stand-in", "1", "", body), Path(sys.executable), scratch)
    try:
        yield script
    finally:
        script.close()


@pytest.mark.parametrize(
    "body",
    [
        "print('a banner')\nserve(lambda text: WORD in text)",
        "async def check(text): return WORD in text\nasyncio.run(serve_async(check))",
    ],
)
def test_a_script_answers_for_each_text(body: str, tmp_path: Path) -> None:
    with running(body, tmp_path) as script:
        side = Side("stand-in", "", script)
        side.prove([CLEAN])
        assert not side.problem
        side.turn([CLEAN, TRAP, CLEAN])
        assert (len(side.times), side.alarms) == (3, 1)
        assert all(0 < seconds < 1 for seconds in side.times)
        assert side.row(1.0)[-1] == "1 of 3"


def test_a_check_that_sees_nothing_gets_no_figure(tmp_path: Path) -> None:
    with running("serve(lambda text: False)", tmp_path) as script:
        side = Side("stand-in", "", script)
        side.prove([CLEAN])
        side.turn([CLEAN])
    assert side.row(1.0)[2] == "not measured: noticed nothing in the trap"


def test_a_script_that_fails_says_why(tmp_path: Path) -> None:
    with (
        running("import no_such_library", tmp_path) as script,
        pytest.raises(Unavailable, match="No module named 'no_such"),
    ):
        script([CLEAN])


def test_a_script_reaches_nobody(tmp_path: Path) -> None:
    with (
        running(
            "import urllib.request\nserve(lambda text: urllib.request.urlopen('http://192.0.2.1'))", tmp_path
        ) as script,
        pytest.raises(Unavailable, match="no network while measuring"),
    ):
        script([CLEAN])


def test_what_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "HOME", tmp_path / "a file")
    (tmp_path / "a file").touch()
    with pytest.raises(Unavailable, match="cannot be installed"):
        peers.environment(peers.PEERS[0])


def test_our_side_decides() -> None:
    ask = ours(in_this_process(Stage.OUTPUT), Stage.OUTPUT)
    times, noticed = ask([CLEAN, TRAP + CLEAN])
    assert noticed == [False, True]
    assert len(times) == 2


def test_passages_are_whole_sentences_of_a_kilobyte() -> None:
    texts = passages(20)
    assert len(set(texts)) == 20
    assert all(text.endswith(".") and 800 < len(text) <= 1000 for text in texts)
