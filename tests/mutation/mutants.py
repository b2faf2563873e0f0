"""What may be changed in a module: one small change at a time, always in the same order.

A mutant is a comparison turned or shifted, an `and` that becomes `or`, an operand or a `not` that is dropped, a
condition turned round, a number one higher, a flag flipped, a name or a piece of wire text changed, an operator
swapped, a result that becomes None, a statement left out. Sentences (texts with a space in them) are left alone:
they are for people, and few tests should know them. So are docstrings, annotations and `if TYPE_CHECKING`.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_TURNED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_SWAPPED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_ANNOTATIONS = frozenset({"annotation", "returns", "decorator_list", "type_params"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: `node` in the place of what stands there. `first` and `last` are the lines that must run for it."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST
    first: int
    last: int
    text: str

    def apply(self) -> None:
        """Change the tree, for good."""
        if self.index is None:
            setattr(self.parent, self.field, self.node)
        else:
            getattr(self.parent, self.field)[self.index] = self.node


def mutants_of(tree: ast.Module) -> list[Mutant]:
    """Every mutant of a module, from top to bottom."""
    found: list[Mutant] = []
    for parent, field, index, node, statement in _places(tree, None):
        before = _short(node)
        for changed in _changes(node, parent):
            ast.fix_missing_locations(ast.copy_location(changed, node))
            text = f"{node.lineno}:{node.col_offset + 1}  {before}  ->  {_short(changed)}"
            last = statement.lineno if node is statement else node.end_lineno or node.lineno
            found.append(Mutant(parent, field, index, changed, statement.lineno, last, text))
    return found


def _places(
    parent: ast.AST, statement: ast.stmt | None
) -> Iterator[tuple[ast.AST, str, int | None, ast.expr | ast.stmt, ast.stmt]]:
    """Every expression and statement, where it stands, and the statement that it belongs to."""
    for field, value in ast.iter_fields(parent):
        if field in _ANNOTATIONS or (isinstance(parent, ast.JoinedStr) and field == "values"):
            continue
        for index, node in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(node, ast.AST) or _is_for_people(node):
                continue
            inside = node if isinstance(node, ast.stmt) else statement
            if isinstance(node, ast.expr | ast.stmt) and inside is not None:
                yield parent, field, index if isinstance(value, list) else None, node, inside
            yield from _places(node, inside)


def _is_for_people(node: ast.AST) -> bool:
    """Docstrings, `...`, and what only type checkers read."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _changes(node: ast.expr | ast.stmt, parent: ast.AST) -> Iterator[ast.AST]:
    yield from _other_expressions(node) if isinstance(node, ast.expr) else _other_statements(node)
    if isinstance(parent, ast.If | ast.IfExp | ast.While) and node is parent.test and isinstance(node, _PLAIN):
        yield ast.UnaryOp(ast.Not(), node)


def _other_expressions(node: ast.expr) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left, [operator], [right]):
            for other in _TURNED[type(operator)]:
                yield ast.Compare(left, [other()], [right])
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
            yield from values
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.BinOp(left, operator, right) if type(operator) in _SWAPPED:
            yield ast.BinOp(left, _SWAPPED[type(operator)](), right)
        case ast.Constant(value):
            yield from _other_constants(value)


def _other_statements(node: ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.Return(ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case ast.Assign([ast.Attribute() | ast.Subscript()]) | ast.Expr() | ast.AugAssign():
            yield ast.Pass()
        case ast.Raise() | ast.Delete():
            yield ast.Pass()


_PLAIN = ast.Name | ast.Attribute | ast.Call | ast.Await | ast.NamedExpr | ast.Subscript
"""Conditions that nothing else here changes."""


def _other_constants(value: object) -> Iterator[ast.expr]:
    match value:
        case bool():
            yield ast.Constant(not value)
        case int() | float():
            yield ast.Constant(value + 1)
        case str() if " " not in value.strip():
            yield ast.Constant(f"{value}?")
        case bytes() if b" " not in value.strip():
            yield ast.Constant(value + b"?")


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else f"{text[:87]}..."
