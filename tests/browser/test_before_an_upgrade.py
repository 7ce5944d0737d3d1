"""The page Before an upgrade: a version is typed, and the answer for it has an address to share."""

import re

from tests import scenarios


def test_a_version_that_is_typed_is_answered_and_stays_in_the_address(owner, page, expect):
    scenarios.healthy(owner)
    page.goto("/rollup/upgrade/")
    field = page.get_by_label("Upgrade Multica to a version")
    expect(field).to_have_value("v0.4.31")
    field.fill("9.1.0")
    field.press("Enter")
    expect(page).to_have_url(re.compile(r"/rollup/upgrade/\?to=9\.1\.0$"))
    expect(page.locator("#limit")).to_contain_text("up to v9.1.0, is not judged")
    expect(page.locator("#step-upgrade")).to_contain_text("MULTICA_IMAGE_TAG=v9.1.0")
