/* The inbox of Rapport for web pages; see docs/inbox.md. */
(() => {
  "use strict";
  const script = document.currentScript;
  const base = new URL(".", script.src).href.replace(/\/$/, "");
  const LABELS = {
    inbox: "Messages",
    unread: "{n} unread",
    empty: "No messages",
    failed: "Messages cannot be loaded at the moment.",
    markAll: "Mark all as read",
    remove: "Delete",
    removed: "Deleted",
    close: "Close",
    isNew: "unread",
  };
  const STYLE = `
:host{display:inline-block;position:relative;font:16px/1.45 system-ui,sans-serif;text-align:start}
*{box-sizing:border-box}
button{font:inherit;color:inherit;background:none;border:0;padding:6px;border-radius:6px;cursor:pointer}
button:hover{background:#0000000f}
:focus-visible{outline:3px solid var(--rapport-accent,#0b5fff);outline-offset:1px}
.bell{position:relative;padding:8px;line-height:0;color:var(--rapport-bell,currentColor)}
.badge{position:absolute;top:0;inset-inline-end:0;min-width:18px;padding:0 4px;border-radius:9px;font-size:12px;
line-height:18px;font-weight:600;color:#fff;background:var(--rapport-badge,#c4161c);text-align:center}
.panel{position:absolute;z-index:2147483000;top:100%;inset-inline-end:0;width:min(380px,calc(100vw - 16px));
max-height:min(560px,80vh);display:flex;flex-direction:column;margin-top:6px;background:#fff;color:#1b1b1b;border:1px solid #d5d5d5;
border-radius:12px;box-shadow:0 8px 28px #0003}
.left .panel{inset-inline:0 auto}
[hidden]{display:none!important}
header{display:flex;align-items:center;gap:4px;padding:8px 8px 8px 16px;border-bottom:1px solid #e3e3e3}
h2{flex:1;margin:0;font-size:17px}
header button{font-size:14px;color:var(--rapport-accent,#0b5fff)}
ul{list-style:none;margin:0;padding:0;overflow:auto}
li{display:flex;align-items:flex-start;padding:6px;border-bottom:1px solid #eee}
li:last-child{border:0}
.open{flex:1;display:flex;gap:12px;min-width:0;padding:8px;border-radius:8px;color:inherit;text-decoration:none;
text-align:start;align-items:flex-start}
.open:hover{background:#0000000a}
.dot{flex:none;width:8px;height:8px;margin-top:8px;border-radius:50%}
.new .dot{background:var(--rapport-accent,#0b5fff)}
img{flex:none;width:72px;height:56px;object-fit:cover;border-radius:6px}
.text{min-width:0;flex:1;overflow-wrap:anywhere}
.text *{display:block}
.new .title{font-weight:650}
.content{font-size:14px;white-space:pre-line}
time{font-size:13px;color:#5c5c5c}
p{margin:0;padding:28px 16px;text-align:center;color:#5c5c5c}
.remove{margin-top:4px;color:#5c5c5c;line-height:0}
.sr{position:absolute!important;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
@media (max-width:480px){.panel{position:fixed;inset:auto 8px 8px;width:auto;max-height:85vh}}
@media (prefers-color-scheme:dark){:host(.auto) .panel{background:#1e1e1e;color:#eee;border-color:#444;--rapport-accent:#8ab4ff}
:host(.auto) header,:host(.auto) li{border-color:#3a3a3a}:host(.auto) :is(time,p,.remove){color:#b5b5b5}
:host(.auto) button:hover,:host(.auto) .open:hover{background:#ffffff14}}`;
  const BELL = "M12 22a2 2 0 0 0 2-2h-4a2 2 0 0 0 2 2zm6-6v-5a6 6 0 0 0-5-5.9V4a1 1 0 0 0-2 0v1.1A6 6 0 0 0 6 11v5l-2 2v1h16v-1z";
  const BIN = "M6 7h12l-1 13a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1zm3-3h6l1 1h4v2H4V5h4z";

  function icon(path) {
    const NS = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(NS, "svg");
    for (const [name, value] of Object.entries({viewBox: "0 0 24 24", width: 22, height: 22, fill: "currentColor"}))
      svg.setAttribute(name, value);
    svg.setAttribute("aria-hidden", "true");
    svg.append(document.createElementNS(NS, "path"));
    svg.firstChild.setAttribute("d", path);
    return svg;
  }

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  /* Where a link may lead: to other pages and into apps, but into no script. */
  function target(url) {
    try {
      const parsed = new URL(url, location.href);
      return /^(javascript|data|vbscript|blob|file):$/.test(parsed.protocol) ? "" : parsed.href;
    } catch {
      return "";
    }
  }

  class Inbox {
    constructor(options) {
      this.options = {container: "", limit: 50, imageSize: "144x112", server: base, ...options};
      this.labels = {...LABELS, ...options.labels};
      this.messages = [];
      this.count = this.busy = 0;
      this.host = element("span", {className: options.theme === "auto" ? "auto" : ""});
      this.build(this.host.attachShadow({mode: "open"}));
      const mount = options.mount && document.querySelector(options.mount);
      mount ? mount.append(this.host) : script.after(this.host);
      this.onOutside = (event) => !event.composedPath().includes(this.host) && this.close(false);
      this.watch();
    }

    build(root) {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
      const {labels} = this;
      this.badge = element("span", {className: "badge", hidden: true, ariaHidden: "true"});
      this.bell = element("button", {className: "bell", type: "button"}, icon(BELL), this.badge);
      this.bell.setAttribute("aria-haspopup", "dialog");
      this.bell.onclick = () => (this.panel.hidden ? this.open() : this.close());
      this.all = element("button", {type: "button", textContent: labels.markAll});
      this.all.onclick = () => this.markAll();
      const shut = element("button", {type: "button", textContent: "✕", ariaLabel: labels.close, title: labels.close});
      shut.onclick = () => this.close();
      this.list = element("ul");
      this.note = element("p", {textContent: labels.empty});
      const head = element("header", {}, element("h2", {textContent: labels.inbox}), this.all, shut);
      this.panel = element("div", {className: "panel", hidden: true, ariaLabel: labels.inbox}, head, this.list, this.note);
      this.panel.setAttribute("role", "dialog");
      this.status = element("span", {className: "sr"});
      this.status.setAttribute("role", "status");
      this.frame = element("span", {}, this.bell, this.panel, this.status);
      this.frame.onkeydown = (event) => this.key(event);
      root.append(this.frame);
      this.tell(0);
    }

    key(event) {
      if (event.key === "Escape" && !this.panel.hidden) return this.close();
      const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
      const links = [...this.list.querySelectorAll(".open")];
      if (!step || this.panel.hidden || !links.length) return;
      event.preventDefault();
      const row = event.target.closest("li");
      const present = row ? links.indexOf(row.querySelector(".open")) : step > 0 ? -1 : links.length;
      links[Math.min(Math.max(present + step, 0), links.length - 1)].focus();
    }

    /* Calls of the server. */
    address(path, more) {
      const {tenant, brand, customer, visitor} = this.options;
      const query = new URLSearchParams({tenantId: tenant, brandId: brand, ...more});
      if (more !== undefined) {
        if (customer) query.set("customerId", customer);
        if (visitor) query.set("visitorId", visitor);
      }
      return `${this.options.server}/api/v2/embedded-messages/${path}?${query}`;
    }

    async headers(more) {
      const {jwt} = this.options;
      const token = typeof jwt === "function" ? await jwt() : jwt;
      return token ? {...more, "X-User-JWT": token, "X-Optimove-Auth-Capable": "1"} : {...more};
    }

    async load() {
      const {container, limit} = this.options;
      const body = container ? JSON.stringify([{containerId: container, limit}]) : null;
      const headers = await this.headers({"Content-Type": "application/json"});
      const answer = await fetch(this.address("get", {}), {method: "POST", headers, body});
      if (!answer.ok) throw new Error(answer.status);
      const {containers} = await answer.json();
      this.messages = Object.values(containers).flat();
      this.messages.sort((one, other) => (one.executionDateTime < other.executionDateTime ? 1 : -1));
    }

    async report(kind, messages) {
      const {customer, visitor} = this.options;
      const events = messages.map(({id, containerId}) => ({
        timestamp: new Date().toISOString(),
        uuid: crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random()}`,
        eventType: `embedded-message.${kind}`,
        customerId: customer || undefined,
        visitorId: visitor || undefined,
        context: {messageId: id, containerId},
      }));
      const headers = await this.headers({"Content-Type": "application/json"});
      /* What the stream tells meanwhile may be from before; keepalive: it arrives also when the page is left. */
      this.busy++;
      try {
        await fetch(this.address("report-events"), {method: "POST", headers, body: JSON.stringify(events), keepalive: true});
        do {
          this.heard = false;
          const answer = await fetch(this.address("get-unread-messages-count", {}), {headers: await this.headers()});
          if (this.busy === 1 && answer.ok) this.tell((await answer.json()).unread_count);
        } while (this.heard && this.busy === 1);
      } catch {
        /* The server is away: the stream tells the number once it is back. */
      }
      this.busy--;
    }

    /* The number of unread messages, as it changes. */
    async watch() {
      for (let pause = 1000; !this.stopped; pause = Math.min(pause * 2, 60000)) {
        this.stopping = new AbortController();
        try {
          const {signal} = this.stopping;
          const headers = await this.headers();
          const answer = await fetch(this.address("unread-messages-count-events", {}), {headers, signal});
          if (!answer.ok) throw new Error(answer.status);
          const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
          for (let text = ""; ; ) {
            const {done, value} = await reader.read();
            if (done) break;
            const parts = (text + value).split("\n\n");
            text = parts.pop();
            for (const part of parts) {
              const line = part.split("\n").find((each) => each.startsWith("data: "));
              if (line) this.changed(JSON.parse(line.slice(6)).unread_count);
              pause = 500;
            }
          }
        } catch {
          /* The connection ended; another begins below. */
        }
        if (!this.stopped) await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }

    changed(count) {
      this.heard = true;
      if (this.busy) return;
      const more = count > this.count;
      this.tell(count);
      if (more && !this.panel.hidden) this.refresh();
    }

    tell(count) {
      const {labels} = this;
      const words = labels.unread.replace("{n}", count);
      if (count > this.count) this.status.textContent = words;
      this.count = count;
      this.badge.hidden = !count;
      this.badge.textContent = count > 99 ? "99+" : count;
      this.bell.ariaLabel = count ? `${labels.inbox}, ${words}` : labels.inbox;
      this.bell.ariaExpanded = String(!this.panel.hidden);
      this.all.hidden = !count;
    }

    /* What is shown. */
    async open() {
      this.panel.hidden = false;
      this.frame.className = this.bell.getBoundingClientRect().left < 380 ? "left" : "";
      document.addEventListener("pointerdown", this.onOutside);
      this.tell(this.count);
      await this.refresh();
      (this.list.querySelector(".open") || this.panel.querySelector("button:not([hidden])")).focus();
    }

    close(focus = true) {
      this.panel.hidden = true;
      document.removeEventListener("pointerdown", this.onOutside);
      this.tell(this.count);
      if (focus) this.bell.focus();
    }

    async refresh() {
      try {
        await this.load();
        this.note.textContent = this.labels.empty;
      } catch {
        this.note.textContent = this.labels.failed;
        this.messages = [];
      }
      this.show();
    }

    show() {
      this.list.replaceChildren(...this.messages.map((message) => this.item(message)));
      this.note.hidden = this.messages.length > 0;
      this.list.hidden = !this.messages.length;
    }

    item(message) {
      const {labels} = this;
      const href = message.url ? target(message.url) : "";
      const open = href ? element("a", {className: "open", href}) : element("button", {className: "open", type: "button"});
      const at = new Date(message.executionDateTime);
      const text = element("span", {className: "text"});
      if (!message.readAt) text.append(element("span", {className: "sr", textContent: `${labels.isNew}: `}));
      text.append(element("span", {className: "title", textContent: message.title}));
      if (message.content) text.append(element("span", {className: "content", textContent: message.content}));
      text.append(element("time", {dateTime: message.executionDateTime, textContent: at.toLocaleString()}));
      open.append(element("span", {className: "dot", ariaHidden: "true"}));
      if (message.media) open.append(element("img", {src: this.picture(message.media), alt: "", loading: "lazy"}));
      open.append(text);
      open.onclick = (event) => this.clicked(event, message, href);
      const remove = element("button", {className: "remove", type: "button", title: labels.remove}, icon(BIN));
      remove.ariaLabel = `${labels.remove}: ${message.title}`;
      remove.onclick = () => this.remove(message);
      return element("li", {className: message.readAt ? "" : "new"}, open, remove);
    }

    picture(media) {
      return /^https?:/.test(media) ? media : `${this.options.server}/${this.options.imageSize}/${media.replace(/^\/+/, "")}`;
    }

    /* What is done with messages. */
    clicked(event, message, href) {
      const isNew = !message.readAt;
      this.report("clicked", [message]);
      if (isNew) this.report("read", [message]);
      message.readAt = message.readAt || new Date().toISOString();
      if (isNew) this.tell(Math.max(this.count - 1, 0));
      const opening = new CustomEvent("rapport-inbox-open", {detail: {message, href}, bubbles: true, composed: true, cancelable: true});
      if (!this.host.dispatchEvent(opening)) event.preventDefault();
      event.currentTarget.closest("li").className = "";
    }

    async markAll() {
      const unread = this.messages.filter((message) => !message.readAt);
      for (const message of unread) message.readAt = new Date().toISOString();
      this.tell(Math.max(this.count - unread.length, 0));
      this.show();
      this.panel.querySelector("header button:not([hidden])").focus();
      if (unread.length) await this.report("read", unread);
    }

    async remove(message) {
      const place = this.messages.indexOf(message);
      this.messages.splice(place, 1);
      if (!message.readAt) this.tell(Math.max(this.count - 1, 0));
      this.show();
      const links = this.list.querySelectorAll(".open");
      (links[Math.min(place, links.length - 1)] || this.panel.querySelector("header button:not([hidden])")).focus();
      this.status.textContent = `${this.labels.removed}: ${message.title}`;
      await this.report("deleted", [message]);
    }

    /* Another person uses the page. */
    setUser(user) {
      Object.assign(this.options, {customer: "", visitor: "", jwt: undefined}, user);
      this.messages = [];
      this.show();
      this.close(false);
      this.tell(0);
      this.stopping?.abort();
    }

    stop() {
      this.stopped = true;
      this.stopping?.abort();
      this.host.remove();
    }
  }

  window.RapportInbox = {init: (options) => new Inbox(options)};
  const {tenant, brand, customer, visitor} = script.dataset;
  if (tenant && brand && (customer || visitor)) window.RapportInbox.inbox = new Inbox({...script.dataset});
})();
