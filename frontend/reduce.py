"""Reduces a style sheet to the rules that the pages can use. PURE.

Dropped are selectors with a class that no page has, then animations and custom properties that no
rule names any more, then rules without contents. Each rule stands on a line of its own, so that two
changes meet only where both concern the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tinycss2

Node = Any  # tinycss2 has no types
Has = Callable[[str], bool]

_NAMED = re.compile(r"--[\w-]+")


def reduced(sheet: str, has_class: Has, elsewhere: str) -> str:
    """The part of ``sheet`` for pages whose classes satisfy ``has_class``.

    ``elsewhere`` are the other style sheets and scripts: custom properties that they name stay.
    """
    rules = list(_kept(_parsed(sheet), has_class))
    while True:
        text = "\n".join(rules)
        named = set(_NAMED.findall(elsewhere)) | set(re.findall(r"var\(\s*(--[\w-]+)", text))
        moving = set(re.findall(r"animation(?:-name)?:([^;}]*)", text))
        fewer = [rule for rule in (_without(one, named, " ".join(moving)) for one in rules) if rule]
        if fewer == rules:
            return f"{text}\n"
        rules = fewer


def _parsed(sheet: str) -> list[Node]:
    rules: list[Node] = tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)
    return rules


def classes_of(sheet: str) -> set[str]:
    """Every class that a selector of the sheet names, whether positively or not."""
    found: set[str] = set()
    for rule in _parsed(sheet):
        if rule.type == "qualified-rule":
            found |= _classes(rule.prelude)
        elif rule.type == "at-rule" and rule.content is not None and rule.at_keyword != "keyframes":
            found |= classes_of(tinycss2.serialize(rule.content))
    return found


def _kept(rules: Sequence[Node], has_class: Has) -> Iterator[str]:
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = [one for one in _selectors(rule.prelude) if _can_match(one, has_class)]
            if selectors:
                prelude = ",".join(tinycss2.serialize(one).strip() for one in selectors)
                yield f"{prelude}{{{tinycss2.serialize(rule.content)}}}"
        elif rule.type == "at-rule":
            yield from _kept_at_rule(rule, has_class)


def _kept_at_rule(rule: Node, has_class: Has) -> Iterator[str]:
    head = f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}"
    if rule.content is None:
        return  # @charset: a file of ASCII needs none
    if rule.at_keyword not in {"media", "supports"}:
        yield f"{head}{{{tinycss2.serialize(rule.content)}}}"
        return
    inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
    for kept in _kept(inner, has_class):
        yield f"{head}{{{kept}}}"


def _selectors(prelude: Sequence[Node]) -> Iterator[list[Node]]:
    one: list[Node] = []
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            yield one
            one = []
        else:
            one.append(token)
    yield one


def _can_match(selector: Sequence[Node], has_class: Has) -> bool:
    """Whether some page may have an element for it. What ``:not()`` excludes asks for nothing."""
    if not all(map(has_class, _classes(selector, inside=False))):
        return False
    for token in selector:
        if token.type == "[] block":
            name = next((one.value for one in token.content if one.type == "ident"), "")
            if name.startswith("data-bs-") and name != "data-bs-theme":
                return False
        alternatives = token.type == "function" and token.lower_name in {"is", "where"}
        if alternatives and not any(
            _can_match(one, has_class) for one in _selectors(token.arguments)
        ):
            return False
    return True


def _classes(selector: Sequence[Node], *, inside: bool = True) -> set[str]:
    found: set[str] = set()
    dotted = False
    for token in selector:
        if dotted and token.type == "ident":
            found.add(token.value)
        dotted = token.type == "literal" and token.value == "."
        if inside and token.type == "function":
            found |= _classes(token.arguments)
    return found


def _without(rule: str, named: set[str], moving: str) -> str:
    """The rule without custom properties that nothing names; "" if nothing remains."""
    if rule.startswith(("@keyframes", "@-webkit-keyframes")):
        name = rule.partition("{")[0].split()[-1]
        return rule if name in moving else ""
    if "--" not in rule:
        return "" if rule.rstrip("}").endswith("{") else rule
    head, brace, body = rule.rpartition("{")
    ending = "}" * (len(body) - len(body.rstrip("}")))
    kept = []
    for declaration in tinycss2.parse_declaration_list(
        body.removesuffix(ending), skip_comments=True, skip_whitespace=True
    ):
        if declaration.type != "declaration":
            kept.append(tinycss2.serialize([declaration]).rstrip(";"))
        elif not declaration.name.startswith("--") or declaration.name in named:
            important = "!important" if declaration.important else ""
            value = tinycss2.serialize(declaration.value)
            kept.append(f"{declaration.name}:{value}{important}")
    return f"{head}{brace}{';'.join(kept)}{ending}" if kept else ""
