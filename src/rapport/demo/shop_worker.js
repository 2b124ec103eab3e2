/* The service worker of the demo's shop: it shows the messages that come to the browser, and reports what becomes of them. */
"use strict";
const {tenant, install, customer} = Object.fromEntries(new URL(self.location).searchParams);

async function report(type, id) {
  const {keys} = await (await fetch(`/v2/web/config?tenantId=${tenant}&installId=${install}`)).json();
  const event = {type, data: {type: 1, id}, uuid: crypto.randomUUID(), timestamp: Date.now(), userId: customer};
  await fetch(`/v1/app-installs/${install}/events`, {
    method: "POST",
    headers: {"Content-Type": "application/json", Authorization: `Basic ${btoa(`${keys.apiKey}:${keys.secretKey}`)}`},
    body: JSON.stringify([event]),
  });
}

self.addEventListener("install", () => self.skipWaiting());

self.addEventListener("push", (event) => {
  const {title, msg, icon, image, url, data} = event.data.json();
  const {id} = data["k.message"].data;
  const options = {body: msg, data: {id, url}, icon: icon || "icon.svg", ...(image && {image})};
  event.waitUntil(self.registration.showNotification(title, options).then(() => report("k.message.delivered", id)));
});

self.addEventListener("notificationclick", (event) => {
  const {id, url} = event.notification.data;
  event.notification.close();
  event.waitUntil(Promise.all([self.clients.openWindow(url || "home"), report("k.message.opened", id)]));
});
