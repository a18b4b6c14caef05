"""Write small mistakes into a module, one at a time: each is what a slip of the hand could have made of the code."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARE = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_REVERSE = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Mult: ast.FloorDiv}
_CALLS = {"max": "min", "min": "max", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One mistake: where it stands, what became of what, and the statement of the module's top level that has it."""

    function: str
    line: int
    lines: frozenset[int]
    before: str
    after: str
    statement: ast.stmt

    @property
    def name(self) -> str:
        """Give what names it when lines have moved."""
        return f"{self.function}: {self.before} -> {self.after}"


def _parents(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


def _is_docstring(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and isinstance(parents.get(node), ast.Expr)


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    """Give what may stand wrongly in the place of an expression."""
    match node:
        case ast.Compare(left, [op, *more_ops], right):
            for table in (_COMPARE, _REVERSE):
                if type(op) in table:
                    yield ast.Compare(left, [table[type(op)](), *more_ops], right)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for n in range(len(values)):
                rest = values[:n] + values[n + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
            yield ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.IfExp(_, body, orelse):
            yield body
            yield orelse
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(str() as value):
            yield ast.Constant(f"not {value}" if value else "something")
        case ast.Call(ast.Name(name), args, keywords) if name in _CALLS:
            yield ast.Call(ast.Name(_CALLS[name], ast.Load()), args, keywords)
        case ast.comprehension(target, iterable, [_, *_] as tests, is_async):
            for n in range(len(tests)):
                yield ast.comprehension(target, iterable, tests[:n] + tests[n + 1 :], is_async)
    yield from _fewer(node)


def _fewer(node: ast.AST) -> Iterator[ast.AST]:
    """Leave out one of what is spread into a call or a tuple: reasons are gathered like that."""
    if isinstance(node, ast.Call):
        for n, arg in enumerate(node.args):
            if isinstance(arg, ast.Starred):
                yield ast.Call(node.func, node.args[:n] + node.args[n + 1 :], node.keywords)
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
        for n, element in enumerate(node.elts):
            if isinstance(element, ast.Starred):
                yield ast.Tuple(node.elts[:n] + node.elts[n + 1 :], node.ctx)


def _statements(node: ast.stmt) -> Iterator[ast.stmt]:
    """Give what may stand wrongly in the place of a statement."""
    match node:
        case ast.Expr(ast.Call()):
            yield ast.Pass()
        case ast.Assign([ast.Attribute() | ast.Subscript()], _) | ast.AugAssign():
            yield ast.Pass()
        case ast.Return(ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Continue():
            yield ast.Break()
        case ast.If(test, body, orelse) if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.While(test, body, orelse):
            yield ast.While(ast.Constant(value=False), body, orelse)


def _header(node: ast.stmt) -> frozenset[int]:
    body = getattr(node, "body", None)
    last = body[0].lineno - 1 if isinstance(body, list) else node.end_lineno or node.lineno
    return frozenset(range(node.lineno, max(last, node.lineno) + 1))


def _replaced(top: ast.stmt, number: int, new: ast.AST) -> ast.stmt:
    """Copy the statement with its node of that number (in the order of `ast.walk`) replaced."""
    twin = copy.deepcopy(top)
    old = list(ast.walk(twin))[number]
    parent = _parents(twin)[old]
    for name, value in ast.iter_fields(parent):
        if value is old:
            setattr(parent, name, new)
        elif isinstance(value, list) and any(v is old for v in value):
            setattr(parent, name, [new if v is old else v for v in value])
    ast.copy_location(new, old)
    return ast.fix_missing_locations(twin)


def _skipped(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Tell whether a node is not for mistakes: docstrings, types, signatures, assertions, messages of errors."""
    while node in parents:
        parent = parents[node]
        if _is_docstring(node, parents) or isinstance(node, ast.Assert | ast.arguments | ast.Raise):
            return True
        if isinstance(parent, ast.AnnAssign | ast.FunctionDef) and node in (
            getattr(parent, "annotation", 0),
            getattr(parent, "returns", 0),
        ):
            return True
        if isinstance(parent, ast.FunctionDef) and node in parent.decorator_list:
            return True
        if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "cast":
            return True
        node = parent
    return False


def mutants(source: str) -> Iterator[Mutant]:
    """Give all mistakes that can be made in the functions and constants of a module."""
    for top in ast.parse(source).body:
        if isinstance(top, ast.FunctionDef | ast.Assign | ast.AnnAssign):
            yield from _mutants(top)


def _mutants(top: ast.stmt) -> Iterator[Mutant]:
    parents = _parents(top)
    targets = [top.target] if isinstance(top, ast.AnnAssign) else getattr(top, "targets", ())
    names = [t.id for t in targets if isinstance(t, ast.Name)]
    function = getattr(top, "name", "") or "".join(names)
    if function == "__all__":
        return
    nodes = list(ast.walk(top))
    for number, node in enumerate(nodes):
        if node is top or _skipped(node, parents):
            continue
        holder: ast.AST = node
        while not isinstance(holder, ast.stmt):
            holder = parents[holder]
        shown = number
        if isinstance(node, ast.Constant) and isinstance(parents[node], ast.expr | ast.keyword | ast.Return | ast.Assign):
            shown = nodes.index(parents[node])  # a constant alone would not say which
        found = _statements(node) if isinstance(node, ast.stmt) else _expressions(node)
        for new in found:
            twin = _replaced(top, number, copy.deepcopy(new))
            before, after = _text(nodes[shown]), _text(list(ast.walk(twin))[shown])
            yield Mutant(function, getattr(node, "lineno", holder.lineno), _header(holder), before, after, twin)


def _text(node: ast.AST) -> str:
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))
    return " ".join(text.split())[:150]
