"""PURE: how a command leads to the rollup, judged by PostgreSQL's own parser, not by text.

Commands and function definitions go in, a judgement comes out. A resolver of the caller gives the
functions that a command calls, which is where a database comes in. The words are those of
docs/interfaces.md: exact, wrapped, window, legacy, multiple.

A command that names one of the functions but cannot be parsed is never lost. It counts as wrapped,
and the judgement says that it could not be read. So does a command that may call anything, because
it builds text and runs it or is too much to read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice, takewhile
from typing import Any

from pglast import ast, parse_plpgsql, parse_sql
from pglast.enums import LimitOption, SetOperation, VariableSetKind
from pglast.parser import ParseError
from pglast.stream import RawStream

from executions.health.facts.pg_cron import Match

ROLLUP = "rollup_task_usage_hourly"
WINDOW = "rollup_task_usage_hourly_window"
# Removed upstream by migration 103. Their jobs now fail every time (docs/contract.md section 5).
LEGACY = ("rollup_task_usage_daily", "rollup_task_usage_dashboard_daily")
TARGETS = frozenset({ROLLUP, WINDOW, *LEGACY})

# How many functions deep a call is followed. No cron job nests deeper.
DEPTH = 4
# Characters. The parser recurses in C for nesting: some texts of 60,000 end the process.
LONGEST = 20_000

_MENTION = re.compile(rf"\b({'|'.join(sorted(TARGETS, key=len, reverse=True))})\b", re.IGNORECASE)
_ASSIGNMENT = re.compile(r":?=")
# PLpgSQL_expr's parseMode: whole statements, expressions and assignments.
_STATEMENT_MODE, _ASSIGN_MODES = 0, (3, 4, 5)
# Where PL/pgSQL runs text: in EXECUTE, and in FOR, RETURN QUERY or OPEN with EXECUTE.
_RUNS_TEXT = (
    ("PLpgSQL_stmt_dynexecute", "query"),
    ("PLpgSQL_stmt_dynfors", "query"),
    ("PLpgSQL_stmt_return_query", "dynquery"),
    ("PLpgSQL_stmt_open", "dynquery"),
)
# Text that begins like this is maintenance. It is not taken for a call, whatever follows.
_MAINTENANCE = re.compile(
    r"\s*(ALTER|ANALYZE|CLUSTER|COMMENT|DROP|GRANT|LOCK|NOTIFY|REINDEX|REVOKE|TRUNCATE|VACUUM)\s",
    re.IGNORECASE,
)
# Statements that do not call what they define, such as those of Multica's own migrations.
_ONLY_DEFINING = (ast.CreateFunctionStmt, ast.CommentStmt, ast.GrantStmt, ast.TransactionStmt)
# This many signs in an assignment are tried. Each needs a call of the parser.
_MOST_SIGNS = 20
_RUN = "text that is run as SQL"
_CREATED = "a function that the command defines"
# Casts to these types run no foreign code. The rollup's result is a number.
_PLAIN_TYPES = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8", "text", "varchar"})


class _Unread(StrEnum):
    """Why a text cannot be read. All but the first may run, and then call anything."""

    NOT_PARSED = "text that cannot be parsed"
    TOO_MUCH = "text that is too long or nested too deep"
    PUT_TOGETHER = "text that is put together as it runs"


@dataclass(frozen=True)
class FunctionSource:
    """A function from ``pg_proc``. ``definition`` is the result of ``pg_get_functiondef``."""

    schema: str
    name: str
    language: str
    definition: str


# From a schema, or None for an unqualified call, and a name to every function that may be meant.
Resolver = Callable[[str | None, str], Sequence[FunctionSource]]


def resolve_nothing(_schema: str | None, _name: str) -> Sequence[FunctionSource]:
    """For a database whose functions cannot be looked up."""
    return ()


@dataclass(frozen=True)
class Judgement:
    """``functions`` are the rollup functions that are reached, ``via`` the way to them.

    ``readable`` is False if something could not be read. Then a name in the text decided; without
    such a name there are no ``functions``. ``namesake`` is another function that the rollup's bare
    name means to the job's owner; empty if it means none. ``calls`` says whether running the text
    certainly calls one of the functions. Text that names a call only to look it up or to schedule
    it does not.
    """

    match: Match
    functions: tuple[str, ...]
    via: tuple[str, ...] = ()
    readable: bool = True
    namesake: str | None = None
    calls: bool = False

    @property
    def leads_there(self) -> bool:
        return bool(self.functions)

    @property
    def misses_it(self) -> bool:
        """Whether it certainly calls another function with the rollup's name, or none at all."""
        return self.namesake is not None and not self.functions

    @property
    def legacy_function(self) -> str | None:
        return self.functions[0] if self.match is Match.LEGACY else None


@dataclass(frozen=True)
class _Reached:
    function: str | None
    via: tuple[str, ...] = ()
    readable: bool = True
    namesake: str | None = None


def judge_command(
    command: str,
    resolve: Resolver = resolve_nothing,
    homes: Collection[str] = (),
    meaning: str | None = None,
) -> Judgement | None:
    """How ``command`` leads to the rollup, or may do so; None if it does not.

    ``homes`` are the schemas with the rollup's functions. A call qualified with another schema is
    somebody else's function of that name, and is followed like any other. Without homes every
    schema counts. ``meaning`` is the schema in which the search path of the job's owner first finds
    the rollup's bare name; empty if it finds none. None means that nobody can tell, and then the
    name counts as Multica's.
    """
    statements = _statements(command)
    if isinstance(statements, _Unread):
        reached = list(_Tracer(resolve, frozenset(homes)).unread(command, (), statements))
        return _judgement(Match.WRAPPED, reached) if reached else None
    tracer = _Tracer(resolve, frozenset(homes), None if _sets_its_own_path(statements) else meaning)
    acting = [one for one in statements if not isinstance(one, ast.VariableSetStmt)]
    if all(isinstance(one, _ONLY_DEFINING) for one in acting):
        return None
    reached = [found for one in acting for found in tracer.trace(one)]
    if not reached:
        return None
    return _judgement(_match(statements, acting, reached, tracer), reached)


def _match(
    statements: Sequence[Any], acting: Sequence[Any], reached: Sequence[_Reached], tracer: _Tracer
) -> Match:
    if not any(found.function for found in reached):
        misled = any(found.namesake is not None for found in reached)
        return Match.MULTIPLE if misled else Match.WRAPPED
    if len(acting) > 1:
        return Match.MULTIPLE
    call = plain_call(acting[0])
    called = None if tracer.names_another(call) else tracer.target(call)
    moved = any(tracer.moves_names(one) for one in statements) and _leans_on_the_path(acting[0])
    if called is not None and len(reached) == 1 and not moved:
        return _plain_match(acting[0], called)
    return Match.WRAPPED if all(found.via for found in reached) else Match.MULTIPLE


def _judgement(match: Match, reached: Sequence[_Reached]) -> Judgement:
    return Judgement(
        match,
        tuple(sorted({found.function for found in reached if found.function})),
        next((found.via for found in reached if found.via), ()),
        all(found.readable for found in reached),
        next((found.namesake for found in reached if found.namesake is not None), None),
        any(found.function and found.readable and found.via[:1] != (_RUN,) for found in reached),
    )


def _sets_its_own_path(statements: Sequence[Any]) -> bool:
    """Whether a search path that the command itself sets is in force after its leading SETs."""
    first = takewhile(lambda one: isinstance(one, ast.VariableSetStmt), statements)
    kinds = [
        one.kind
        for one in first
        if one.kind == VariableSetKind.VAR_RESET_ALL or _setting(one) == "search_path"
    ]
    return bool(kinds) and kinds[-1] == VariableSetKind.VAR_SET_VALUE


def _setting(statement: Any) -> str:
    return str(statement.name).lower()


def _plain_match(statement: Any, called: str) -> Match:
    if called == WINDOW:
        return Match.WINDOW
    call = plain_call(statement)
    if call is None or call.args or call.agg_star:
        return Match.MULTIPLE  # with arguments it is not the function that we know
    return Match.EXACT if called == ROLLUP else Match.LEGACY


def plain_call(statement: Any) -> Any | None:
    """The one call that a statement consists of: ``SELECT f()`` or ``SELECT … FROM f()``.

    None if any clause could keep the call from running, or do something else as well.
    """
    if not isinstance(statement, ast.SelectStmt) or not _is_bare(statement):
        return None
    targets: Sequence[Any] = statement.targetList or ()
    sources: Sequence[Any] = statement.fromClause or ()
    if not sources:
        return _call(targets[0].val) if len(targets) == 1 else None
    if len(sources) > 1 or not isinstance(sources[0], ast.RangeFunction) or sources[0].is_rowsfrom:
        return None
    if not all(_is_plain_value(target.val) for target in targets):
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


def _is_plain_value(node: Any) -> bool:
    """A constant, a column or ``a.*``. ``a.name`` may be another function's call: ``name(a)``."""
    if isinstance(node, ast.ColumnRef):
        fields: Any = node.fields
        return len(fields) == 1 or isinstance(fields[-1], ast.A_Star)
    return isinstance(node, ast.A_Const)


def _call(node: Any) -> Any | None:
    """A function call, or a cast of one to a type of PostgreSQL's own, such as ``f()::text``."""
    while isinstance(node, ast.TypeCast) and _is_plain_type(node.typeName):
        node = node.arg
    if not isinstance(node, ast.FuncCall):
        return None
    beside = (node.agg_order, node.agg_filter, node.over, node.agg_within_group or None)
    return node if all(clause is None for clause in beside) else None


def _is_plain_type(name: Any) -> bool:
    *schema, plain = (part.sval for part in name.names)
    return schema in ([], ["pg_catalog"]) and plain in _PLAIN_TYPES


def _leans_on_the_path(statement: Any) -> bool:
    """Whether the search path decides what a function or a type in the statement is."""
    names: list[Any] = [
        node.funcname if isinstance(node, ast.FuncCall) else node.names
        for node in _nodes(statement)
        if isinstance(node, ast.FuncCall | ast.TypeName)
    ]
    return any(len(name) == 1 for name in names)


class _Tracer:
    """Finds the ways from statements to the rollup's functions. It enters each function once.

    If it meets a function again on a shorter way, it enters it again: the longer way may have been
    cut off.
    """

    def __init__(
        self, resolve: Resolver, homes: frozenset[str], meaning: str | None = None
    ) -> None:
        self._resolve = resolve
        self._homes = homes
        elsewhere = homes and meaning is not None and meaning not in homes
        self._namesakes = meaning if elsewhere else None
        self._entered: dict[FunctionSource, int] = {}

    def target(self, call: Any | None) -> str | None:
        """The rollup function that a call calls, or None."""
        if call is None:
            return None
        schema, name = _qualified(call)
        elsewhere = schema is not None and self._homes and schema not in self._homes
        return name if name in TARGETS and not elsewhere else None

    def names_another(self, call: Any | None) -> bool:
        """Whether it is the rollup's bare name, but means another function to the job's owner."""
        named = call is not None and _qualified(call) == (None, ROLLUP)
        return named and self._namesakes is not None

    def moves_names(self, statement: Any) -> bool:
        """Whether it is a SET after which a bare name is first looked for elsewhere.

        Another role may use other schemas, and ``"$user"`` is then its own.
        """
        if not self._homes or not isinstance(statement, ast.VariableSetStmt):
            return False
        if statement.kind != VariableSetKind.VAR_SET_VALUE:
            return False
        if _setting(statement) in {"role", "session_authorization"}:
            return True
        if _setting(statement) != "search_path":
            return False
        schemas = [getattr(value.val, "sval", None) for value in statement.args or ()]
        first = next((schema for schema in schemas if schema != "pg_catalog"), None)
        return first not in self._homes

    def trace(self, tree: Any, via: tuple[str, ...] = ()) -> Iterator[_Reached]:
        for node in _nodes(tree):
            if isinstance(node, ast.FuncCall):
                yield from self._trace_call(node, via)
            elif isinstance(node, ast.DoStmt):
                yield from self._trace_block(node, via)
            elif isinstance(node, ast.CreateFunctionStmt):
                yield from self._trace_created(node, via)
            elif isinstance(node, ast.String) and _MENTION.search(str(node.sval)):
                yield from self._trace_text(str(node.sval), via)

    def unread(self, text: str, via: tuple[str, ...], why: _Unread) -> Iterator[_Reached]:
        """What an unreadable text names, so that it is explained and not lost."""
        named: set[str | None] = {found.lower() for found in _MENTION.findall(text)}
        if not named and why is not _Unread.NOT_PARSED:
            named = {None}
        for name in sorted(named, key=str):
            yield _Reached(name, (*via, why), readable=False)

    def _trace_call(self, call: Any, via: tuple[str, ...]) -> Iterator[_Reached]:
        schema, name = _qualified(call)
        if not via and self.names_another(call):
            # A block or a function may change the path before it calls. Then the name decides.
            schema = self._namesakes
            namesake = f"{schema}.{name}" if schema else ""
            yield _Reached(None, (namesake,), namesake=namesake)
        elif (found := self.target(call)) is not None:
            yield _Reached(found, via)
            return
        if schema == "pg_catalog" or len(via) >= DEPTH:
            return
        for function in self._resolve(schema, name):
            if len(via) < self._entered.get(function, DEPTH):
                self._entered[function] = len(via)
                yield from self._trace_function(function, via)

    def _trace_function(self, function: FunctionSource, via: tuple[str, ...]) -> Iterator[_Reached]:
        via = (*via, f"{function.schema}.{function.name}")
        statements = _statements(function.definition)
        if isinstance(statements, _Unread):
            yield from self.unread(function.definition, via, statements)
            return
        (created,) = statements
        yield from self._trace_definition(created, function.language, function.definition, via)

    def _trace_created(self, created: Any, via: tuple[str, ...]) -> Iterator[_Reached]:
        """Follow a function that the command itself defines, without looking for its call."""
        body = _option(created.options, "as") or ""
        deeper = (*via, _CREATED)
        if len(via) >= DEPTH:
            yield from self.unread(body, deeper, _Unread.TOO_MUCH)
            return
        try:
            source = RawStream()(created)
        except (NotImplementedError, RecursionError):  # pglast cannot print it
            yield from self.unread(body, deeper, _Unread.TOO_MUCH)
        else:
            language = (_option(created.options, "language") or "sql").lower()
            yield from self._trace_definition(created, language, source, deeper)

    def _trace_definition(
        self, created: Any, language: str, source: str, via: tuple[str, ...]
    ) -> Iterator[_Reached]:
        """Follow a function's body and the default values of its parameters."""
        yield from self.trace(created.parameters, via)
        if language == "plpgsql":
            yield from self._trace_plpgsql(source, via)
        elif language == "sql":
            yield from self.trace(created.sql_body, via)
            yield from self._trace_sql_text(_option(created.options, "as"), via)
        else:
            yield from self.unread(source, via, _Unread.NOT_PARSED)

    def _trace_block(self, block: Any, via: tuple[str, ...]) -> Iterator[_Reached]:
        body = _option(block.args, "as") or ""
        deeper = (*via, "a DO block")
        if (_option(block.args, "language") or "plpgsql") != "plpgsql":
            yield from self.unread(body, deeper, _Unread.NOT_PARSED)
        elif len(via) >= DEPTH:
            yield from self.unread(body, deeper, _Unread.TOO_MUCH)
        else:
            yield from self._trace_plpgsql(f"DO {_dollar_quoted(body)}", deeper)

    def _trace_sql_text(self, text: str | None, via: tuple[str, ...]) -> Iterator[_Reached]:
        if not text:
            return
        statements = _statements(text)
        if isinstance(statements, _Unread):
            yield from self.unread(text, via, statements)
        else:
            yield from self.trace(statements, via)

    def _trace_plpgsql(self, source: str, via: tuple[str, ...]) -> Iterator[_Reached]:
        # The PL/pgSQL parser returns a function or a DO block as nested dicts and lists.
        parsed = _parsed(parse_plpgsql, source)
        if isinstance(parsed, _Unread):
            yield from self.unread(source, via, parsed)
            return
        reached: list[_Reached] = []
        for text in _expressions(parsed):
            reached.extend(self._trace_sql_text(text, via))
        run = list(_texts_run(parsed))
        for literal in (text.beginning for text in run if text.is_whole):
            reached.extend(self._trace_sql_text(literal, (*via, _RUN)))
        if not all(text.is_told for text in run):
            reached.extend(self.unread(source, via, _Unread.PUT_TOGETHER))
        yield from reached

    def _trace_text(self, text: str, via: tuple[str, ...]) -> Iterator[_Reached]:
        """Follow a literal that is itself SQL: in dblink, EXECUTE, cron.schedule."""
        for attempt in (text, f"SELECT {text}"):
            statements = _statements(attempt)
            if not isinstance(statements, _Unread):
                if len(via) < DEPTH:
                    yield from self.trace(statements, (*via, _RUN))
                return


def _statements(text: str) -> tuple[Any, ...] | _Unread:
    parsed = _parsed(parse_sql, text)
    return parsed if isinstance(parsed, _Unread) else tuple(raw.stmt for raw in parsed)


def _parsed(parse: Callable[[str], Any], text: str) -> Any | _Unread:
    if len(text) > LONGEST:
        return _Unread.TOO_MUCH
    try:
        return parse(text)
    except RecursionError:
        return _Unread.TOO_MUCH
    except ParseError:
        return _Unread.NOT_PARSED


def _qualified(call: Any) -> tuple[str | None, str]:
    parts = [part.sval for part in call.funcname]
    return (parts[-2] if len(parts) > 1 else None), parts[-1]


def _nodes(tree: Any) -> Iterator[Any]:
    """``tree`` and every node below it. A call's own name is not among them."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple | list):
            waiting.extend(reversed(node))
        elif isinstance(node, ast.Node):
            yield node
            skip = {"funcname"} if isinstance(node, ast.FuncCall) else set()
            if isinstance(node, ast.DoStmt):
                skip = {"args"}
            elif isinstance(node, ast.CreateFunctionStmt):
                skip = {"parameters", "sql_body", "options"}
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
    """Every value under ``key`` in the PL/pgSQL parser's nested dicts and lists."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if key in node:
                yield node[key]
            node = list(node.values())
        if isinstance(node, list):
            waiting.extend(reversed(node))


def _expressions(parsed: Any) -> Iterator[str]:
    """The statements and expressions of a PL/pgSQL body, each as a statement of its own."""
    for expression in _values(parsed, "PLpgSQL_expr"):
        query, mode = expression["query"], expression.get("parseMode")
        if mode == _STATEMENT_MODE:
            yield query
        elif mode in _ASSIGN_MODES:
            yield from _sides(query)
        else:
            yield f"SELECT {query}"


def _sides(assignment: str) -> tuple[str, ...]:
    """Both sides of an assignment, because ``a[f()]`` on the left may call too.

    They part at the first sign that leaves a whole expression on either side: named arguments
    (``=>``) and texts contain such signs too.
    """
    for sign in islice(_ASSIGNMENT.finditer(assignment), _MOST_SIGNS):
        sides = (f"SELECT {assignment[: sign.start()]}", f"SELECT {assignment[sign.end() :]}")
        if not any(isinstance(_statements(side), _Unread) for side in sides):
            return sides
    return (f"SELECT {_ASSIGNMENT.split(assignment, maxsplit=1)[-1]}",)


@dataclass(frozen=True)
class _TextRun:
    """Text that a PL/pgSQL body runs: its first literal, and whether that is all of it."""

    beginning: str = ""
    is_whole: bool = False

    @property
    def is_told(self) -> bool:
        """Whether a reader can tell what the text calls."""
        return self.is_whole or bool(_MAINTENANCE.match(self.beginning))


def _texts_run(parsed: Any) -> Iterator[_TextRun]:
    for kind, part in _RUNS_TEXT:
        for statement in _values(parsed, kind):
            if part in statement:
                yield _text_run(statement[part]["PLpgSQL_expr"]["query"])


def _text_run(expression: str) -> _TextRun:
    statements = _statements(f"SELECT {expression}")
    if isinstance(statements, _Unread):
        return _TextRun()
    value = whole = statements[0].targetList[0].val
    while True:
        if isinstance(value, ast.A_Expr) and _operator(value) == "||":
            value = value.lexpr
        elif isinstance(value, ast.FuncCall) and _qualified(value)[1] == "format" and value.args:
            value = value.args[0]
        else:
            break
    literal = getattr(value, "val", None)
    if not isinstance(literal, ast.String):
        return _TextRun()
    return _TextRun(str(literal.sval), is_whole=value is whole)


def _operator(expression: Any) -> str:
    return str(expression.name[-1].sval)
