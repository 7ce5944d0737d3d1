"""The terminal's language is found in its environment, and the log is always in English."""

from __future__ import annotations

import logging

import pytest
from django.utils.translation import gettext_lazy, override

from multica_admin.language import language_of
from multica_admin.logging import JsonFormatter, TextFormatter


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh-hans"),
        ({"LANG": "zh_Hans"}, "zh-hans"),
        ({"LANG": "zh_TW.UTF-8"}, "zh-hans"),
        ({"LANG": "zh_SG.gb18030@pinyin"}, "zh-hans"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh-hans"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh-hans"),
        ({"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "../../etc/passwd"}, "en"),
        ({}, "en"),
    ],
)
def test_a_terminal_names_its_language(environment, language):
    assert language_of(environment, "en") == language


@pytest.mark.parametrize("formatter", [TextFormatter, JsonFormatter])
def test_a_line_of_the_log_is_in_english(formatter):
    said = gettext_lazy("Overview")
    record = logging.LogRecord("x", logging.INFO, "", 1, "look: %s", (said,), None)
    record.where = said
    record.exc_info = (ValueError, ValueError(said), None)
    with override("zh-hans"):
        assert str(said) == "概览"
        line = formatter().format(record)
        assert str(said) == "概览"
    assert line.count("Overview") == 3
    assert "概览" not in line
