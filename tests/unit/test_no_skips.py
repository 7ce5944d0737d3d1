"""Nothing is skipped: a skip fails, wherever it is said."""

from __future__ import annotations

import pytest

SKIPS = {
    "by a mark": "@pytest.mark.skip\ndef test_it(): pass",
    "on a condition": "@pytest.mark.skipif(True, reason='today')\ndef test_it(): pass",
    "inside": "def test_it(): pytest.skip('today')",
    "in a fixture": "@pytest.fixture\ndef one(): pytest.skip('today')\ndef test_it(one): pass",
    "as a whole file": "pytest.importorskip('no_such_module')\ndef test_it(): pass",
}


@pytest.mark.parametrize("skip", SKIPS)
def test_a_skip_is_a_failure(pytester, skip):
    pytester.makepyfile(f"import pytest\n{SKIPS[skip]}")
    result = pytester.runpytest_inprocess("-p", "tests.no_skips", "-p", "no:django")
    outcomes = result.parseoutcomes()
    assert result.ret != 0
    assert "skipped" not in outcomes
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 1
    result.stdout.fnmatch_lines(["*Nothing is skipped here*"])


def test_what_is_expected_to_fail_and_what_passes_are_left_alone(pytester):
    pytester.makepyfile(
        "import pytest\n@pytest.mark.xfail\ndef test_one(): assert 0\ndef test_two(): pass"
    )
    result = pytester.runpytest_inprocess("-p", "tests.no_skips", "-p", "no:django")
    result.assert_outcomes(xfailed=1, passed=1)
