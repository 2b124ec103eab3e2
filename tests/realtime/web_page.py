"""A page in jsdom with the web SDK of the npm package optimove-websdk, whose hosts lead to the server under test."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from senders import Sender

NODE, NPM = shutil.which("node"), shutil.which("npm")
PACKAGES = ("optimove-websdk@1.2.2", "jsdom@22")
INSTALL_SECONDS, PAGE_SECONDS = 120, 60
HEAD = """
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
const until = async ready => { for (let n = 0; n < 400 && !ready(); n++) await wait(50); };
const sdk = new OptimoveWebSDK({ tenantToken: token, configVersion: '1.0.0' });
(async () => {
  await sdk.init();
"""
TAIL = """
})().then(() => process.exit(0), error => { console.error(error); process.exit(1); });
"""


def installed(folder: Path) -> Path:
    """The folder, with the packages; skips where they cannot be had."""
    if NODE is None or NPM is None:
        pytest.skip("node and npm are not installed")
    command = [NPM, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", *PACKAGES]
    (folder / "package.json").write_text('{"private": true}')
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not reach a registry")
    if done.returncode:
        pytest.skip("npm cannot install optimove-websdk and jsdom")
    return folder


def said_by_page(folder: Path, work: str, sender: Sender) -> dict[str, Any]:
    """What a page prints last that does some work once its SDK is ready."""
    (folder / "page.js").write_text(HEAD + work + TAIL)
    links = sender.scope.stores.settings.links_url
    command = [str(NODE), "page.js", str(sender.client.base_url).rstrip("/"), links, sender.public]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PAGE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said
