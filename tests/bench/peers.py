"""The default text policy beside other guardrail libraries doing one trivial check each: `python -m tests.bench peers`.

Every library lives in a virtual environment of its own, made once under `.bench/` at a pinned version (their packages clash,
and none of them is ours). In each runs a small script that reads lists of texts and answers with the seconds that each took.
All sides take turns on the same texts, each of which is new to them, on one core. Who notices nothing in the trap gets no
figure; what is noticed in plain prose is counted. Telemetry is switched off, and sockets are refused besides.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from guard.isolate import Workers
from guard.plugins import build_checker
from guard.policy.decide import Context, decide
from guard.policy.load import load
from guard.types import Action, CheckResult, Item, Request, Stage, Status, Text
from tests.bench.measure import quantile
from tests.bench.texts import prose

HOME = Path(__file__).resolve().parents[2] / ".bench" / "peers"
ROUNDS, CALLS = 40, 25  # each side has so many turns of so many texts; a first turn does not count
INSTALL, ANSWER = 1800, 300  # seconds after which an installation, or a turn, is given up
WORD = "worthless"  # what the trivial checks look for
TRAP = f"Thank you for nothing, you {WORD} piece of shit. "  # what everybody must notice, ours included

Ask = Callable[
    [Sequence[str]], tuple[list[float], list[bool]]
]  # texts: seconds of each, and whether something was noticed


class Unavailable(Exception):
    """A peer that cannot be installed or run; says why."""


# What all scripts have: the line to us is standard output as it was at the start, whatever the library prints later.
_PRELUDE = """
import asyncio, json, socket, sys, time
line, sys.stdout = sys.stdout, sys.stderr
def refuse(*_, **__): raise OSError("no network while measuring")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
def answer(times, noticed): print(json.dumps([times, noticed]), file=line, flush=True)
def serve(check):
    for request in sys.stdin:
        times, noticed = [], []
        for text in json.loads(request):
            began = time.perf_counter()
            found = check(text)
            times.append(time.perf_counter() - began)
            noticed.append(bool(found))
        answer(times, noticed)
async def serve_async(check):
    for request in sys.stdin:
        times, noticed = [], []
        for text in json.loads(request):
            began = time.perf_counter()
            found = await check(text)
            times.append(time.perf_counter() - began)
            noticed.append(bool(found))
        answer(times, noticed)
"""

_GUARDRAILS_AI = """
from guardrails import Guard
from guardrails.settings import settings
from guardrails.validators import FailResult, PassResult, Validator, register_validator
settings.disable_tracing = True
@register_validator(name="bench/no-word", data_type="string")
class NoWord(Validator):
    def validate(self, value, metadata):
        return FailResult(error_message="no") if WORD in value else PassResult()
guard = Guard().use(NoWord(on_fail="noop"))
serve(lambda text: not guard.validate(text).validation_passed)
"""

_NEMO_ACTION = '''
from nemoguardrails import LLMRails, RailsConfig
config = RailsConfig.from_content(
    colang_content="""
define subflow no word
  $clean = execute look_for_word(text=$user_message)
  if not $clean
    bot refuse to respond
    stop
define bot refuse to respond
  "No."
""",
    yaml_content="models: []\\nrails:\\n  input:\\n    flows:\\n      - no word\\n",
)
async def look_for_word(text):
    return WORD not in text
rails = LLMRails(config)
rails.register_action(look_for_word)
async def check(text):
    return (await rails.check_async([{"role": "user", "content": text}])).status.value == "blocked"
asyncio.run(serve_async(check))
'''

_NEMO_REGEX = '''
from nemoguardrails import RailsConfig
from nemoguardrails.guardrails.guardrails import Guardrails
config = RailsConfig.from_content(yaml_content=f"""
models: []
rails:
  config:
    regex_detection:
      input:
        patterns: ["{WORD}"]
  input:
    flows:
      - regex check input
""")
rails = Guardrails(config, require_iorails=True)
async def check(text):
    return (await rails.check_async([{"role": "user", "content": text}])).status.value == "blocked"
asyncio.run(serve_async(check))
'''

_OPENAI_GUARDRAILS = """
from types import SimpleNamespace
from guardrails.runtime import instantiate_guardrails, load_config_bundle, run_guardrails
import guardrails.checks
bundle = load_config_bundle({"version": 1, "guardrails": [{"name": "Keyword Filter", "config": {"keywords": [WORD]}}]})
checks, context = instantiate_guardrails(bundle), SimpleNamespace(guardrail_llm=None)
async def check(text):
    results = await run_guardrails(context, text, "text/plain", checks, suppress_tripwire=True, raise_guardrail_errors=True)
    return any(result.tripwire_triggered for result in results)
asyncio.run(serve_async(check))
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A library at a version, and a script that runs one trivial check of it."""

    package: str
    version: str
    what: str
    script: str


PEERS = (
    Peer("guardrails-ai", "0.11.0", "a Guard with one validator of our own: a word", _GUARDRAILS_AI),
    Peer("nemoguardrails", "0.24.1", "LLMRails, one input rail with a Python action: a word", _NEMO_ACTION),
    Peer("nemoguardrails", "0.24.1", "IORails, its built-in regex rail on the input: a word", _NEMO_REGEX),
    Peer("openai-guardrails", "0.3.6", "run_guardrails with its keyword filter: a word", _OPENAI_GUARDRAILS),
)


@dataclass(slots=True)
class Side:
    """Who takes turns, and what the turns came to."""

    who: str
    what: str
    ask: Ask | None = None
    problem: str = ""
    times: list[float] = field(default_factory=list)
    alarms: int = 0

    def prove(self, clean: Sequence[str]) -> None:
        """A first turn that does not count; the last text of it is the trap."""
        if self.ask is not None:
            _, noticed = self.ask([*clean, TRAP + clean[0]])
            if not noticed[-1]:
                self.problem, self.ask = "noticed nothing in the trap", None

    def turn(self, texts: Sequence[str]) -> None:
        """A turn that counts."""
        if self.ask is not None:
            times, noticed = self.ask(texts)
            self.times += times
            self.alarms += sum(noticed)

    def row(self, ours: float) -> tuple[str, ...]:
        """Microseconds, and how many times as long as the first side takes."""
        if self.problem:
            return self.who, self.what, f"not measured: {self.problem}", "", "", ""
        middle, slow = statistics.median(self.times), quantile(self.times, 0.99)
        times = f"{middle / ours:.2f}" if ours else ""
        return (
            self.who,
            self.what,
            f"{middle * 1e6:,.0f}",
            f"{slow * 1e6:,.0f}",
            times,
            f"{self.alarms} of {len(self.times)}",
        )


def environment(peer: Peer) -> Path:
    """The interpreter of a peer's environment, which is made where there is none. Raises Unavailable."""
    return installed(HOME / f"{peer.package}-{peer.version}", [f"{peer.package}=={peer.version}"])


def installed(folder: Path, *wanted: Sequence[str]) -> Path:
    """The interpreter of an environment in `folder`, into which pip installs each of `wanted`. Raises Unavailable."""
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        venv = [sys.executable, "-m", "venv", "--clear", str(folder)]
        for command in (venv, *([*pip, *each] for each in wanted)):
            try:
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL)
            except subprocess.CalledProcessError as error:
                raise Unavailable(f"cannot be installed ({_last(error.stderr)})") from error
            except (OSError, subprocess.TimeoutExpired) as error:
                raise Unavailable(f"cannot be installed ({type(error).__name__})") from error
        ready.touch()
    return python


def _last(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:120] if lines else "no reason given"


class Script:
    """A peer's script as a process. Called with texts it takes its turn; raises Unavailable where it does not answer."""

    def __init__(self, peer: Peer, python: Path, scratch: Path) -> None:
        home = scratch / peer.package
        home.mkdir(exist_ok=True)
        (home / ".guardrailsrc").write_text("enable_metrics=false\nuse_remote_inferencing=false\n", "utf-8")
        self._errors = tempfile.TemporaryFile("w+", dir=scratch)  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [str(python), "-c", f"{_PRELUDE}\nWORD = {WORD!r}\n{peer.script}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=home,
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(home),
                "DO_NOT_TRACK": "1",
                "NEMO_GUARDRAILS_NO_USAGE_STATS": "1",
                "OTEL_SDK_DISABLED": "true",
                "HF_HUB_OFFLINE": "1",
                "OPENAI_API_KEY": "none",
            },
        )

    def __call__(self, texts: Sequence[str]) -> tuple[list[float], list[bool]]:
        """Seconds for each text, and whether something was noticed."""
        timer = threading.Timer(ANSWER, self._process.kill)
        timer.start()
        try:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(list(texts)) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = ""
        finally:
            timer.cancel()
        if not answer:
            self._process.wait()
            self._errors.seek(0)
            raise Unavailable(f"does not run ({_last(self._errors.read())})")
        times, noticed = json.loads(answer)
        return times, noticed

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


def ours(look: Callable[[Item], list[CheckResult]], stage: Stage) -> Ask:
    """The default policy: its checks, and the decision."""
    policy = load("default")

    def ask(texts: Sequence[str]) -> tuple[list[float], list[bool]]:
        times, noticed = [], []
        for text in texts:
            began = time.perf_counter()
            item = Item(Text(text), stage)
            decision = decide(policy, Context.of(Request(Text("hi")), item), look(item))
            times.append(time.perf_counter() - began)
            assert not decision.degraded, "a check failed"
            noticed.append(decision.action > Action.ALLOW)
        return times, noticed

    return ask


def in_this_process(stage: Stage) -> Callable[[Item], list[CheckResult]]:
    """The same checkers without processes of their own."""
    built = [
        (spec.name, build_checker(spec.use, spec.params)) for spec in load("default").checkers if stage in spec.stages
    ]

    def look(item: Item) -> list[CheckResult]:
        return [
            CheckResult(name, checker.version, item.stage, Status.OK, tuple(checker.check([item])[0]))
            for name, checker in built
            if item.content.kind in checker.kinds
        ]

    return look


def passages(count: int) -> list[str]:
    """Texts of whole sentences, of 1 kB or a little less, each other than the last."""
    texts = [prose(1000, 1000 + seed) for seed in range(count)]
    return [text[: text.rfind(".") + 1] for text in texts]


@contextlib.contextmanager
def one_core() -> Iterator[str]:
    """Keep this process, and those that it starts from now on, on one core where the system lets us."""
    if not hasattr(os, "sched_setaffinity"):
        yield "not pinned"
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield f"pinned to core {max(cores)} of {len(cores)}"
    finally:
        os.sched_setaffinity(0, cores)


def sides(scratch: Path, closing: contextlib.ExitStack) -> list[Side]:
    """Ours first, then each peer; one that cannot be had says why."""
    workers = Workers(load("default").checkers, home=scratch / "home")
    closing.callback(workers.close)

    def isolated(item: Item) -> list[CheckResult]:
        return workers.check(item.stage, [item])[0]

    found = [
        Side(
            "genguard",
            "default policy on an answer: all its checks, in processes of their own",
            ours(isolated, Stage.OUTPUT),
        ),
        Side("genguard", "default policy on a prompt, likewise", ours(isolated, Stage.INPUT)),
        Side(
            "genguard", "default policy on an answer, in one process", ours(in_this_process(Stage.OUTPUT), Stage.OUTPUT)
        ),
    ]
    for peer in PEERS:
        side = Side(f"{peer.package} {peer.version}", peer.what)
        try:
            script = Script(peer, environment(peer), scratch)
            closing.callback(script.close)
            side.ask = script
        except Unavailable as why:
            side.problem = str(why)
        found.append(side)
    return found


def main() -> None:
    """Measure all sides in turn and print the table."""
    texts = passages((ROUNDS + 1) * CALLS)
    turns = [texts[start : start + CALLS] for start in range(0, len(texts), CALLS)]
    for peer in PEERS:  # before anything is measured or pinned
        with contextlib.suppress(Unavailable):
            environment(peer)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as closing, one_core() as where:
        taking = sides(Path(folder), closing)
        load_before = os.getloadavg()[0]
        for number, turn in enumerate(turns):
            for side in taking:
                try:
                    side.prove(turn) if number == 0 else side.turn(turn)
                except Unavailable as why:
                    side.problem, side.ask = str(why), None
        load_after = os.getloadavg()[0]
    first = statistics.median(taking[0].times) if taking[0].times else 0.0
    table = Table(
        "who", "does what", "p50 µs", "p99 µs", "× ours", "alarms", title=f"peers: 1 kB of prose in turns, {where}"
    )
    for side in taking:
        table.add_row(*side.row(first))
    table.caption = f"load {load_before:.1f} before, {load_after:.1f} after; target for ours: p50 ≤ 1,000 µs"
    Console(width=170).print(table)
