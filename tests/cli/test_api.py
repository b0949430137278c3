"""`openapi`: the document as a file."""

import json

import pytest


def test_the_document_is_printed_with_two_spaces_and_a_final_newline(cli):
    ended = cli("openapi")

    document = json.loads(ended.out)
    assert ended.code == 0
    assert "/api/v1/greeting" in document["paths"]
    assert ended.out == json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def test_the_document_is_there_where_the_service_does_not_serve_it(cli, monkeypatch):
    monkeypatch.setenv("ENABLE_DOCS", "false")

    assert "/api/v1/greeting" in json.loads(cli("openapi").out)["paths"]


def test_a_written_file_is_up_to_date_until_the_service_changes(cli, project, monkeypatch):
    file = project.folder / "openapi.json"

    written = cli("openapi", "-o", "openapi.json")
    same = cli("openapi", "--check", "openapi.json")
    monkeypatch.setenv("API_PREFIX", "/api/v2")
    before = file.read_bytes()
    changed = cli("openapi", "--check", "openapi.json")

    assert (written.code, same.code, changed.code) == (0, 0, 1)
    assert "up to date" in same.out
    assert "openapi.json is out of date" in changed.err
    assert file.read_bytes() == before


@pytest.mark.parametrize("option", ["--check", "--output"])
def test_a_file_that_cannot_be_had_is_named(cli, option):
    ended = cli("openapi", option, "nowhere/openapi.json")

    assert (ended.code, ended.out) == (1, "")
    assert "nowhere/openapi.json" in ended.err
    assert "Traceback" not in ended.err
