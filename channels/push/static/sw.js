/* Candor's service worker: shows a push, opens what it leads to, tells the sender what became of it.
   A site imports it into its own worker: importScripts("https://candor.example/push/sw.js"). It keeps no copy of a message. */
(() => {
  "use strict";
  const KEPT = "candor-push";

  const read = (data) => {
    try {
      const said = data.json();
      return said && typeof said === "object" ? said : { body: String(said) };
    } catch {
      return { body: data ? data.text() : "" };
    }
  };
  const web = (url) => (/^https?:\/\//.test(url || "") ? url : "");

  /* Two lines as text/plain: a request that needs no permission of the other origin and carries no cookie. */
  const tell = (said, word) =>
    said && web(said.report) && said.token
      ? fetch(said.report, { method: "POST", mode: "no-cors", credentials: "omit", keepalive: true, body: said.token + "\n" + word }).catch(() => 0)
      : Promise.resolve();

  const open = async (url) => {
    const target = new URL(url, self.registration.scope).href;
    for (const page of await self.clients.matchAll({ type: "window", includeUncontrolled: true })) {
      if (page.url === target) return page.focus();
    }
    return self.clients.openWindow(target);
  };

  self.addEventListener("install", () => self.skipWaiting());

  self.addEventListener("push", (event) => {
    const said = read(event.data);
    const actions = [
      { action: "why", title: said.why, url: said.why_url },
      { action: "preferences", title: said.preferences, url: said.preferences_url },
    ].filter((one) => one.title && web(one.url));
    event.waitUntil(
      self.registration
        .showNotification(said.title || self.location.hostname, {
          body: said.body || "",
          tag: said.tag || "",
          lang: said.lang || "",
          data: said,
          actions: actions.map(({ action, title }) => ({ action, title })),
        })
        .then(() => tell(said, "shown"))
    );
  });

  self.addEventListener("notificationclick", (event) => {
    const said = event.notification.data || {};
    event.notification.close();
    const url = { why: said.why_url, preferences: said.preferences_url }[event.action] || said.url;
    event.waitUntil(Promise.all([open(web(url) || self.registration.scope), event.action ? 0 : tell(said, "clicked")]));
  });

  self.addEventListener("notificationclose", (event) => event.waitUntil(tell(event.notification.data, "dismissed")));

  /* The browser made a new subscription by itself: subscribe.js left what it takes to tell of it. */
  self.addEventListener("pushsubscriptionchange", (event) => {
    const again = async () => {
      const kept = await (await caches.open(KEPT)).match("settings");
      if (!kept) return;
      const { base, key, anonymousId, publicKey } = await kept.json();
      const options = { userVisibleOnly: true, applicationServerKey: publicKey };
      const made = event.newSubscription || (await self.registration.pushManager.subscribe(options));
      await fetch(base + "/v1/push/subscriptions", {
        method: "POST",
        credentials: "omit",
        headers: { Authorization: "Bearer " + key, "Content-Type": "application/json" },
        body: JSON.stringify({
          anonymousId,
          subscription: made.toJSON(),
          applicationServerKey: publicKey,
          replaces: (event.oldSubscription && event.oldSubscription.endpoint) || undefined,
        }),
      });
    };
    event.waitUntil(again());
  });
})();
