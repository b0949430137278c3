"""The calculator works out arithmetic exactly and nothing else."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagents.tools.calculator.processor import evaluate, tool
from deepagents.tools.calculator.schemas import CalculatorInput
from mainspring.errors import ValidationFailed


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2340 * 17 / 100", "397.8"),
        ("0.1 + 0.2", "0.3"),
        ("1,234 + 1", "1235"),
        ("2 ** 10", "1024"),
        ("2 ^ 10", "1024"),
        ("-(3 - 5) * 4", "8"),
        ("17 % 5", "2"),
        ("17 // 5", "3"),
        ("1e3", "1000"),
        ("9 ** 0.5", "3"),
        ("1_000 * 3", "3000"),
    ],
)
async def test_an_expression_has_its_exact_value(expression, value):
    output = await tool.run(CalculatorInput(expression=expression))

    assert output.result == value


async def test_a_rounded_result_says_that_it_is_rounded():
    assert not (await tool.run(CalculatorInput(expression="1 / 3"))).exact
    assert (await tool.run(CalculatorInput(expression="1 / 4"))).exact


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "open('/etc/passwd')",
        "(lambda: 1)()",
        "[1, 2]",
        "'a' * 9",
        "x + 1",
        "True + 1",
        "1 if 2 else 3",
        "1 < 2",
        "~5",
        "1 << 99999999",
        "1j",
        "",
        "(",
        "1 +",
        "\x00",
    ],
)
def test_what_is_not_arithmetic_is_refused(expression):
    with pytest.raises(ValidationFailed):
        evaluate(expression)


@pytest.mark.parametrize("expression", ["1 / 0", "0 ** -1", "1 // 0", "1 % 0", "0 / 0"])
def test_division_by_zero_is_said(expression):
    with pytest.raises(ValidationFailed, match=r"zero|not a number"):
        evaluate(expression)


@pytest.mark.parametrize(
    "expression", ["9 ** 9 ** 9 ** 9", "10 ** 99999", "(-8) ** 0.5", "1e99999", "(" * 3000 + "1" + ")" * 3000]
)
def test_a_monstrous_expression_is_refused_at_once(expression):
    with pytest.raises(ValidationFailed):
        evaluate(expression)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_whole_numbers_agree_with_python(left, right):
    assert evaluate(f"({left}) * ({right}) - ({right})")[0] == Decimal(left * right - right)


@given(st.text(max_size=60))
def test_any_text_is_either_a_number_or_a_clear_refusal(text):
    try:
        value, _ = evaluate(text)
    except ValidationFailed:
        return
    assert value.is_finite()
