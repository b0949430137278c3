"""A calculator over a parser of its own grammar: Python's, cut down to arithmetic on decimals, never `eval`."""

import ast
import operator
from collections.abc import Callable
from decimal import Context, Decimal, DecimalException, Inexact, localcontext

from deepagents.tools.calculator.schemas import CalculatorInput, CalculatorOutput
from mainspring.ai import FunctionTool
from mainspring.errors import ValidationFailed

type _Operator = Callable[[Decimal, Decimal], Decimal]

_BINARY: dict[type[ast.operator], _Operator] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
# Digits of the result, and how large an exponent may be: 9**9**9 has 370 million digits.
_PRECISION = 28
_LARGEST_EXPONENT = 10_000
_DEEPEST = 60


def evaluate(expression: str) -> tuple[Decimal, bool]:
    """The value of an arithmetic expression, and whether it is exact.

    Raises:
        ValidationFailed: It is not arithmetic, divides by zero, or is too large; the message says which.
    """
    try:
        tree = ast.parse(expression.replace("^", "**").replace(",", "").strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValidationFailed(f"This is not an arithmetic expression: {expression!r}.") from error
    with localcontext(Context(prec=_PRECISION, Emax=_LARGEST_EXPONENT, Emin=-_LARGEST_EXPONENT)) as context:
        try:
            value = _value(tree.body, 0)
        except ZeroDivisionError as error:
            raise ValidationFailed("The expression divides by zero.") from error
        except DecimalException as error:
            raise ValidationFailed("The expression's value is too large, too small, or not a number.") from error
        if not value.is_finite():
            # 0 ** -1 and 1e99999 signal nothing on their way to infinity.
            raise ValidationFailed("The expression divides by zero or is too large.")
        return value, not context.flags[Inexact]


def _value(node: ast.expr, depth: int) -> Decimal:
    if depth > _DEEPEST:
        raise ValidationFailed("The expression is nested too deeply.")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            # The text, not the float: 0.1 is a tenth here.
            return +Decimal(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, depth + 1)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return +_value(inner, depth + 1)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _value(left, depth + 1) ** _value(right, depth + 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, depth + 1), _value(right, depth + 1))
    raise ValidationFailed("Only numbers, + - * / // % ** and parentheses are arithmetic.")


async def _run(given: CalculatorInput) -> CalculatorOutput:
    value, exact = evaluate(given.expression)
    plain = value.normalize()
    # 1E+3 reads worse than 1000; numbers beyond that stay as they are.
    text = f"{plain:f}" if -_PRECISION <= plain.adjusted() <= _PRECISION else str(plain)
    return CalculatorOutput(expression=given.expression, result=text, exact=exact)


tool = FunctionTool(
    name="calculator",
    description="Works out an arithmetic expression exactly, in decimals. Write 17 % of 2340 as 2340 * 17 / 100.",
    input_model=CalculatorInput,
    output_model=CalculatorOutput,
    run=_run,
    retry_safe=True,
    timeout=2.0,
)
"""The plug-in."""
