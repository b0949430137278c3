"""The paths that machines ask every few seconds."""

METRICS_PATH = "/metrics"
"""Where Prometheus looks by default."""


def is_health(path: str) -> bool:
    """Whether a path is one of the health checks, and not merely one that begins with these letters."""
    return path == "/health" or path.startswith("/health/")


def is_probe(path: str) -> bool:
    """Whether a path is a health check or the metrics."""
    return is_health(path) or path == METRICS_PATH
