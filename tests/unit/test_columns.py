"""Lines that fit a terminal, whatever the language."""

from textwrap import wrap
from unicodedata import east_asian_width

import pytest
from django.utils.translation import override

from executions.database.permissions import PURPOSES, statements
from executions.text.columns import wrapped

ENGLISH = "The role multica as viewer: run these, as a superuser or as the owner of the tables."
CHINESE = "数据库角色 multica（查看者）：请以超级用户，或表的所有者的身份执行“这些”语句。"


def columns(text):
    return sum(2 if east_asian_width(one) in "FW" else 1 for one in text)


@pytest.mark.parametrize("width", range(15, 90))
def test_english_breaks_between_words(width):
    assert list(wrapped(ENGLISH, width)) == wrap(ENGLISH, width)


@pytest.mark.parametrize("width", range(15, 90))
def test_chinese_fills_its_lines_and_leaves_each_mark_where_it_belongs(width):
    lines = list(wrapped(CHINESE, width))
    assert "".join(lines).replace(" ", "") == CHINESE.replace(" ", "")
    assert all(columns(line) <= width for line in lines)
    assert all(columns(line) > width - 14 for line in lines[:-1])
    assert not [line for line in lines if line[0] in "，。、：）”" or line[-1] in "（“"]


def test_a_word_that_is_longer_than_a_line_stays_whole():
    assert list(wrapped("执行 pg_catalog.pg_read_all_settings 之后", 10)) == [
        "执行",
        "pg_catalog.pg_read_all_settings",
        "之后",
    ]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_comments_of_the_rights_fit_a_terminal(purpose, language):
    with override(language):
        lines = statements("a", purpose, database="multica", cron_database="multica")
    said = [line for line in lines if line.startswith("--") and not line.endswith(";")]
    assert max(map(columns, said)) <= 96
