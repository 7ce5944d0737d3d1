"""Sentences are translated when they are shown, and makemessages collects their texts."""

from __future__ import annotations

import pytest
from django.utils import translation

from executions.management.commands.makemessages import Command
from executions.text.sentences import apart, quoted, say, say_counted, together


@pytest.fixture(autouse=True)
def languages(settings, monkeypatch):
    """An install that offers a second language; Django's own catalogs have the words."""
    settings.USE_I18N = True
    monkeypatch.setattr(translation, "_trans", type(translation._trans)())


def test_a_text_is_translated_when_it_is_shown_and_not_when_it_is_said():
    said = say("Monday")
    assert str(said) == "Monday"
    with translation.override("de"):
        assert (str(said), said.html()) == ("Montag", "Montag")


def test_the_number_chooses_the_form_in_each_language():
    one, many = (say_counted(n, "%(size)d byte", "%(size)d bytes", size=n) for n in (1, 3))
    assert (str(one), str(many)) == ("1 byte", "3 bytes")
    with translation.override("fr"):
        assert (str(one), str(many)) == ("1 octet", "3 octets")


def test_a_text_from_elsewhere_stays_as_it_is():
    with translation.override("de"):
        assert str(quoted("Monday at 100%")) == "Monday at 100%"


def test_makemessages_collects_the_texts_of_both():
    assert {"--keyword=say", "--keyword=say_counted:2,3"} <= set(Command.xgettext_options)


def test_items_that_may_have_commas_stand_apart():
    parts = apart(["schedule: 1,2 → 3", say("Nothing was changed.")])
    assert str(parts) == "schedule: 1,2 → 3; Nothing was changed."
    with translation.override("zh-hans"):
        assert str(parts) == "schedule: 1,2 → 3；没有任何更改。"


def test_chinese_sentences_follow_each_other_without_a_space():
    both = together(say("Nothing was changed."), say("Nothing was removed."))
    assert str(both) == "Nothing was changed. Nothing was removed."
    with translation.override("zh-hans"):
        assert (str(both), both.html()) == ("没有任何更改。没有删除任何记录。",) * 2
