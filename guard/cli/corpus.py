"""`guard corpus`: works that must not be recited, indexed; texts and models compared with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard import settings
from guard.cli.options import HomeOption, JsonOption, read_text
from guard.cli.show import harmless, print_json, progress_bar

if TYPE_CHECKING:
    from guard.corpus.index import Corpus

app = typer.Typer(
    help="Index protected works, and find what was copied from them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the corpus, or a path with a slash.")]


@app.command()
def build(
    name: Name,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders of works: text or code in UTF-8.")],
    licence: Annotated[str, typer.Option(help="Licence of these works; a policy may allow it.")] = "",
    run: Annotated[
        int | None, typer.Option(help="Letters and digits from which on every copy is found (default 150).")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a corpus of works, or add works to one. Safe to repeat: what is there already is not added again."""
    from guard.corpus.index import build as add
    from guard.corpus.index import folder_of

    folder = folder_of(name, settings.load(home=home).home)
    with progress_bar("indexing") as progress:
        added = add(folder, paths, licence=licence, run=run, progress=progress)
    for path, why in added.skipped:
        typer.echo(harmless(f"left out: {path} {why}"), err=True)
    if as_json:
        skipped = [{"path": path, "why": why} for path, why in added.skipped]
        print_json({"works": added.works, "characters": added.characters, "known": added.known, "skipped": skipped})
        return
    typer.echo(
        f"added {added.works} works with {added.characters} letters and digits; {added.known} were there already,"
        f" {len(added.skipped)} left out"
    )


@app.command()
def show(name: Name, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """What a corpus holds, by licence."""
    corpus = _corpus(name, home)
    works = list(corpus.works)
    licences = Counter(work.licence for work in works)
    text, prints = (sum(segment.sizes[at] for segment in corpus.segments) for at in (0, 1))
    if as_json:
        print_json(
            {"run": corpus.run, "works": len(works), "bytes": text, "fingerprints": prints, "licences": licences}
        )
        return
    typer.echo(
        f"{len(works)} works, {text} bytes of letters and digits, {prints} fingerprints, {len(corpus.segments)} segments"
    )
    typer.echo(f"every copy of {corpus.run} letters and digits or more is found")
    for licence, count in sorted(licences.items()):
        typer.echo(harmless(f"{licence or 'no licence named'}: {count} works"))


@app.command()
def find(
    name: Name,
    file: Annotated[str, typer.Argument(help="The text; `-` reads stdin.")] = "-",
    min_chars: Annotated[int | None, typer.Option(help="Shortest copy to report, in letters and digits.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what a text has copied. Exit code 0: nothing; 3: something."""
    copies = _corpus(name, home).find(read_text(file), min_chars)
    if as_json:
        print_json([
            {"start": it.start, "end": it.end, "characters": it.characters, "title": it.work.title, "at": it.at,
             "licence": it.work.licence}
            for it in copies
        ])  # fmt: skip
    for it in copies if not as_json else ():
        words = f"characters {it.start} to {it.end}: {it.characters} letters and digits as in {it.work.title}"
        typer.echo(
            harmless(f"{words}, from about character {it.at} on{f' ({it.work.licence})' if it.work.licence else ''}")
        )
    if not copies and not as_json:
        typer.echo("no copy found")
    raise typer.Exit(3 if copies else 0)


@app.command()
def probe(
    model: Annotated[str, typer.Argument(help="Folder of a transformers model, or a hub id.")],
    name: Name,
    count: Annotated[int, typer.Option(help="Passages to go on from.", min=1)] = 100,
    prefix: Annotated[int, typer.Option(help="Characters of each passage.", min=1)] = 200,
    tokens: Annotated[int, typer.Option(help="Tokens to generate.", min=1)] = 128,
    seed: Annotated[int, typer.Option(help="Which passages are drawn.")] = 0,
    revision: Annotated[str | None, typer.Option(help="Commit of a hub id (40 hex digits).")] = None,
    device: Annotated[str | None, typer.Option(help="cuda or cpu; default: the GPU where there is one.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how often a model recites a corpus: greedy continuations of its passages, compared with all works."""
    from guard.corpus.probe import probe as run
    from guard.generators.text import TextGenerator
    from guard.models import load_text
    from guard.types import Request, Text

    corpus = _corpus(name, home)
    generator = TextGenerator(load_text(model, revision=revision, device=device))

    def generate(prompt: str) -> str:
        params = {"max_new_tokens": tokens, "temperature": 0}
        made = generator.generate(Request(Text(prompt), params=params))
        return made.content.text if isinstance(made.content, Text) else ""

    with progress_bar("asking") as progress:
        found = run(corpus, generate, count=count, prefix=prefix, seed=seed, progress=progress)
    if as_json:
        answers = [
            {"title": it.work.title, "at": it.at, "longest": it.longest, "copied_from": it.copied_from}
            for it in found.answers
        ]
        print_json({
            "run": found.run, "passages": len(found.answers), "recited": found.recited, "rate": found.rate,
            "interval": [found.low, found.high], "answers": answers,
        })  # fmt: skip
        return
    longest = max(found.answers, key=lambda answer: answer.longest)
    typer.echo(
        f"recited in {found.recited} of {len(found.answers)} answers: {found.rate:.1%} (95 % interval {found.low:.1%} to"
        f" {found.high:.1%}), counting copies of {found.run} letters and digits or more"
    )
    if longest.longest:
        typer.echo(harmless(f"the longest copy has {longest.longest} letters and digits, of {longest.copied_from}"))


def _corpus(name: str, home: Path | None) -> Corpus:
    from guard.corpus.index import Corpus, folder_of

    return Corpus(folder_of(name, settings.load(home=home).home))
