"""The web SDK of the npm package optimove-websdk, in a page of jsdom, whose hosts lead here."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from senders import Sender, logged, stored

from rapport.access.scope import Scope
from rapport.realtime.events import visitors

NODE, NPM = shutil.which("node"), shutil.which("npm")
PACKAGES = ("optimove-websdk@1.2.2", "jsdom@22")
INSTALL_SECONDS, PAGE_SECONDS = 120, 60
# The page: hosts of the vendor lead to this server; what it does is what a shop would.
PAGE = """
const { JSDOM, ResourceLoader } = require('jsdom');
const [base, links, token] = process.argv.slice(2);
const local = url => url.replace('https://sdk-cdn.optimove.net', base).replace(links, base);
class Hosts extends ResourceLoader {
  fetch(url, options) { return super.fetch(local(url), options); }
}
const dom = new JSDOM('<html><head><title>Shop</title></head><body></body></html>', {
  url: 'https://shop.example/?utm_campaign=spring', runScripts: 'dangerously', resources: new Hosts(),
  pretendToBeVisual: true,
});
const { window } = dom;
const { open } = window.XMLHttpRequest.prototype;
window.XMLHttpRequest.prototype.open = function (method, url, ...rest) {
  open.call(this, method, local(url), ...rest);
};
const outside = globalThis.fetch;
globalThis.fetch = (url, options) => outside(local(url), options);
for (const name of ['window', 'document', 'localStorage', 'sessionStorage', 'location', 'XMLHttpRequest']) {
  Object.defineProperty(globalThis, name, { value: window[name], configurable: true, writable: true });
}
Object.defineProperty(globalThis, 'navigator', { value: window.navigator, configurable: true, writable: true });
globalThis.self = window;
const { OptimoveWebSDK } = require('optimove-websdk');
const { optimoveSDK } = require('optimove-websdk/dist/vendor/sdk');
const said = work => new Promise(done => work(done));
const wait = ms => new Promise(done => setTimeout(done, ms));
(async () => {
  const sdk = new OptimoveWebSDK({ tenantToken: token, configVersion: '1.0.0' });
  await sdk.init();
  const first = optimoveSDK.API.getVisitorId();
  await sdk.setPageVisit('https://Shop.example/Bicycles', 'Bicycles', 'catalogue');
  await wait(500);  // the SDK sends again what is still on its way
  await said(done => optimoveSDK.API.reportEvent('basket_filled', { amount: 12.5, note: 'two' }, done));
  await said(done => optimoveSDK.API.setUserId('Web-1', done));
  await said(done => optimoveSDK.API.setUserEmail('web-1@example.com', done));
  await wait(300);
  console.log(JSON.stringify({
    first, later: optimoveSDK.API.getVisitorId(), version: optimoveSDK.API.getConfigurationVersion(),
    popup: window.document.body.textContent,
  }));
  process.exit(0);
})().catch(error => { console.error(error); process.exit(1); });
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the packages are installed; skips where they cannot be."""
    if NODE is None or NPM is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("web-sdk")
    command = [NPM, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", *PACKAGES]
    (folder / "package.json").write_text('{"private": true}')
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not reach a registry")
    if done.returncode:
        pytest.skip("npm cannot install optimove-websdk and jsdom")
    return folder


@pytest.fixture(scope="module")
def shown(packages: Path, sender: Sender, scope: Scope, api: httpx.Client, base_url: str) -> dict[str, Any]:
    """What the page says when it is done."""
    declared = {"name": "basket_filled", "parameters": {"amount": "Number", "note": "String"}}
    api.post("/manage/v1/event-types", json=declared).raise_for_status()
    (packages / "page.js").write_text(PAGE)
    command = [str(NODE), "page.js", base_url, scope.stores.settings.links_url, sender.public]
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, timeout=PAGE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


def test_what_the_sdk_reports_reaches_us_once(sender: Sender, scope: Scope, shown: dict[str, Any]) -> None:
    assert shown["version"] == "1.0.0"
    rows = [row for row in stored(scope) if row["visitor_id"] in (shown["first"], shown["later"])]
    assert [row["event"] for row in rows] == [
        "optimove_sdk_metadata",
        "set_page_visit",
        "basket_filled",
        "set_user_id_event",
        "set_email_event",
    ]
    by_name = {row["event"]: row["parameters"] for row in rows}
    assert by_name["set_page_visit"]["customURL"] == "shop.example/bicycles"
    assert by_name["set_page_visit"]["pageTitle"] == "Bicycles"
    assert (by_name["basket_filled"]["amount"], by_name["basket_filled"]["note"]) == (12.5, "two")
    assert by_name["set_email_event"]["email"] == "web-1@example.com"
    assert by_name["optimove_sdk_metadata"]["app_ns"] == "shop.example"
    assert [entry["reason"] for entry in logged(scope)] == []


def test_the_sdk_says_who_the_visitor_is(scope: Scope, shown: dict[str, Any]) -> None:
    assert shown["later"] == visitors.derived_from("Web-1") != shown["first"]
    with scope.records() as session:
        assert visitors.customer_of(scope, session, [shown["first"]]) == {shown["first"]: "Web-1"}
