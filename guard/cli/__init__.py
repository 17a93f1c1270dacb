"""The command line. One file for each group of commands; libraries are imported inside the commands that need them.

Exit codes: 0 released or done · 1 something failed, or evidence does not hold · 2 usage or configuration error · 3 held for
review · 4 blocked. Results go to stdout, talk to stderr.
"""

from __future__ import annotations

import sys

import typer

from guard.cli import (
    audit,
    calibrate,
    check,
    corpus,
    dashboard,
    db,
    demo,
    erasure,
    evidence,
    fairness,
    inspect,
    policy,
    review,
    run,
    serve,
    stamp,
)
from guard.errors import CallerError, GuardError

app = typer.Typer(
    name="guard",
    help="Check, decide, stamp and record every generation.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
demo.register(app)
run.register(app)
check.register(app)
stamp.register(app)
calibrate.register(app)
inspect.register(app)
dashboard.register(app)
serve.register(app)
evidence.register(audit.app)
erasure.register(audit.app)
app.add_typer(policy.app, name="policy")
app.add_typer(review.app, name="review")
app.add_typer(audit.app, name="audit")
app.add_typer(corpus.app, name="corpus")
app.add_typer(fairness.app, name="fairness")
app.add_typer(db.app, name="db")


def main() -> None:
    """Run the command line; our own errors become one line on stderr."""
    try:
        app()
    except CallerError as error:
        print(f"guard: {error}", file=sys.stderr)
        sys.exit(2)
    except GuardError as error:
        print(f"guard: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output went away
        sys.stderr.close()
        sys.exit(1)
