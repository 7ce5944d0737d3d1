"""A tab that another test had is as a new one."""

from __future__ import annotations

from tests.browser.remote import unwrap

KEEP = """() => {
  localStorage.setItem("kept", "yes");
  sessionStorage.setItem("kept", "yes");
  document.cookie = "kept=yes";
}"""
KEPT = """() => [
  localStorage.length, sessionStorage.length, document.cookie.includes("kept"),
  history.length, innerWidth,
  ...["print", "(prefers-color-scheme: dark)", "(prefers-contrast: more)",
      "(forced-colors: active)", "(prefers-reduced-motion: reduce)",
  ].map((query) => matchMedia(query).matches),
]"""


def test_a_tab_keeps_nothing_from_one_test_to_the_next(tabs, open_page):
    page = open_page(signed_in=False)
    page.goto("/login/")
    page.goto("/login/?next=/executions/")
    page.evaluate(KEEP)
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(
        media="print",
        color_scheme="dark",
        contrast="more",
        forced_colors="active",
        reduced_motion="reduce",
    )
    changed = page.evaluate(KEPT)
    tabs.put_back()
    again, new = open_page(signed_in=False), open_page(signed_in=False, is_cold=True)
    assert unwrap(again) is unwrap(page)
    again.goto("/login/")
    new.goto("/login/")
    assert again.evaluate(KEPT) == new.evaluate(KEPT)
    assert not [one for one, other in zip(changed, new.evaluate(KEPT), strict=True) if one == other]


def test_a_tab_that_cannot_forget_is_closed(tabs, open_page):
    page = open_page(signed_in=False)
    page.set_extra_http_headers({"Accept-Language": "zh-CN"})
    page.goto("/login/")
    tabs.put_back()
    assert unwrap(page).is_closed()
    assert unwrap(open_page(signed_in=False)) is not unwrap(page)
