"""import-linter holds every module that calls itself pure to it."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_module_that_calls_itself_pure_is_in_the_contract():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (held,) = [
        contract["source_modules"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["name"].startswith("Pure modules")
    ]
    pure = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "executions").rglob("*.py")
        if path.read_text("utf-8").startswith('"""PURE')
    }
    assert len(pure) > 50
    # The contract of a package holds for what is below it too.
    assert not [one for one in pure if not f"{one}.".startswith(tuple(f"{of}." for of in held))]
