"""The paths that machines ask every few seconds."""

METRICS_PATH = "/metrics"
"""Where Prometheus looks by default."""
_HEALTH = "/health"
_BELOW = f"{_HEALTH}/"
_EXACT = frozenset({_HEALTH, METRICS_PATH})


def is_probe(path: str) -> bool:
    """Whether a path is a health check, and not merely one that begins with these letters, or the metrics."""
    # In one go: every request asks.
    return path in _EXACT or path.startswith(_BELOW)
