/* candorPush: lets a page offer pushes. Nothing is asked, stored or sent until one of its functions is called.

   candorPush.subscribe({base, key, anonymousId, worker, notice: {text, version, language}}) -> {status: "subscribed" | "filtered" | "denied" | "unsupported" | "off"}
     Call it from a click, beside the words of `notice`: the person's yes to offers as notifications is recorded under them.
   candorPush.refresh({base, key, anonymousId, worker}) -> the same; asks nobody: tells of a subscription that is there, renews it when our key changed.
   candorPush.unsubscribe({base, key, anonymousId, worker, withdraw: true}) -> {status: "unsubscribed"}; `withdraw` takes the permission back too.
   `worker` is the site's own service worker file, which imports /push/sw.js. */
(() => {
  "use strict";
  const KEPT = "candor-push";
  const able = () => "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

  const call = async (o, method, path, body) => {
    const answer = await fetch(o.base + path, {
      method,
      credentials: "omit",
      headers: { Authorization: "Bearer " + o.key, ...(body ? { "Content-Type": "application/json" } : {}) },
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) throw new Error("candorPush: " + answer.status);
    return answer.json();
  };

  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
  const same = (a, b) => !!a && a.byteLength === b.length && new Uint8Array(a).every((value, place) => value === b[place]);

  const registered = async (o) => {
    await navigator.serviceWorker.register(o.worker || "/candor-sw.js");
    return navigator.serviceWorker.ready;
  };

  const take = async (o, fresh) => {
    const { key: publicKey } = await call(o, "GET", "/v1/push/key");
    if (!publicKey) return { status: "off" };
    const { pushManager } = await registered(o);
    let held = await pushManager.getSubscription();
    if (!held && !fresh) return { status: "unsubscribed" };
    let replaces;
    if (held && !same(held.options.applicationServerKey, bytes(publicKey))) {
      replaces = held.endpoint;
      await held.unsubscribe();
      held = null;
    }
    held = held || (await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: publicKey }));
    const told = await call(o, "POST", "/v1/push/subscriptions", {
      anonymousId: o.anonymousId,
      subscription: held.toJSON(),
      applicationServerKey: publicKey,
      replaces,
      consent: fresh && o.notice ? { notice: o.notice } : undefined,
    });
    if (told.status !== "subscribed") {
      await held.unsubscribe();
    } else {
      const settings = JSON.stringify({ base: o.base, key: o.key, anonymousId: o.anonymousId, publicKey });
      await (await caches.open(KEPT)).put("settings", new Response(settings));
    }
    return told;
  };

  window.candorPush = {
    async subscribe(o) {
      if (!able()) return { status: "unsupported" };
      if ((await Notification.requestPermission()) !== "granted") return { status: "denied" };
      return take(o, true);
    },
    async refresh(o) {
      if (!able()) return { status: "unsupported" };
      return Notification.permission === "granted" ? take(o, false) : { status: "denied" };
    },
    async unsubscribe(o) {
      if (!able()) return { status: "unsupported" };
      const held = await (await registered(o)).pushManager.getSubscription();
      await caches.delete(KEPT);
      if (!held && !o.withdraw) return { status: "unsubscribed" };
      const endpoint = held ? held.endpoint : undefined;
      if (held) await held.unsubscribe();
      return call(o, "DELETE", "/v1/push/subscriptions", {
        anonymousId: o.anonymousId,
        endpoint,
        withdraw: o.withdraw ? "marketing.push" : undefined,
      });
    },
  };
})();
