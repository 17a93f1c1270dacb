"""The method appendix of the page: formulas and where they are from."""

from __future__ import annotations

from guard.fairness.analysis import FEW, FOUR_FIFTHS, RARE, SMALL_EFFECT, SUPPRESSED
from guard.fairness.tables import table

_ROWS = (
    ("Figure of a group", "p = Σ x / n over its rows with a value; the definition of fairlearn's MetricFrame", "fairlearn"),
    ("Interval of a rate", "(p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)", "Wilson 1927"),
    ("Interval of a mean", "x̄ ± t(n − 1) s / √n", "Student 1908"),
    ("Difference of rates", "d − √((p₁ − l₁)² + (u₂ − p₂)²) to d + √((u₁ − p₁)² + (p₂ − l₂)²), l and u after Wilson",
     "Newcombe 1998, method 10"),
    ("Difference of means", "d ± t(ν) √(s₁²/n₁ + s₂²/n₂), ν after Satterthwaite", "Welch 1947"),
    ("Ratio of rates", "all φ for which the score statistic of p₁ = φ p₂ is at most z²", "Koopman 1984"),
    ("Test of two rates", "permutation of the labels: Σ of hypergeometric probabilities of differences at least as large; exact",
     "Fisher 1935"),
    ("Test of many rates", "permutation test of Pearson's statistic, p = (1 + reached) / (1 + draws)", "Phipson and Smyth 2010"),
    ("Test of many means", "Welch's analysis of variance", "Welch 1951"),
    ("Correction", "sorted p-values, times the number of those not yet passed, over all comparisons of the report", "Holm 1979"),
    ("Largest gap", "observed maximum less minimum; its interval from the pairs' intervals d ± c·se, where c is the 95 % point of the"
     " largest |d* − d| / se* in parametric bootstrap draws of the groups' sums", "Efron and Tibshirani 1993"),
    ("Equalised odds", "the larger of the gaps in true and in false positive rates", "Hardt, Price, Srebro 2016"),
    ("Impact ratio", "a group's rate over the highest rate of a group that is judged", "29 CFR 1607.4 D; 6 RCNY § 5-301"),
    ("Detectable", "(z of 1 − α/2m + z of 0.8) · standard error, m comparisons", "Cohen 1988"),
    ("Control limits", "overall difference ± 3 standard errors of the period", "Shewhart 1931"),
)  # fmt: skip

METHOD = (
    "<p>A comparison <b>fails</b> where its 95 % interval lies beyond the tolerated difference and its p-value after Holm is at most"
    " 0.05; it <b>passes</b> where the interval lies within; else it is <b>inconclusive</b>. Tolerated for means are"
    f" {SMALL_EFFECT} standard deviations. The reference is the largest group, unless it was named. Figures of fewer than"
    f" {SUPPRESSED} values are withheld; fewer than {FEW} are not judged. For impact ratios the line is {FOUR_FIFTHS}, and"
    f" categories under {100 * RARE:g} % of the data are not judged.</p>"
    + table("Formulas and sources.", ["What", "How", "Source"], _ROWS, css="words")
)
