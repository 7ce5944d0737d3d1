"""The ways to sign in, in a real browser under the real policy, through a real provider."""

from __future__ import annotations

import re

from multica_admin.ways import Ways
from tests.browser.measuring import looked_at, ready
from tests.signing_in import GROUPS, Issuer, with_ways


def test_everybody_can_use_every_way(open_page, expect, console, caplog):
    issuer = Issuer()
    issuer.knows("ada", email="ada@example.com", email_verified=True, groups=["watchers"])
    provider = issuer.provider(groups=GROUPS)
    page = open_page(signed_in=False)
    try:
        with with_ways(Ways(code=True, providers=(provider,))):
            page.goto("/login/?next=/jobs/")
            ready(page)
            assert looked_at(page) == []
            # The provider makes the account, and another sign-in takes a code.
            page.get_by_role("link", name="Sign in with Keycloak").click()
            page.locator("input[name=sub]").fill("ada")
            page.get_by_role("button", name=re.compile("authorize", re.IGNORECASE)).first.click()
            expect(page.locator("h1")).to_have_text("Jobs")
            console.clear()  # the provider's own page loads a style sheet from elsewhere
            page.locator(".tool-user").click()
            page.get_by_role("button", name="Sign out", exact=True).click()
            page.get_by_label("Email address").fill("ada@example.com")
            page.get_by_role("button", name="Send me a code").click()
            expect(page.locator("h1")).to_have_text("Type the code")
            assert looked_at(page) == []
            found = re.search(r"\[DEV\] Verification code for \S+: (\d{6})", caplog.text)
            assert found
            page.get_by_label("Code").fill(found[1])
            page.get_by_role("button", name="Sign in").click()
            expect(page.locator(".tool-user")).to_contain_text("ada")
        with with_ways(Ways(password=False, code=True)):
            page.goto("/confirm/?next=/jobs/")
            assert looked_at(page) == []
    finally:
        issuer.close()
