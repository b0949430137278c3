"""What the tests of every area share."""

import os
from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long something takes on a machine that does other things as well is no property of it.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test reads the settings it names, not those of the shell that started it."""
    from mainspring.settings import Settings

    names = {"SECRETS_DIR", *(field.upper() for field in Settings.model_fields)}
    for name in os.environ:
        if name.upper() in names or name.upper().startswith("MAINSPRING_"):
            monkeypatch.delenv(name)


@pytest.fixture
def compose() -> Callable[..., Any]:
    """Makes a factory of small services, as `build_app` wants one: `compose(router, error_format="envelope")`."""
    from mainspring.app import Application, create_app
    from mainspring.kernel import Module
    from mainspring.settings import Settings

    def factory(*routers: Any, **values: Any) -> Callable[..., Application]:
        def build(settings: Settings | None = None, **overrides: Any) -> Application:
            chosen = settings or Settings(environment="test")
            return create_app(
                "small",
                settings=chosen.model_copy(update=values),
                modules=[Module(name="small", routers=routers)],
                **overrides,
            )

        return build

    return factory


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logged may be no Unicode on purpose, and reports travel between processes as UTF-8."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report
