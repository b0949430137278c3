"""Tools are found as plug-in folders."""

import pytest

from deepagents.toolbox import Toolbox, load_tools
from mainspring.errors import ValidationFailed


def test_every_plug_in_folder_brings_its_tool():
    assert {tool.name for tool in load_tools()} >= {"calculator", "date_time", "text_statistics"}


def test_unknown_names_are_refused_each_at_its_place():
    with pytest.raises(ValidationFailed, match="calculator") as refused:
        load_tools().require(["calculator", "hammer", "saw"])

    assert [error.loc for error in refused.value.errors] == [("body", "tools", 1), ("body", "tools", 2)]


def test_a_tool_that_an_agent_was_given_and_that_no_longer_exists_is_left_out():
    assert [tool.name for tool in load_tools().named(["gone", "calculator"])] == ["calculator"]


def test_two_plug_ins_with_one_name_are_refused():
    (tool, *_) = load_tools()
    other = type("Other", (), {"name": tool.name})()

    with pytest.raises(ValueError, match="rename one"):
        Toolbox([tool, other])
