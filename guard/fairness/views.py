"""The same results as three readers ask for them: New York City's audits, the EU's technical documentation, model cards.

Sources: 6 RCNY § 5-300 to 5-304 (rules on Local Law 144 of 2021); Regulation (EU) 2024/1689, Annex IV; M. Mitchell et al.,
"Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

from guard.fairness import words
from guard.fairness.analysis import FEW, FOUR_FIFTHS, RARE, SUPPRESSED, Impact
from guard.fairness.charts import text
from guard.fairness.report import Report
from guard.fairness.tables import chip, table

_MOST = 40


def local_law_144(report: Report) -> str:
    """Selection rates and impact ratios by category and intersection, with the counts of what is left out."""
    parts = []
    titles = {result.measure.name: result.measure.title for result in report.analysis.results}
    for (measure, dimension), lines in report.analysis.impacts.items():
        shown = sorted(sorted(lines, key=lambda it: -it.n)[:_MOST], key=lambda it: it.group)
        if not shown:
            continue
        rare = sum(line.rare for line in lines)
        caption = (
            f"{text(titles[measure])} by {text(words.dimension(dimension))}."
            f" {words.plural(rare, 'category' if rare == 1 else 'categorie')} under {100 * RARE:g} % of the data, not judged."
        )
        heads = ["Category", "Applicants", "Selected", "Selection rate", "Impact ratio", "95 % interval", "Four-fifths"]
        parts.append(table(caption, heads, [_impact(line) for line in shown]))
    if not parts:
        return ""
    missing = ", ".join(
        f"{words.count(number)} for {text(words.dimension(name))}" for name, number in report.undeclared.items()
    )
    return (
        "<p>The impact ratio is a group's selection rate over that of the most selected group. Below"
        f" {FOUR_FIFTHS} it is taken as a sign of adverse impact (29 CFR 1607.4 D); whether it lies below is judged by its interval."
        " The law applies to automated employment decision tools; elsewhere read the table as the same arithmetic on releases."
        f" Rows in no category: {missing}.</p>" + "".join(parts)
    )


def _impact(line: Impact) -> list[str]:
    between = "–" if line.low is None else f"{line.low:.2f} to {'∞' if line.high is None else f'{line.high:.2f}'}"
    return [
        text(words.group(line.group)),
        words.count(line.n),
        words.count(line.hits),
        f"{100 * line.rate:.1f} %",
        "–" if line.ratio is None else f"{line.ratio:.2f}",
        between if line.verdict != "most favoured" else "–",
        chip("under 2 %" if line.rare and line.verdict == "not judged" else line.verdict),
    ]


def annex_iv(report: Report) -> str:
    """What Annex IV asks for and this report can fill in; the rest stays with the provider."""
    counts = report.verdicts
    rows = [
        ("2 (g) metrics for potentially discriminatory impacts", _metrics(report)),
        ("2 (g) validation and testing data", f"{text(report.source.what)}: {words.plural(report.rows, 'row')}, digest"
         f" <code>{text(report.source.digest)}</code>; groups as declared by callers."),
        ("2 (g) test logs and reports, dated and signed", f"Report <code>{text(report.id)}</code> of {text(report.created)}; its"
         " digest is in the record and in a signed statement beside the file."),
        ("3 accuracy for specific persons or groups", f"{counts['fail']} comparisons fail, {counts['inconclusive']} are"
         f" inconclusive, {counts['pass']} pass; every group's figure stands under Results."),
        ("3 foreseeable unintended outcomes and sources of risk", text(words.headline(report))),
        ("4 appropriateness of the metrics", "Rates and means are compared between declared groups, not between people in the"
         " same situation; see What this report cannot say."),
        ("9 post-market monitoring", f"Repeat with the command at the end; {words.count(len(report.analysis.drifts))} series"
         " over time with control limits."),
    ]  # fmt: skip
    return table("Points of Annex IV that these results speak to.", ["Point", "From this report"], rows, css="words")


def model_card(report: Report) -> str:
    """The sections of a model card that are about groups."""
    models = ", ".join(text(name) for (name, _), _ in report.source.models.most_common(5)) or "not named by the data"
    smallest = f"Groups below {SUPPRESSED} values are withheld, below {FEW} not judged."
    dimensions = [words.dimension(name) for name in report.undeclared]
    rows = [
        ("Model details", f"{models}; policies: " + (", ".join(
            text(f"{name} {version}") for (name, version, _), _ in report.source.policies.most_common(5)) or "none named") + "."),
        ("Factors", text(f"{', '.join(report.attributes)}: declared, never inferred.")),
        ("Metrics", _metrics(report)),
        ("Evaluation data", f"{text(report.source.what)}, {words.plural(report.rows, 'row')}."),
        ("Quantitative analyses", text(f"By {'; by '.join(dimensions)}: {words.headline(report)}")),
        ("Caveats and recommendations", text(f"{smallest} {' '.join(report.source.limits)}")),
    ]  # fmt: skip
    return table("Sections of a model card that these results fill.", ["Section", "Text"], rows, css="words")


def _metrics(report: Report) -> str:
    titles = dict.fromkeys(result.measure.title for result in report.analysis.results)
    return text("; ".join(titles)) + "."
