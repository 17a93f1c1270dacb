"""Whether groups are treated differently, how sure that is, and a report that says so."""
