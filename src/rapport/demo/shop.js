/* The page of the demo's shop: it reports what its customer does, and asks whether messages may come to this browser. */
(() => {
  "use strict";
  const {tenant, token, customer} = document.currentScript.dataset;
  const prompt = document.querySelector("#prompt");
  const status = document.querySelector("[role=status]");
  const TEXTS = {
    ask: "May Calluna send you messages in this browser, also when the shop is closed?",
    denied: "This browser blocks messages of the shop. Its settings for this site can allow them.",
    on: "Messages of Calluna come to this browser.",
  };
  const BUTTONS = {ask: ["allow", "later"], denied: [], on: ["stop"]};

  function kept(name, make) {
    if (!localStorage.getItem(name)) localStorage.setItem(name, make());
    return localStorage.getItem(name);
  }

  const install = kept("install", () => crypto.randomUUID());
  const visitor = kept(`visitor-${customer}`, () => crypto.randomUUID().replaceAll("-", "").slice(0, 16));

  async function post(path, body, headers) {
    const answer = await fetch(path, {
      method: "POST",
      headers: {"Content-Type": "application/json", ...headers},
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`The server has answered ${answer.status}.`);
  }

  /* Events of the site, as its SDK sends them. */
  const report = (event, context) =>
    post(`/v1/optistream/${token}`, [
      {
        tenant: Number(tenant),
        category: "track",
        event,
        origin: "sdk",
        customer,
        visitor,
        timestamp: new Date().toISOString(),
        context,
        metadata: {realtime: true, eventId: crypto.randomUUID(), sdk_platform: "web", sdk_version: "1.0.0"},
      },
    ]);

  /* Events of this browser's installation. */
  async function tell(...events) {
    const {keys} = await configuration();
    const written = events.map(([type, data]) => ({
      type,
      data,
      uuid: crypto.randomUUID(),
      timestamp: Date.now(),
      userId: customer,
    }));
    const authorization = `Basic ${btoa(`${keys.apiKey}:${keys.secretKey}`)}`;
    await post(`/v1/app-installs/${install}/events`, written, {Authorization: authorization});
  }

  const configuration = async () => (await fetch(`/v2/web/config?tenantId=${tenant}&installId=${install}`)).json();

  function show(state) {
    prompt.hidden = !state;
    if (!state) return;
    prompt.dataset.state = state;
    prompt.querySelector("p").textContent = TEXTS[state];
    for (const button of prompt.querySelectorAll("button")) button.hidden = !BUTTONS[state].includes(button.dataset.does);
  }

  async function registered() {
    return navigator.serviceWorker.register(`worker.js?${new URLSearchParams({tenant, install, customer})}`);
  }

  async function subscription() {
    const {publicKey} = await configuration();
    const registration = await registered();
    await navigator.serviceWorker.ready;
    const old = await registration.pushManager.getSubscription();
    if (old && localStorage.getItem("subscribed-for") === publicKey) return old;
    if (old) await old.unsubscribe();
    localStorage.removeItem("subscribed-for");
    const made = await registration.pushManager.subscribe({userVisibleOnly: true, applicationServerKey: publicKey});
    localStorage.setItem("subscribed-for", publicKey);
    return made;
  }

  async function subscribe() {
    const made = await subscription();
    const device = {
      app: {version: "1.0.0", bundle: location.host},
      sdk: {id: 10, version: "1.0.0"},
      runtime: {id: 8, version: "1"},
      os: {id: 0, version: ""},
      device: {name: navigator.userAgent, tz: Intl.DateTimeFormat().resolvedOptions().timeZone, locale: navigator.language},
    };
    await tell(
      ["k.stats.installTracked", device],
      ["k.stats.userAssociated", {id: customer}],
      ["k.push.deviceRegistered", {type: 3, token: made.toJSON ? made.toJSON() : made}],
    );
    show("on");
  }

  const DOES = {
    async allow() {
      if ((await Notification.requestPermission()) !== "granted") return show(state());
      status.textContent = "The browser registers with its push service.";
      await subscribe();
      await report("messages_allowed", {});
      status.textContent = "Thank you. The first message is on its way to this browser.";
    },
    async later() {
      localStorage.setItem("later", "yes");
      show("");
    },
    async stop() {
      const registration = await navigator.serviceWorker.getRegistration();
      const made = registration && (await registration.pushManager.getSubscription());
      if (made) await made.unsubscribe();
      localStorage.removeItem("subscribed-for");
      await tell(["k.push.deviceUnsubscribed"]);
      show("ask");
      status.textContent = "No more messages come to this browser.";
    },
    async buy({sku, category, price}) {
      await report("product_viewed", {sku, category, price: Number(price)});
      await report("checkout_completed", {order_total: Number(price), items: 1});
      status.textContent = "Thank you for your order. A message about it is on its way.";
    },
  };

  function state() {
    if (Notification.permission === "denied") return "denied";
    if (localStorage.getItem("subscribed-for") && Notification.permission === "granted") return "on";
    return localStorage.getItem("later") ? "" : "ask";
  }

  document.addEventListener("click", async ({target}) => {
    const does = DOES[target.dataset?.does];
    if (!does) return;
    target.disabled = true;
    try {
      await does(target.dataset);
    } catch (error) {
      status.textContent = `That did not work: ${error.message}`;
    }
    target.disabled = false;
  });

  async function begin() {
    document.querySelector("#who").onchange = ({target}) => target.form.submit();
    report("set_page_visit", {customURL: location.href, pageTitle: document.title}).catch(() => {});
    if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) return;
    show(state());
    /* The browser is now this customer's, and the keys may be those of another demo. */
    if (state() === "on") await subscribe().catch(() => show("ask"));
  }

  begin();
})();
