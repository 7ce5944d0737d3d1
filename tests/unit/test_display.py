"""How values look on a page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django import forms
from django.template import Context, Template
from django.utils.timezone import override as in_zone
from django.utils.translation import override as in_language
from hypothesis import given
from hypothesis import strategies as st

from executions.pages import display
from executions.text import formatters
from multica_admin import settings as project

NOON = datetime(2025, 11, 24, 12, 0, 9, tzinfo=UTC)
SPRITE = project.BASE_DIR / "static" / display.SPRITE


def rendered(source: str, **context: object) -> str:
    return Template("{% load display %}" + source).render(Context(context))


@pytest.fixture(autouse=True)
def plain_static_files(settings: object) -> None:
    """Names without hashes, so that no static file has to be collected for a unit test."""
    storage = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {"staticfiles": {"BACKEND": storage}}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "—"),
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (1240, "1.2 s"),
        (9949, "9.9 s"),
        (9950, "10 s"),
        (59_600, "1 min"),
        (185_000, "3 min 5 s"),
        (15_600_000, "4 h 20 min"),
        (7_200_000, "2 h"),
        (273_600_000, "3 d 4 h"),
        (2**31 - 1, "24 d 20 h"),
    ],
)
def test_a_duration_is_said_in_at_most_two_units(milliseconds: int | None, text: str) -> None:
    assert formatters.duration(milliseconds) == text


def test_seconds_and_timedeltas_read_like_durations() -> None:
    assert formatters.seconds(15_600) == "4 h 20 min"
    assert formatters.seconds(timedelta(milliseconds=850)) == "850 ms"
    assert formatters.seconds(None) == "—"


def test_thousands_are_set_apart() -> None:
    assert formatters.count(9_902_213) == "9,902,213"
    assert formatters.count(0) == "0"
    assert formatters.count(None) == "—"


@pytest.mark.parametrize(
    ("offset", "name"),
    [
        (timedelta(), "UTC"),
        (timedelta(hours=1), "UTC+1"),
        (timedelta(hours=5, minutes=30), "UTC+5:30"),
        (-timedelta(hours=3, minutes=30), "UTC-3:30"),
    ],
)
def test_a_zone_is_named_by_its_offset(offset: timedelta, name: str) -> None:
    assert formatters.zone_name(NOON.astimezone(timezone(offset))) == name


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("datetime", "2025-11-24 13:00 UTC+1"),
        ("seconds", "2025-11-24 13:00:09 UTC+1"),
        ("clock", "13:00 UTC+1"),
        ("time", "13:00"),
        ("date", "2025-11-24"),
        ("hour", "13:00"),
    ],
)
def test_a_time_is_written_in_the_viewers_zone(form: str, text: str) -> None:
    with in_zone(ZoneInfo("Europe/Berlin")):
        assert formatters.written(NOON, form) == text


def test_the_first_hour_of_a_day_is_written_as_the_day_in_the_viewers_zone() -> None:
    late = NOON.replace(hour=23)
    assert formatters.written(late, "hour") == "23:00"
    with in_zone(ZoneInfo("Europe/Berlin")):
        assert formatters.written(late, "hour") == "Nov 25"


@pytest.mark.parametrize(
    ("zone", "value", "text"),
    [
        ("America/New_York", datetime(1, 1, 1, tzinfo=UTC), "00:00 UTC"),
        ("Asia/Tokyo", datetime(9999, 12, 31, 23, 59, tzinfo=UTC), "23:59 UTC"),
    ],
)
def test_a_time_at_an_end_of_the_calendar_is_written_in_utc(
    zone: str, value: datetime, text: str
) -> None:
    with in_zone(ZoneInfo(zone)):
        assert formatters.written(value, "clock") == text


@pytest.mark.parametrize(
    ("away", "text"),
    [
        (timedelta(), "0 s ago"),
        (timedelta(seconds=-12), "12 s ago"),
        (timedelta(seconds=-250), "4 min ago"),
        (timedelta(hours=-4, minutes=-20, seconds=-59), "4 h 20 min ago"),
        (timedelta(days=-3, hours=-4, minutes=-50), "3 d 4 h ago"),
        (timedelta(seconds=200), "in 3 min"),
        (timedelta(milliseconds=900), "0 s ago"),
    ],
)
def test_an_age_counts_from_the_given_clock(away: timedelta, text: str) -> None:
    assert formatters.relative(NOON + away, NOON) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30_000)))
def test_an_age_never_reads_older_than_it_is(away: timedelta) -> None:
    units = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
    words = formatters.relative(NOON - away, NOON).removesuffix(" ago").split()
    said = sum(
        int(number.replace(",", "")) * units[unit]
        for number, unit in zip(words[::2], words[1::2], strict=True)
    )
    assert said <= away.total_seconds() < said + 3_600


def test_a_moment_is_a_time_element_with_the_whole_moment_as_its_title() -> None:
    assert rendered('{% moment value "time" %}', value=NOON) == (
        '<time datetime="2025-11-24T12:00:09+00:00" data-form="time"'
        ' title="2025-11-24 12:00:09 UTC">12:00</time>'
    )
    assert rendered("{% moment value %}", value=None) == "—"


def test_an_age_is_a_time_element_that_the_browser_goes_on_counting() -> None:
    assert rendered("{% ago value now %}", value=NOON - timedelta(seconds=12), now=NOON) == (
        '<time datetime="2025-11-24T11:59:57+00:00" data-relative'
        ' title="2025-11-24 11:59:57 UTC">12 s ago</time>'
    )
    assert rendered("{% ago value now %}", value=None, now=NOON) == "—"


@pytest.mark.parametrize(
    ("away", "text"),
    [
        (timedelta(minutes=3, seconds=42), "in 3 min 42 s"),
        (timedelta(seconds=9), "in 9 s"),
        (timedelta(), "at any moment"),
        (-timedelta(minutes=1), "at any moment"),
    ],
)
def test_a_countdown_is_exact_and_ends(away: timedelta, text: str) -> None:
    html = formatters.countdown(NOON + away, NOON)
    assert 'data-relative="countdown"' in html
    assert html.endswith(f">{text}</time>")


@pytest.mark.parametrize("word", sorted(display.BADGES))
def test_every_badge_says_its_tone_in_text_and_in_a_shape_of_its_own(word: str) -> None:
    html = display.badge(word)
    assert f"tone-{display.tone(word)}" in html
    assert display.label(word) in html
    assert display.tone_icon(word) in html
    same_icon = {
        other for other, look in display.BADGES.items() if look.icon == display.look(word).icon
    }
    assert {display.tone(other) for other in same_icon} == {display.tone(word)}


def test_a_word_nobody_planned_for_is_shown_as_it_is_and_harmless() -> None:
    html = display.badge("<b>PAUSED</b>")
    assert "&lt;b&gt;PAUSED&lt;/b&gt;" in html
    assert "tone-mute" in html


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    sprite = SPRITE.read_text("utf-8")
    templates = (project.BASE_DIR / "templates").rglob("*.html")
    named = {
        name
        for path in templates
        for name in re.findall(r'{% icon "([^"]+)"', path.read_text("utf-8"))
    }
    named |= {look.icon for look in display.BADGES.values()} | {display.look("other").icon}
    assert {name for name in named if f'<symbol id="{name}"' not in sprite} == set()


class SampleForm(forms.Form):
    name = forms.CharField(help_text="As it stands in cron.job.")
    kind = forms.ChoiceField(choices=[("a", "A")])
    sure = forms.BooleanField()


def test_a_field_ties_label_help_and_errors_to_its_control() -> None:
    html = rendered("{% field form.name %}", form=SampleForm({}))
    assert '<label class="form-label" for="id_name">Name</label>' in html
    assert 'class="form-control is-invalid"' in html
    for piece in ("error", "helptext"):
        assert f'id="id_name_{piece}"' in html
    described = html.split('aria-describedby="', 1)[1].split('"', 1)[0].split()
    assert set(described) == {"id_name_error", "id_name_helptext"}


def test_selects_and_checkboxes_get_their_own_look() -> None:
    form = SampleForm()
    assert 'class="form-select"' in rendered("{% field form.kind %}", form=form)
    checkbox = rendered("{% field form.sure %}", form=form)
    assert 'class="form-check-input"' in checkbox
    assert '<span class="form-check-label">Sure</span>' in checkbox


def test_an_extreme_is_written_in_whole_minutes() -> None:
    assert [formatters.roughly(value) for value in (42, 1510, 7260)] == [
        "42 s",
        "25 min",
        "2 h 1 min",
    ]


# A mark that stands right behind a value, and not within a text that is translated as a whole.
WHOLE = re.compile(
    r"{% blocktranslate.*?{% endblocktranslate %}|{% comment %}.*?{% endcomment %}", re.DOTALL
)
BARE_MARK = re.compile(r"[%}]}[.,:;](?=[ <{]|$)", re.MULTILINE)


@pytest.mark.parametrize(("language", "marks"), [("en", ".,:;"), ("zh-hans", "。，：；")])
def test_a_mark_between_values_is_that_of_the_language(language, marks):
    with in_language(language):
        assert "".join(map(display.mark, ".,:;")) == marks


def test_no_template_has_an_english_mark_behind_a_value():
    bare = {
        path.name: found
        for path in (project.BASE_DIR / "templates").rglob("*.html")
        if (found := BARE_MARK.findall(WHOLE.sub("{% x %}", path.read_text("utf-8"))))
    }
    assert not bare
