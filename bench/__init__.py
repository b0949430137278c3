"""Measurements: one command per table, interleaved runs, medians, ratios."""
