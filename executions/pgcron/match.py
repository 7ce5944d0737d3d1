"""How a command leads to the rollup, judged by PostgreSQL's own parser and never by its text.

Pure: commands and function definitions in, a judgement out. Functions that a command calls are
followed through a resolver that the caller brings, which is where a database comes in. The words
are those of docs/interfaces.md: exact, wrapped, window, legacy, multiple.

What cannot be parsed but names one of the functions is never lost: it counts as wrapped, and its
judgement says that nobody could read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pglast import ast, parse_plpgsql, parse_sql
from pglast.enums import LimitOption, SetOperation
from pglast.parser import ParseError

ROLLUP = "rollup_task_usage_hourly"
WINDOW = "rollup_task_usage_hourly_window"
# Removed upstream by migration 103; their jobs now fail every time (docs/contract.md section 5).
LEGACY = ("rollup_task_usage_daily", "rollup_task_usage_dashboard_daily")
TARGETS = frozenset({ROLLUP, WINDOW, *LEGACY})

# How many functions deep a call is followed. Deeper nesting than this is nobody's cron job.
DEPTH = 4

_MENTION = re.compile(rf"\b({'|'.join(sorted(TARGETS, key=len, reverse=True))})\b", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"^.*?:?=", re.DOTALL)
# PLpgSQL_expr's parseMode: whole statements, expressions, and assignments.
_STATEMENT_MODE, _ASSIGN_MODES = 0, (3, 4, 5)


class Match(StrEnum):
    """How a command calls the rollup (docs/interfaces.md, ``checkretirement``)."""

    EXACT = "exact"
    WRAPPED = "wrapped"
    WINDOW = "window"
    LEGACY = "legacy"
    MULTIPLE = "multiple"

    @property
    def retired_by_the_wizard(self) -> bool:
        return self in {Match.EXACT, Match.LEGACY}


@dataclass(frozen=True)
class FunctionSource:
    """A function as ``pg_proc`` has it; ``definition`` is what ``pg_get_functiondef`` gives."""

    schema: str
    name: str
    language: str
    definition: str


# A schema, or None for an unqualified call, and a name give every function that may be meant.
Resolver = Callable[[str | None, str], Sequence[FunctionSource]]


def resolve_nothing(_schema: str | None, _name: str) -> Sequence[FunctionSource]:
    """For a database whose functions cannot be looked up."""
    return ()


@dataclass(frozen=True)
class Judgement:
    """``functions`` are those of the rollup's that are reached, ``via`` the way to them.

    ``readable`` is False where the parser could not read something and a name in the text decided.
    """

    match: Match
    functions: tuple[str, ...]
    via: tuple[str, ...] = ()
    readable: bool = True

    @property
    def legacy_function(self) -> str | None:
        return self.functions[0] if self.match is Match.LEGACY else None


@dataclass(frozen=True)
class _Reached:
    function: str
    via: tuple[str, ...] = ()
    readable: bool = True


def judge(
    command: str, resolve: Resolver = resolve_nothing, homes: Collection[str] = ()
) -> Judgement | None:
    """How ``command`` leads to the rollup; None when it does not.

    ``homes`` are the schemas that hold the rollup's functions. A call qualified with another
    schema is somebody else's function of the same name and is followed like any other. Without
    homes every schema will do.
    """
    tracer = _Tracer(resolve, frozenset(homes))
    try:
        statements = [raw.stmt for raw in parse_sql(command)]
    except (ParseError, RecursionError):
        reached = list(tracer.mentioned(command, ()))
        return _judgement(Match.WRAPPED, reached) if reached else None
    acting = [one for one in statements if not isinstance(one, ast.VariableSetStmt)]
    reached = [found for one in acting for found in tracer.trace(one)]
    if not reached:
        return None
    if len(acting) > 1:
        return _judgement(Match.MULTIPLE, reached)
    called = tracer.target(plain_call(acting[0]))
    if called is not None and len(reached) == 1:
        return _judgement(_plain_match(acting[0], called), reached)
    if any(not found.via for found in reached):
        return _judgement(Match.MULTIPLE, reached)
    return _judgement(Match.WRAPPED, reached)


def _judgement(match: Match, reached: Sequence[_Reached]) -> Judgement:
    return Judgement(
        match,
        tuple(sorted({found.function for found in reached})),
        next((found.via for found in reached if found.via), ()),
        all(found.readable for found in reached),
    )


def _plain_match(statement: Any, called: str) -> Match:
    if called == WINDOW:
        return Match.WINDOW
    call = plain_call(statement)
    if call is None or call.args or call.agg_star:
        return Match.MULTIPLE  # with arguments it is not the function that we know
    return Match.EXACT if called == ROLLUP else Match.LEGACY


def plain_call(statement: Any) -> Any | None:
    """The one call that a statement consists of: ``SELECT f()`` or ``SELECT … FROM f()``.

    Any clause that could keep the call from running, or do something beside it, makes it None.
    """
    if not isinstance(statement, ast.SelectStmt) or not _is_bare(statement):
        return None
    targets: Sequence[Any] = statement.targetList or ()
    sources: Sequence[Any] = statement.fromClause or ()
    if not sources:
        return _call(targets[0].val) if len(targets) == 1 else None
    if len(sources) > 1 or not isinstance(sources[0], ast.RangeFunction) or sources[0].is_rowsfrom:
        return None
    if any(not isinstance(target.val, ast.ColumnRef | ast.A_Const) for target in targets):
        return None
    functions: Any = sources[0].functions
    return _call(functions[0][0])


def _is_bare(select: Any) -> bool:
    clauses = (
        "distinctClause", "intoClause", "whereClause", "groupClause", "havingClause",
        "windowClause", "valuesLists", "sortClause", "limitOffset", "limitCount",
        "lockingClause", "withClause",
    )  # fmt: skip
    return (
        all(getattr(select, clause) is None for clause in clauses)
        and select.op == SetOperation.SETOP_NONE
        and select.limitOption == LimitOption.LIMIT_OPTION_DEFAULT
    )


def _call(node: Any) -> Any | None:
    """A function call, or a cast of one, such as ``f()::text``."""
    while isinstance(node, ast.TypeCast):
        node = node.arg
    if not isinstance(node, ast.FuncCall):
        return None
    beside = (node.agg_order, node.agg_filter, node.over, node.agg_within_group or None)
    return node if all(clause is None for clause in beside) else None


class _Tracer:
    """Finds the ways from statements to the rollup's functions; each function is entered once."""

    def __init__(self, resolve: Resolver, homes: frozenset[str]) -> None:
        self._resolve = resolve
        self._homes = homes
        self._entered: set[tuple[str, str]] = set()

    def target(self, call: Any | None) -> str | None:
        """The rollup's function that a call is of, or None."""
        if call is None:
            return None
        schema, name = _qualified(call)
        elsewhere = schema is not None and self._homes and schema not in self._homes
        return name if name in TARGETS and not elsewhere else None

    def trace(self, tree: Any, via: tuple[str, ...] = ()) -> Iterator[_Reached]:
        for node in _nodes(tree):
            if isinstance(node, ast.FuncCall):
                yield from self._trace_call(node, via)
            elif isinstance(node, ast.DoStmt):
                yield from self._trace_block(node, via)
            elif isinstance(node, ast.String) and _MENTION.search(str(node.sval)):
                yield from self._trace_text(str(node.sval), via)

    def mentioned(self, text: str, via: tuple[str, ...]) -> Iterator[_Reached]:
        """What an unreadable text names, so that it is explained instead of lost."""
        for name in sorted({found.lower() for found in _MENTION.findall(text)}):
            yield _Reached(name, (*via, "text that cannot be parsed"), readable=False)

    def _trace_call(self, call: Any, via: tuple[str, ...]) -> Iterator[_Reached]:
        found = self.target(call)
        if found is not None:
            yield _Reached(found, via)
            return
        schema, name = _qualified(call)
        if schema == "pg_catalog" or len(via) >= DEPTH:
            return
        for function in self._resolve(schema, name):
            if (function.schema, function.name) not in self._entered:
                self._entered.add((function.schema, function.name))
                yield from self._trace_function(function, via)

    def _trace_function(self, function: FunctionSource, via: tuple[str, ...]) -> Iterator[_Reached]:
        via = (*via, f"{function.schema}.{function.name}")
        definition = function.definition
        if function.language == "plpgsql":
            yield from self._trace_plpgsql(definition, via)
        elif function.language == "sql":
            try:
                created: Any = parse_sql(definition)[0].stmt
            except (ParseError, RecursionError):
                yield from self.mentioned(definition, via)
                return
            yield from self.trace(created.sql_body, via)
            yield from self._trace_sql_text(_option(created.options, "as"), via)
        else:
            yield from self.mentioned(definition, via)

    def _trace_block(self, block: Any, via: tuple[str, ...]) -> Iterator[_Reached]:
        body = _option(block.args, "as") or ""
        via = (*via, "a DO block")
        if (_option(block.args, "language") or "plpgsql") == "plpgsql":
            yield from self._trace_plpgsql(f"DO {_dollar_quoted(body)}", via)
        else:
            yield from self.mentioned(body, via)

    def _trace_sql_text(self, text: str | None, via: tuple[str, ...]) -> Iterator[_Reached]:
        if not text:
            return
        try:
            parsed = parse_sql(text)
        except (ParseError, RecursionError):
            yield from self.mentioned(text, via)
            return
        for raw in parsed:
            yield from self.trace(raw.stmt, via)

    def _trace_plpgsql(self, source: str, via: tuple[str, ...]) -> Iterator[_Reached]:
        try:
            parsed = parse_plpgsql(source)
        except (ParseError, RecursionError):
            yield from self.mentioned(source, via)
            return
        reached: list[_Reached] = []
        for text in _expressions(parsed):
            reached.extend(self._trace_sql_text(text, via))
        yield from reached
        if not reached and _executes_text(parsed) and _MENTION.search(source):
            yield from self.mentioned(source, via)

    def _trace_text(self, text: str, via: tuple[str, ...]) -> Iterator[_Reached]:
        """A literal that is itself a statement or an expression: dblink, EXECUTE, cron.schedule."""
        for attempt in (text, f"SELECT {text}"):
            try:
                parsed = parse_sql(attempt)
            except (ParseError, RecursionError):
                continue
            if len(via) < DEPTH:
                for raw in parsed:
                    yield from self.trace(raw.stmt, (*via, "text that is run as SQL"))
            return


def _qualified(call: Any) -> tuple[str | None, str]:
    parts = [part.sval for part in call.funcname]
    return (parts[-2] if len(parts) > 1 else None), parts[-1]


def _nodes(tree: Any) -> Iterator[Any]:
    """Every node below ``tree`` and itself. A call's own name is not among them."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple | list):
            waiting.extend(reversed(node))
        elif isinstance(node, ast.Node):
            yield node
            skip = {"funcname"} if isinstance(node, ast.FuncCall) else set()
            if isinstance(node, ast.DoStmt | ast.CreateFunctionStmt):
                skip = {"args", "options"}
            waiting.extend(getattr(node, name) for name in node if name not in skip)


def _option(options: Any, name: str) -> str | None:
    """The text of one of a statement's options; a function body comes as a list of one string."""
    for option in options or ():
        if option.defname == name:
            value = option.arg[0] if isinstance(option.arg, tuple) else option.arg
            return str(value.sval)
    return None


def _dollar_quoted(body: str) -> str:
    tag = next(mark for mark in map("${}$".format, _tags()) if mark not in body)
    return f"{tag}{body}{tag}"


def _tags() -> Iterator[str]:
    tag = "block"
    while True:
        yield tag
        tag += "_"


def _values(tree: Any, key: str) -> Iterator[Any]:
    """Every value under ``key`` in what the PL/pgSQL parser gives: nested dicts and lists."""
    if isinstance(tree, dict):
        if key in tree:
            yield tree[key]
        tree = list(tree.values())
    if isinstance(tree, list):
        yield from (found for one in tree for found in _values(one, key))


def _expressions(parsed: Any) -> Iterator[str]:
    """The statements and expressions of a PL/pgSQL body, each as a statement of its own."""
    for expression in _values(parsed, "PLpgSQL_expr"):
        query, mode = expression["query"], expression.get("parseMode")
        if mode == _STATEMENT_MODE:
            yield query
        elif mode in _ASSIGN_MODES:
            yield f"SELECT {_ASSIGNMENT.sub('', query, count=1)}"
        else:
            yield f"SELECT {query}"


def _executes_text(parsed: Any) -> bool:
    kinds = ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors")
    return any(True for kind in kinds for _ in _values(parsed, kind))
