/* Candor for pages: calls as in analytics.js; nothing is stored or sent before consent. */
((window, document) => {
  "use strict";
  const script = document.currentScript;
  if (!script) return; // a module has no attributes to read
  const said = (name, otherwise) => script.getAttribute("data-" + name) || otherwise;
  const name = said("name", "candor");
  const queue = (window[name] = window[name] || []);
  if (queue.loaded) return; // included twice
  queue.loaded = true;

  const host = said("host", new URL(script.src).origin);
  const key = said("key", "");
  const budget = +said("budget", 200); // ms after which an answer comes too late to change what is in view
  const boxes = new Map(); // element -> {placement, kept: the page's own nodes, shown: answer, turn, late}
  const heard = {}; // event -> functions
  let me = null; // {id, choices, told}; null: no consent
  let outbox = [];
  let timer = 0;
  let turn = 0;
  let stream = null;
  let last = ""; // id of the stream's last event
  let pause = 3000;

  const objects = () => navigator.globalPrivacyControl === true;
  const emit = (event, detail) => (heard[event] || []).forEach((tell) => tell(detail));
  const uuid = () =>
    crypto.randomUUID
      ? crypto.randomUUID()
      : [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => (byte + 256).toString(16).slice(1)).join("");

  const request = async (path, options) => {
    const answer = await fetch(host + path, { credentials: "omit", ...options });
    if (answer.status === 429 || answer.status > 499) throw answer;
    return answer;
  };
  const ask = (path, headers, options) =>
    request(path, { headers: { Authorization: "Bearer " + key, "Candor-Visitor": me.id, ...headers }, ...options });

  const post = async (path, type, words, tries = 0) => {
    const body = words();
    if (!body) return; // consent ended meanwhile
    try {
      return await request(path, { method: "POST", keepalive: true, headers: { "Content-Type": "text/plain", ...type }, body });
    } catch (down) {
      await new Promise((done) => setTimeout(done, 3000 << tries));
      if (tries < 4) return post(path, type, words, tries + 1);
    }
  };

  // Consent

  const remember = () => {
    try {
      if (me) localStorage.setItem("candor", JSON.stringify(me));
      else localStorage.removeItem("candor");
    } catch (blocked) {}
  };

  const tell = async (id, choices, notice) => {
    const said = JSON.stringify({ anonymousId: id, choices, notice });
    const type = { "Content-Type": "application/json", Authorization: "Bearer " + key };
    return ((await post("/v1/visitor/consents", type, () => said)) || {}).ok;
  };

  const consent = async (choices, options = {}) => {
    const was = me;
    const now = {};
    for (const purpose in was && was.choices) now[purpose] = false;
    for (const purpose in choices) now[purpose] = choices[purpose] === true && (!objects() || !!options.askedDespiteSignal);
    const any = Object.values(now).includes(true);
    me = any ? { id: was ? was.id : uuid(), choices: now } : null;
    if (!me && !was) return emit("consent", now);
    remember();
    emit("consent", now);
    if (!me) {
      quit();
      return tell(was.id, now);
    }
    return told(true);
  };

  const told = async (eager) => {
    const mine = me;
    if (!mine.told && (await tell(mine.id, mine.choices, said("notice"))) && me === mine) {
      mine.told = true;
      remember();
    }
    if (me === mine) return place(eager);
  };

  const allowed = (purpose) => {
    for (; purpose; purpose = purpose.replace(/\.?[^.]*$/, "")) if (purpose in me.choices) return me.choices[purpose];
    return false;
  };

  const quit = () => {
    outbox = [];
    if (stream) stream.abort();
    stream = null;
    last = "";
    boxes.forEach((box, element) => restore(element, box, "no_consent"));
  };

  // Events

  const send = (type, fields, messageId) => {
    if (!me) return; // what happened before consent is not told later
    const { origin, pathname } = location;
    outbox.push({
      ...fields,
      type,
      messageId: messageId || uuid(),
      anonymousId: me.id,
      timestamp: new Date().toISOString(),
      context: {
        library: { name: "candor.js", version: "1" },
        locale: navigator.language,
        userAgent: navigator.userAgent,
        page: { path: pathname, title: document.title, url: origin + pathname },
        consent: { categoryPreferences: me.choices },
      },
    });
    if (!timer) timer = setTimeout(flush, 50);
  };

  // Plain text needs no preflight, and outlives the page.
  const flush = () => {
    clearTimeout(timer);
    timer = 0;
    const batch = outbox.splice(0);
    if (batch.length)
      post("/v1/batch", {}, () => me && JSON.stringify({ writeKey: key, batch, sentAt: new Date().toISOString() }));
  };

  // Placements

  const place = (eager) => {
    boxes.forEach((_, element) => element.isConnected || boxes.delete(element));
    for (const element of document.querySelectorAll("[data-candor-placement]"))
      if (!boxes.has(element)) boxes.set(element, { placement: element.dataset.candorPlacement });
    if (!me || !boxes.size || !allowed(said("purpose", "marketing.web"))) return;
    if (eager) boxes.forEach((box) => (box.late = true)); // she said yes just now
    return fill([...boxes.keys()]).then(() => void listen());
  };

  const fill = async (elements) => {
    const asked = Date.now();
    const mine = ++turn;
    elements.forEach((element) => (boxes.get(element).turn = mine));
    const each = (act) => elements.forEach((element) => {
      const box = boxes.get(element);
      if (me && box.turn === mine) act(element, box); // else asked again meanwhile
    });
    try {
      const names = elements.map((element) => encodeURIComponent(boxes.get(element).placement));
      const page = await (await ask("/v1/placements?names=" + names)).json();
      const answers = {};
      await Promise.all(page.placements.map(async (answer) => {
        answers[answer.placement] = answer;
        if (!answer.default) answer.content = await (await fetch(answer.content_url, { credentials: "omit" })).json();
      }));
      // a box has its height from the styles
      while (document.readyState !== "complete" && [...document.querySelectorAll("link[rel=stylesheet]")].some((one) => !one.sheet))
        await new Promise((go) => setTimeout(go, 20));
      each((element, box) => show(element, box, answers[box.placement], Date.now() - asked));
    } catch (down) {
      each((element, box) => restore(element, box, "unavailable"));
    }
  };

  const restore = (element, box, reason) => {
    if (box.kept) element.replaceChildren(...box.kept);
    box.kept = box.shown = null;
    emit("placement", { placement: box.placement, shown: false, reason });
  };

  const show = (element, box, answer, took) => {
    if (box.shown && box.shown.decision_id === answer.decision_id) return;
    if (answer.default) return restore(element, box, answer.withheld);
    const { height, top, bottom } = element.getBoundingClientRect();
    const looked = (took > budget && bottom > 0 && top < innerHeight) || element.contains(document.activeElement);
    if (looked && !box.late) return restore(element, box, "late");
    const kept = box.kept || [...element.childNodes];
    box.level = box.level || (element.querySelector("h1,h2,h3,h4,h5,h6") || { tagName: "p" }).tagName;
    element.style.minHeight = getComputedStyle(element).height; // what would make the box grow is not shown
    element.replaceChildren(build(answer, box.level));
    box.kept = kept;
    if (element.getBoundingClientRect().height > height + 0.5 && !("candorGrow" in element.dataset))
      return restore(element, box, "no_room");
    box.shown = answer;
    emit("placement", { placement: box.placement, shown: true, decision_id: answer.decision_id });
    watch(element, box, answer);
  };

  const build = ({ content, why_url, preferences_url }, level) => {
    const part = document.createElement("div");
    const german = /^de/.test(content.locale || document.documentElement.lang);
    const add = (tag, role, text, href) => {
      const made = part.appendChild(document.createElement(tag));
      made.className = "candor-" + role;
      // Text, never markup; slots take their neutral words.
      made.textContent = text.replace(/{{\s*(\w+)\s*}}/g, (_, slot) => ((content.slots || {})[slot] || {}).fallback || "");
      if (href) made.href = href;
      return made;
    };
    part.className = "candor-content";
    if (content.locale) part.lang = content.locale;
    if (content.is_advertisement) add("small", "label", german ? "Werbung" : "Advertisement");
    const heading = content.heading || content.subject;
    if (heading) add(level, "heading", heading);
    for (const text of content.body.split(/\n\s*\n/)) if (text.trim()) add("p", "text", text.trim());
    const { action } = content;
    if (action && /^https?:/.test(new URL(action.url, location).protocol)) add("a", "action", action.label, action.url);
    const link = (...told) => Object.assign(add("a", ...told), { target: "_blank", rel: "noopener" });
    link("preferences", german ? "Einstellungen" : "Settings", preferences_url).style.float = "right";
    link("why", german ? "Warum sehe ich das?" : "Why am I seeing this?", why_url);
    return part;
  };

  const about = (box, more) => ({
    properties: { decision_id: box.shown.decision_id, placement: box.placement, variant: box.shown.variant, ...more },
  });

  const watch = (element, box, answer) => {
    const eye = new IntersectionObserver((entries) => {
      const { intersectionRatio, intersectionRect } = entries.pop();
      if (intersectionRatio < 0.5 && intersectionRect.height < innerHeight / 2) return;
      eye.disconnect();
      // One id a decision: seen again, it counts once.
      if (box.shown === answer) send("track", { event: "Content Viewed", ...about(box) }, "seen-" + answer.decision_id);
    }, { threshold: [0, 0.25, 0.5] });
    eye.observe(element);
  };

  const rate = (placement, rating) => boxes.forEach((box) => {
    if (box.placement === placement && box.shown)
      send("track", { event: "Content Rated", ...about(box, typeof rating === "number" ? { rating } : { thumb: rating }) });
  });

  const clicked = ({ target }) => {
    const link = target.closest && target.closest("a,[data-candor-consent],[data-candor-rate]");
    if (!link) return;
    const { candorConsent, candorRate, candorFor } = link.dataset;
    if (candorConsent !== undefined)
      return consent(Object.fromEntries((candorConsent.replace(/none/, "").match(/[\w.-]+/g) || []).map((purpose) => [purpose, true])));
    const box = boxes.get(link.closest("[data-candor-placement]"));
    if (candorRate) return rate(candorFor || (box && box.placement), candorRate);
    if (!box || !box.shown || link.className !== "candor-action") return;
    send("track", { event: "Content Clicked", ...about(box) });
    flush();
  };


  const listen = async () => {
    if (!me || stream || said("stream") === "off") return;
    const mine = (stream = new AbortController());
    try {
      const { ok, body } = await ask("/v1/stream", last && { "Last-Event-ID": last }, { signal: mine.signal });
      const reader = ok && body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = "", part; reader && !(part = await reader.read()).done; ) {
        pause = 3000;
        const events = (text + part.value).split("\n\n");
        text = events.pop();
        events.forEach(hear);
      }
    } catch (lost) {}
    if (stream !== mine) return;
    stream = null;
    setTimeout(listen, pause);
    pause = Math.min(pause * 2, 60000);
  };

  const hear = (text) => {
    const said = Object.fromEntries(text.split("\n").map((line) => line.split(/: (.*)/)));
    if (!said.event || !me) return;
    last = said.id;
    const detail = JSON.parse(said.data);
    emit(said.event, detail);
    if (said.event === "ready" || (said.event === "decision" && detail.channel !== "web")) return;
    const stale = [...boxes.keys()].filter((element) => {
      const box = boxes.get(element);
      box.late = true;
      if (said.event !== "decision") return true;
      return box.placement === detail.placement && (!box.shown || box.shown.decision_id !== detail.decision_id);
    });
    if (stale.length) fill(stale);
  };

  // analytics.js

  const api = {
    loaded: true,
    initialize: true,
    consent,
    place,
    rate,
    user: () => ({ anonymousId: () => me && me.id }),
    track: (event, properties = {}) => send("track", { event, properties }),
    page: (...given) => {
      const properties = given.find((one) => typeof one === "object") || {};
      const [title, category] = given.filter((one) => typeof one === "string").reverse();
      send("page", { name: title, properties: { category, path: location.pathname, ...properties } });
    },
    identify: (id, traits) =>
      send("identify", typeof id === "string" ? { userId: id, traits } : { traits: id || {} }),
    group: (groupId, traits) => send("group", { groupId, traits }),
    alias: (userId, previousId) => send("alias", { userId, previousId: previousId || (me && me.id) }),
    reset: () => {
      me = null;
      remember();
      quit();
    },
    ready: (done) => done(),
    on: (event, tell) => (heard[event] = heard[event] || []).push(tell),
    push: ([method, ...given]) => api[method] && api[method](...given),
  };

  const start = () => {
    try {
      me = JSON.parse(localStorage.getItem("candor"));
    } catch (blocked) {}
    if (me && objects()) {
      me = null;
      remember();
    }
    window[name] = api;
    document.addEventListener("click", clicked);
    document.addEventListener("candor:consent", (event) => consent(event.detail));
    window.addEventListener("pagehide", flush);
    if (me) told();
    else place();
    queue.forEach(api.push);
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})(window, document);
