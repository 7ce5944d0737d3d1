"""The language of a page: the browser's wish, the choice that is remembered, and what is shared."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from executions.alarms.silences import begin
from executions.database.problems import OneLinePerProblem
from executions.health.facts.pg_cron import PgCron, Visibility
from executions.models.retirement import Retirement
from executions.retirement.audit import Who
from tests import scenarios
from tests.emptying import forget_all
from tests.rights import let_read
from tests.web.test_overview_schedules import JOB

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
HAN = re.compile("[一-鿿]")


def title(answer):
    return re.search("<title>(.*?)</title>", answer.content.decode(), re.DOTALL)[1]


@pytest.mark.parametrize("wish", ["zh-CN,zh;q=0.9,en;q=0.8", "zh-SG", "zh-Hans-CN", "zh"])
def test_a_browser_that_wants_chinese_gets_it(wish):
    answer = Client().get("/login/", headers={"Accept-Language": wish})
    html = answer.content.decode()
    assert '<html lang="zh-hans">' in html
    assert "登录" in title(answer)
    assert answer["Content-Language"] == "zh-hans"
    assert "Accept-Language" in answer["Vary"]


@pytest.mark.parametrize("wish", ["", "en-GB", "de", "xx;q=oops"])
def test_every_other_browser_gets_english(wish):
    html = Client().get("/login/", headers={"Accept-Language": wish}).content.decode()
    assert '<html lang="en">' in html
    assert HAN.findall(html.replace("简体中文", "")) == []


def choose(client, language, **form):
    return client.post(reverse("set_language"), {"language": language, "next": "/"} | form)


def test_the_choice_counts_more_than_the_browsers_wish_and_is_remembered(viewer, owner):
    scenarios.healthy(owner)
    assert "概览" not in viewer.get("/").content.decode()
    chosen = choose(viewer, "zh-hans", next="/runners/?window=7d")
    assert (chosen.status_code, chosen["Location"]) == (302, "/runners/?window=7d")
    cookie = chosen.cookies[settings.LANGUAGE_COOKIE_NAME]
    assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/", "Lax", True)
    assert int(cookie["max-age"]) > 300 * 86_400
    html = viewer.get("/").content.decode()
    assert '<html lang="zh-hans">' in html
    assert "概览" in html
    choose(viewer, "en")
    assert '<html lang="en">' in viewer.get("/", headers=CHINESE).content.decode()


def test_a_stranger_chooses_before_signing_in():
    client = Client(enforce_csrf_checks=True)
    html = client.get("/login/?next=/audit/").content.decode()
    token = re.search('name="csrfmiddlewaretoken" value="(.*?)"', html)[1]
    form = re.search('<form class="languages".*?</form>', html, re.DOTALL)[0]
    assert 'action="/language/"' in form
    assert 'name="next" value="/login/?next=/audit/"' in form
    assert 'value="en" lang="en" aria-pressed="true"' in form
    answer = choose(client, "zh-hans", next="/login/", csrfmiddlewaretoken=token)
    assert answer["Location"] == "/login/"
    assert "登录" in title(client.get("/login/"))


def test_the_choice_needs_its_token_and_leads_to_no_other_host():
    assert choose(Client(enforce_csrf_checks=True), "zh-hans").status_code == 403
    assert choose(Client(), "zh-hans", next="https://elsewhere.example/")["Location"] == "/"
    assert Client().get(reverse("set_language")).status_code == 405


def test_an_unknown_language_changes_nothing():
    client = Client()
    choose(client, "tlh")
    assert settings.LANGUAGE_COOKIE_NAME not in client.cookies
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "../../etc"
    assert '<html lang="en">' in client.get("/login/").content.decode()


def test_a_page_that_a_form_led_to_offers_the_overview(viewer):
    html = viewer.post("/password/", {"old_password": "wrong"}).content.decode()
    form = re.search('<form class="languages".*?</form>', html, re.DOTALL)[0]
    assert f'name="next" value="{reverse("overview")}"' in form


def shown(client, path, language):
    """What a refresh shows, without times and versions."""
    headers = {"Accept-Language": language, "HX-Request": "true", "HX-Target": "overview"}
    answer = client.get(path, headers=headers)
    html = answer.content.decode()
    return re.sub(r"<time.*?</time>|[0-9a-f]{8}|\d+|data-now=\S+|value=\"\w{64}\"", "", html)


def test_nobody_reads_what_is_shared_in_the_language_of_another(owner, viewer, every_page):
    """Somebody reads each page in English; the next one refreshes it in Chinese."""
    world = scenarios.sound(owner)
    world.change(range(0, 40, 8), failed=True)
    world.write()
    owner.execute("REVOKE SELECT ON task_usage_hourly_rollup_state FROM multica_view")
    try:
        for path in every_page:
            forget_all()
            viewer.get(path, headers={"Accept-Language": "en"})
            after_english = shown(viewer, path, "zh-CN")
            forget_all()
            viewer.get(path, headers={"Accept-Language": "zh-CN"})
            assert after_english == shown(viewer, path, "zh-CN"), path
    finally:
        let_read(owner)


@pytest.mark.usefixtures("one_snapshot")
def test_a_card_that_is_kept_for_all_has_the_words_of_each_reader(owner, viewer, monkeypatch):
    scenarios.healthy(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (JOB,))
    monkeypatch.setattr("executions.health.read_pg_cron.visible_jobs", lambda _fetch: jobs)
    begin(Who("olga", why="x"), code="lock_leaked", span=timedelta(hours=1))
    Retirement.objects.create(jobid=99, started_by="olga")
    viewer.get("/", headers={"Accept-Language": "en"})
    for language, words in {
        "zh-CN": (
            "每 5 分钟",
            "“一个被遗忘的会话占着用量汇总的锁”",
            "olga 已开始停用 pg_cron 作业 99",
        ),
        "en": (
            "every 5 minutes",
            "“A forgotten session keeps the rollup&#x27;s lock”",
            "olga has begun to retire pg_cron job 99",
        ),
    }.items():
        headers = {"Accept-Language": language, "HX-Request": "true", "HX-Target": "overview"}
        html = viewer.get("/", headers=headers).content.decode()
        assert [one for one in words if one not in html] == []


def test_a_day_is_written_in_the_order_of_its_language(owner, viewer):
    scenarios.healthy(owner)
    for language, day in {
        "zh-CN": r"\d{1,2}月\d{1,2}日 星期[一二三四五六日]",
        "en": r"[A-Z][a-z]{2} \d{1,2} [A-Z][a-z]{2}",
    }.items():
        html = viewer.get("/?window=7d", headers={"Accept-Language": language}).content.decode()
        labels = re.findall(r'role="rowheader">([^<]*)<', html)
        assert len(labels) in {7, 8}
        assert [one for one in labels if not re.fullmatch(day, one)] == []


def test_the_log_tells_in_english_what_a_page_says_in_chinese(viewer, caplog):
    said = viewer.get("/retire/", headers={"Accept-Language": "zh-CN"}).content.decode()
    assert "操作员" in said
    assert "operator" not in said
    line = next(one for one in caplog.records if getattr(one, "code", "") == "forbidden")
    OneLinePerProblem().filter(line)
    assert line.getMessage().startswith("This is for the role operator.")
