"""Which service a command is about, and what is said when it cannot be found."""

from textwrap import dedent

import pytest

SAME_APP = """
    from mainspring.app import create_app
    from mainspring.settings import Settings

    def build():
        return create_app("{name}", settings=Settings())
"""


def name_of(explained: str) -> str:
    return explained.partition(" ")[0]


def test_the_service_named_in_the_nearest_pyproject_is_found_from_a_folder_below_it(cli, project, monkeypatch):
    below = project.folder / "docs" / "images"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)

    ended = cli("explain")

    assert (ended.code, name_of(ended.out)) == (0, "shop")


def test_the_option_wins_over_the_environment_and_the_environment_over_pyproject(cli, project, monkeypatch):
    for name in ("first", "second"):
        project.write(f"src/other/{name}.py", SAME_APP.format(name=name))

    monkeypatch.setenv("MAINSPRING_APP", "other.first:build")

    assert name_of(cli("explain").out) == "first"
    assert name_of(cli("--app", "other.second:build", "explain").out) == "second"


def test_modules_in_the_working_folder_are_found_without_any_pyproject(cli, project, monkeypatch):
    elsewhere = project.folder / "elsewhere"
    project.write("elsewhere/other.py", SAME_APP.format(name="loose"))
    (project.folder / "pyproject.toml").unlink()
    monkeypatch.chdir(elsewhere)

    assert name_of(cli("--app", "other:build", "explain").out) == "loose"


def test_no_service_named_is_a_usage_error_that_shows_every_way_to_name_one(cli, project):
    project.write("pyproject.toml", "")

    ended = cli("routes")

    assert ended.code == 2
    assert all(way in ended.err for way in ("--app", "MAINSPRING_APP", "[tool.mainspring]"))


def test_a_pyproject_that_is_not_toml_is_named(cli, project):
    project.write("pyproject.toml", "[tool.mainspring")

    ended = cli("routes")

    assert (ended.code, "pyproject.toml is not valid TOML" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("shop.app", "not of the form module:name"),
        (":build", "not of the form module:name"),
        ("shop.nowhere:build", "There is no module 'shop.nowhere'"),
        ("nowhere.app:build", "There is no module 'nowhere'"),
        ("shop.app:nothing", "There is no 'nothing' in shop.app"),
        ("shop.odd:number", "is an object of type int, not a function"),
        ("shop.odd:needy", "cannot be called without arguments: missing a required argument: 'colour'"),
        ("shop.odd:text", "returned an object of type str; it has to return the FastAPI app that create_app() made"),
        ("shop.odd:nothing", "returned None"),
        (
            "shop.odd:bare",
            "returned an object of type FastAPI; it has to return the FastAPI app that create_app() made",
        ),
        ("shop.odd:app", "is an application; name the function that makes it"),
    ],
)
def test_a_name_that_leads_to_no_factory_is_a_usage_error_that_says_why(cli, project, location, says):
    project.write(
        "src/shop/odd.py",
        """
        from fastapi import FastAPI
        from shop.app import build

        number = 7
        app = build()

        def needy(colour):
            raise AssertionError

        def text():
            return "text"

        def nothing():
            return None

        def bare():
            return FastAPI()
        """,
    )

    ended = cli("--app", location, "routes")

    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err


@pytest.mark.parametrize(
    ("source", "reason", "code"),
    [
        ("import shop_stripe", "ModuleNotFoundError: No module named 'shop_stripe'", "import shop_stripe"),
        ("from shop import till_roll", "ImportError: cannot import name 'till_roll'", "from shop import till_roll"),
        ("def pay(:", "SyntaxError: invalid syntax", "def pay(:"),
    ],
)
def test_a_module_that_is_there_but_fails_to_import_is_told_with_the_line_at_fault(cli, project, source, reason, code):
    file = project.write("src/shop/payments.py", f"\n{source}\n")
    project.write("src/shop/app.py", "import shop.payments\n")

    ended = cli("routes")

    assert ended.code == 1
    assert "shop.app is there, but cannot be imported" in ended.err
    assert reason in ended.err
    assert f"{file}, line 2: {code}" in ended.err
    assert "Traceback" not in ended.err


def test_a_defect_in_the_service_keeps_its_traceback(cli, project):
    project.write("src/shop/app.py", "def build():\n    return 1 / 0\n")
    from mainspring.cli import main

    with pytest.raises(ZeroDivisionError):
        main(["routes"])


class TestTheSettingsClass:
    def greeting_line(self, ended) -> bool:
        assert ended.code == 0
        return "GREETING" in ended.out

    def test_is_settings_in_the_services_package(self, cli):
        assert self.greeting_line(cli("config", "show"))

    def test_is_found_from_a_package_further_down(self, cli, project):
        project.write("src/shop/web/__init__.py", "")
        project.write("src/shop/web/app.py", "from shop.app import build")

        assert self.greeting_line(cli("--app", "shop.web.app:build", "config", "show"))

    def test_is_found_where_the_package_itself_has_the_factory(self, cli):
        assert self.greeting_line(cli("--app", "shop:build", "config", "show"))

    def test_is_the_one_that_pyproject_names(self, cli, project):
        (project.folder / "src/shop/settings.py").rename(project.folder / "src/shop/knobs.py")
        project.write("pyproject.toml", '[tool.mainspring]\napp = "shop.app:build"\nsettings = "shop.knobs:Settings"\n')

        assert self.greeting_line(cli("config", "show"))

    def test_is_the_chassis_own_where_the_service_has_none(self, cli, project):
        project.write("src/other.py", SAME_APP.format(name="other"))

        assert not self.greeting_line(cli("--app", "other:build", "config", "show"))

    def test_that_pyproject_names_has_to_be_one(self, cli, project):
        named = '[tool.mainspring]\napp = "shop.app:build"\nsettings = "shop.app:build"\n'
        project.write("pyproject.toml", dedent(named))

        ended = cli("config", "show")

        assert (ended.code, "shop.app:build is not a class made from" in ended.err) == (2, True)

    def test_with_an_error_of_its_own_is_told_with_the_line_at_fault(self, cli, project):
        project.write("src/shop/settings.py", "import shop_stripe\n")

        ended = cli("config", "show")

        assert ended.code == 1
        assert "settings.py, line 1: import shop_stripe" in ended.err
