from __future__ import annotations

import re

import pytest


async def test_without_a_session_a_person_is_told_what_to_type(stranger):
    status, text = await stranger.get("/")
    assert status == 401
    assert "byoi dashboard" in text
    assert "n1" not in text


async def test_a_page_of_another_site_gets_nothing(browser):
    status, text = await browser.get("/", **{"Sec-Fetch-Site": "cross-site"})
    assert (status, "n1" in text) == (403, False)
    status, _ = await browser.get("/", Host="evil.example")
    assert status == 403


@pytest.mark.parametrize(
    "wrong", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_a_form_of_another_site_changes_nothing(browser, node, wrong):
    word = await browser.word()
    status, _, _ = await browser.post("/switch", {"turn": "off", "csrf_token": word}, **wrong)
    assert (status, node.switch.orders) == (403, [])


async def test_a_form_without_the_session_s_word_changes_nothing(browser, node):
    status, _, _ = await browser.post("/switch", {"turn": "off", "csrf_token": "guessed"})
    assert (status, node.switch.orders) == (403, [])


async def test_only_pages_that_have_something_to_show_are_named(browser):
    _, text = await browser.get("/")
    nav = text.partition("<nav")[2].partition("</nav>")[0]
    assert re.findall(r'href="([^"]+)"', nav) == ["/", "/about"]
    assert (await browser.get("/schedule"))[0] == 404


async def test_a_page_that_is_none_is_told_as_a_page(browser):
    status, text = await browser.get("/nowhere")
    assert status == 404
    assert "There is no such page" in text
    assert "To the overview" in text


async def test_no_page_has_anything_inline_or_foreign(browser):
    _, text = await browser.get("/")
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=|<style", text)
    assert not re.search(r'(?:src|href)="(?![/#])', text)


async def test_the_headers_forbid_what_the_pages_do_not_need(browser):
    async with browser.http.get(browser.url + "/", headers=browser.headers) as response:
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-store"
        assert response.content_type == "text/html"
