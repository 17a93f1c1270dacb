"""The report as one HTML file: plain words first, then figures, views for regulators, limits, method. Nothing is loaded, nothing
runs; names of groups come from strangers and are escaped."""

from __future__ import annotations

from collections.abc import Sequence

from guard.fairness import charts, views, words
from guard.fairness.analysis import SUPPRESSED, Comparison, Figure, Result
from guard.fairness.charts import Line, text
from guard.fairness.measures import Measure
from guard.fairness.method import METHOD
from guard.fairness.report import Report
from guard.fairness.style import CSS
from guard.fairness.tables import chip, table

MOST = 40  # groups of a dimension that the page shows; the JSON has them all
_SECTIONS = (
    ("words", "In plain words"),
    ("tested", "What was tested, and on whom"),
    ("results", "Results"),
    ("trends", "Over time"),
    ("law144", "As a bias audit (NYC Local Law 144)"),
    ("annex", "For technical documentation (EU AI Act, Annex IV)"),
    ("card", "For a model card"),
    ("limits", "What this report cannot say"),
    ("method", "Method"),
    ("again", "Making and checking this report again"),
)


def render(report: Report) -> bytes:
    """UTF-8 bytes of the page; the same report gives the same bytes."""
    parts = {
        "words": _plain_words(report),
        "tested": _tested(report),
        "results": _results(report),
        "trends": _trends(report),
        "law144": views.local_law_144(report),
        "annex": views.annex_iv(report),
        "card": views.model_card(report),
        "limits": "<ul>" + "".join(f"<li>{text(it)}</li>" for it in words.limits(report)) + "</ul>",
        "method": METHOD,
        "again": _again(report),
    }
    shown = [(name, title) for name, title in _SECTIONS if parts[name]]
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title in shown)
    sections = "".join(f'<section id="{name}"><h2>{title}</h2>{parts[name]}</section>' for name, title in shown)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Fairness report: {text(report.source.what)}</title><style>{CSS}</style></head><body><main>"
        f'<header><h1>Fairness report</h1><p class="meta">{text(report.source.what)} · by '
        f"{text(words.dimension(report.attributes))} · issued {text(report.created[:10])}</p></header>"
        f'{_banner(report)}<nav aria-label="Contents"><ol>{links}</ol></nav>{sections}</main></body></html>\n'
    )
    return page.encode("utf-8", "replace")


def _banner(report: Report) -> str:
    counts = report.verdicts
    tiles = [(words.count(report.rows), "rows looked at")]
    tiles += [(words.count(counts[name]), said) for name, said in (
        ("fail", "comparisons fail"), ("inconclusive", "inconclusive"), ("pass", "pass"))]  # fmt: skip
    cells = "".join(f'<div class="tile"><b>{number}</b><span>{said}</span></div>' for number, said in tiles)
    return (
        f'<div class="banner {report.verdict}"><p class="big">{text(words.headline(report))}</p>'
        f'<p class="note">Tolerated is a difference of {100 * report.options.max_gap:g} percentage points between rates.</p></div>'
        f'<div class="tiles">{cells}</div>'
    )


def _plain_words(report: Report) -> str:
    told = list(words.findings(report))
    lines = "".join(f"<li>{chip(verdict)}<span>{text(said)}</span></li>" for verdict, said in told)
    found = (
        f'<ul class="told">{lines}</ul>' if told else "<p>No difference between groups was shown in any comparison.</p>"
    )
    meanings = "".join(f"<li>{chip(name)} {text(said)}.</li>" for name, said in words.MEANINGS.items())
    return (
        "<p>Each group is compared with a reference group, for everything that was measured. Figures of some hundred people vary"
        " by chance; the interval behind each says how far, and the verdict follows from the interval:</p>"
        f"<ul>{meanings}</ul><h3>What was found</h3>{found}"
        "<p>A difference is not yet a discrimination: groups may have asked for different things. It is a reason to look."
        " What to do: read some of the outcomes behind the largest difference, find the rule that decided them, and try another"
        " threshold on the same requests before you change it.</p>"
    )


def _tested(report: Report) -> str:
    parts = []
    for dimension in dict.fromkeys(result.dimension for result in report.analysis.results):
        first = next(result for result in report.analysis.results if result.dimension == dimension)
        shown = [figure for figure in first.figures if figure.n is not None]
        total = sum(figure.n or 0 for figure in shown)
        rows = [
            [text(words.group(it.group)), _n(it), "–" if it.n is None or not total else f"{100 * it.n / total:.1f} %"]
            for it in _largest(first.figures)
        ]
        rows.append(
            [f"<i>no {text(words.dimension(dimension))} declared</i>", words.count(report.undeclared[dimension]), "–"]
        )
        caption = f"By {text(words.dimension(dimension))}; {text(first.measure.title.lower())}: {first.measure.of}.{_more(first)}"
        parts.append(table(caption, ["Group", "Values", "Share"], rows))
    measured = [[text(it.title), text(it.of), "share" if it.kind == "rate" else "mean"] for it in _measures(report)]
    parts.append(table("What was measured.", ["Measure", "Over", "As"], measured, css="words"))
    policies = [
        [text(f"{name} {version}"), f"<code>{text(digest)}</code>", words.count(number)]
        for (name, version, digest), number in report.source.policies.most_common(10)
    ]
    models = [
        [text(name), f"<code>{text(digest or '–')}</code>", words.count(number)]
        for (name, digest), number in report.source.models.most_common(10)
    ]
    if policies:
        parts.append(table("Policies that decided.", ["Policy", "Digest", "Rows"], policies, css="words"))
    if models:
        parts.append(table("Models that answered.", ["Model", "Digest of its weights", "Rows"], models, css="words"))
    return "".join(parts)


def _measures(report: Report) -> list[Measure]:
    return list(dict.fromkeys(result.measure for result in report.analysis.results))


def _results(report: Report) -> str:
    parts = []
    for measure in _measures(report):
        own = [result for result in report.analysis.results if result.measure == measure]
        if all(result.overall is None for result in own):
            parts.append(f"<h3>{text(measure.title)}</h3><p>No group has {SUPPRESSED} values or more.</p>")
            continue
        parts.append(f'<h3>{text(measure.title)}</h3><p class="note">Over {text(measure.of)}.</p>')
        parts += [_result(result) for result in own]
    parts += [_odds(report)]
    return "".join(parts)


def _result(result: Result) -> str:
    measure = result.measure
    scale, unit = (100.0, "%") if measure.kind == "rate" else (1.0, "")
    name = text(words.dimension(result.dimension))
    shown = [
        it for it in _largest(result.figures) if it.value is not None and it.low is not None and it.high is not None
    ]
    title = f"{measure.title} by {words.dimension(result.dimension)}"
    lines = [
        Line(words.group(it.group), it.value or 0.0, it.low or 0.0, it.high or 0.0, said=_said(result, it))
        for it in shown
    ]
    parts = [f"<h4>By {name}</h4>"]
    if lines:
        plot = charts.forest(lines, title=title, scale=scale, unit=unit, zero=result.overall)
        parts.append(
            f"<figure>{plot}<figcaption>Figures with 95 % intervals; the dashed line is all together.</figcaption></figure>"
        )
    compared = sorted(result.comparisons, key=lambda it: (it.p, -abs(it.difference)))[:MOST]
    if compared:
        reference = words.group(result.reference or ())
        differences = [
            Line(words.group(it.group), it.difference, it.low, it.high, it.verdict, _compared(result, it))
            for it in compared
        ]
        plot = charts.forest(
            differences,
            title=f"{title}: difference from {reference}",
            scale=scale,
            unit="percentage points" if measure.kind == "rate" else "",
            band=min(it.line for it in compared),
        )
        said = f"Difference from {text(reference)}, the reference; the shaded band is tolerated."
        parts.append(f"<figure>{plot}<figcaption>{said}</figcaption></figure>")
    rows = [
        _row(result, it, next((c for c in result.comparisons if c.group == it.group), None))
        for it in _largest(result.figures)
    ]
    heads = [
        "Group",
        "Values",
        "Figure",
        "95 % interval",
        "Difference",
        "95 % interval",
        "Ratio",
        "p (Holm)",
        "Detectable",
        "Verdict",
    ]
    parts.append(table(f"{text(measure.title)} by {name}.{_more(result)} {_gap(result)}", heads, rows))
    return "".join(parts)


def _row(result: Result, it: Figure, compared: Comparison | None) -> list[str]:
    measure = result.measure
    head = [text(words.group(it.group)), _n(it), words.figure(measure, it.value), _between(measure, it.low, it.high)]
    if it.note:
        return [*head, "–", "–", "–", "–", "–", f'<span class="note">{it.note}</span>']
    if compared is None:
        return [*head, "–", "–", "–", "–", "–", '<span class="note">reference</span>']
    low, high = (words.difference(measure, end) for end in (compared.low, compared.high))
    return [
        *head,
        words.difference(measure, compared.difference),
        f"{low} to {high}",
        "–" if compared.ratio is None else f"{compared.ratio:.2f}",
        words.chance(compared.p),
        words.difference(measure, compared.detectable).lstrip("+"),
        chip(compared.verdict),
    ]


def _gap(result: Result) -> str:
    gap = result.gap
    if gap is None:
        return "Fewer than two groups are large enough to be compared."
    size, low, high = (words.difference(result.measure, it).lstrip("+") for it in (gap.value, gap.low, gap.high))
    return (
        f"Largest gap {size} (95 %: {low} to {high}), between {text(words.group(gap.highest))} and"
        f" {text(words.group(gap.lowest))}; p that no group differs, after Holm: {words.chance(gap.p)}."
    )


def _odds(report: Report) -> str:
    rows = [
        [
            text(words.dimension(it.dimension)),
            f"{100 * it.value:.1f} pp",
            f"{100 * it.low:.1f} to {100 * it.high:.1f} pp",
        ]
        for it in report.analysis.odds
    ]
    caption = "The larger of the gaps in true and in false positive rates."
    return f"<h3>Equalised odds</h3>{table(caption, ['Groups', 'Difference', '95 % interval'], rows)}" if rows else ""


def _trends(report: Report) -> str:
    drifts = sorted(report.analysis.drifts, key=lambda it: -sum(point.out for point in it.points))[:12]
    if not drifts:
        return ""
    plots = []
    for drift in drifts:
        scale, unit = (100.0, "pp") if drift.measure.kind == "rate" else (1.0, "")
        title = f"{drift.measure.title}: {words.group(drift.group)}"
        out = sum(point.out for point in drift.points)
        said = f"{text(title)} ({out} of {len(drift.points)} beyond)" if out else text(title)
        plots.append(
            f"<figure>{charts.trend(drift, title=title, scale=scale, unit=unit)}<figcaption>{said}</figcaption></figure>"
        )
    more = len(report.analysis.drifts) - len(drifts)
    rest = f' <span class="note">{words.count(more)} further series in the JSON.</span>' if more else ""
    return (
        "<p>The difference from the reference group, period by period, in percentage points or units. The band is where chance"
        f" alone leaves it in 997 of 1000 periods while nothing changes; a triangle lies beyond.{rest}</p>"
        f'<div class="trends">{"".join(plots)}</div>'
    )


def _again(report: Report) -> str:
    source = report.source
    facts = {
        "Report": report.id,
        "Issued": report.created,
        "Data": source.digest,
        **{name: str(value) for name, value in source.facts.items() if value is not None and name != "checkpoint"},
        "Seed": str(report.options.seed),
    }
    listed = "".join(f"<dt>{text(name)}</dt><dd><code>{text(value)}</code></dd>" for name, value in facts.items())
    return (
        f"<p>The same data, seed and version give the same figures:</p><pre>{text(report.command)}</pre><dl>{listed}</dl>"
        "<p>Whether this file is the one that was issued: <code>guard inspect FILE</code> compares it with the signed statement"
        " beside it and with the record, which commits to its digest.</p>"
    )


def _largest(figures: Sequence[Figure]) -> list[Figure]:
    """The groups that the page shows: the largest, in alphabetical order."""
    kept = sorted(figures, key=lambda it: -(it.n or 0))[:MOST]
    return sorted(kept, key=lambda it: it.group)


def _more(result: Result) -> str:
    hidden = len(result.figures) - MOST
    return f" The {MOST} largest groups; {words.count(hidden)} more are in the JSON." if hidden > 0 else ""


def _n(figure: Figure) -> str:
    return f"&lt; {SUPPRESSED}" if figure.n is None else words.count(figure.n)


def _between(measure: Measure, low: float | None, high: float | None) -> str:
    return "–" if low is None else f"{words.figure(measure, low)} to {words.figure(measure, high)}"


def _said(result: Result, it: Figure) -> str:
    return f"{words.group(it.group)}: {words.figure(result.measure, it.value)} of {it.n}"


def _compared(result: Result, it: Comparison) -> str:
    return f"{words.group(it.group)}: {words.difference(result.measure, it.difference)}, {it.verdict}"
