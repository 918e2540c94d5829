// Schedules and runs of prompts, live. Loaded after app.js, whose helps it uses.
"use strict";

// --- instants to come, in the viewer's zone

const moment_ = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

function moments(root) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const element of all("time[data-short]", root)) {
    const at = new Date(element.dateTime);
    if (!Number.isNaN(at.getTime())) element.textContent = moment_.format(at);
  }
  for (const place of all("[data-zone-name]", root)) place.textContent = zone;
}

// --- the strips of the last runs

function liveStrips() {
  const holder = one("[data-strips]");
  if (!holder) return;
  const source = new EventSource(holder.dataset.strips);
  const sign = one("[data-live-state]");
  const status = (text, off) => {
    if (!sign) return;
    sign.hidden = false;
    sign.textContent = text;
    sign.classList.toggle("off", off);
  };
  source.onopen = () => status("live", false);
  source.onerror = () => status("connecting…", true);
  source.addEventListener("strip", (event) => {
    const told = JSON.parse(event.data);
    for (const place of all(`[data-strip="${CSS.escape(told.id)}"]`)) {
      const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      place.replaceChildren(fromHtml("shortStrip" in place.dataset ? told.short : told.strip));
      if (focused) one(`a[href="${CSS.escape(focused)}"]`, place)?.focus();
    }
  });
  addEventListener("pagehide", () => source.close());
}

// --- the form: what a rule comes to while it is written

function scheduleForm() {
  const form = one("form[data-schedule]");
  if (!form) return;
  const place = one("[data-foreseen]", form);
  const zone = form.elements.zone;
  one("[data-update]", form).hidden = true;
  if ("ownZone" in form.dataset && zone.value === "UTC") {
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (one(`#zones option[value="${CSS.escape(own)}"]`)) zone.value = own;
  }
  let waiting, asked = 0;
  const look = async () => {
    const mine = ++asked;
    const query = new URLSearchParams({ rule: form.elements.cron.value, zone: zone.value });
    const answer = await fetch(`${form.dataset.schedule}?${query}`, { headers: { accept: "application/json" } }).catch(() => null);
    if (!answer || !answer.ok || mine !== asked) return;
    place.replaceChildren(fromHtml((await answer.json()).html));
    moments(place);
  };
  form.addEventListener("input", (event) => {
    if (event.target !== form.elements.cron && event.target !== zone) return;
    clearTimeout(waiting);
    waiting = setTimeout(look, 250);
  });
  if (form.elements.cron.value) look();
}

// --- one run: its parts as they change, its steps, and the letters of an answer as they come

function liveRun() {
  const holder = one("[data-follow-run]");
  if (!holder) return;
  const trace = one(".trace", holder);
  const sign = one("[data-live-state]", holder);
  const source = new EventSource(holder.dataset.followRun);
  const shown = {};
  const heard = new Map(); // step to the letters it has said so far
  const status = (text, off) => {
    sign.hidden = false;
    sign.textContent = text;
    sign.classList.toggle("off", off);
  };
  source.onopen = () => status("live", false);
  source.onerror = () => status("connecting…", true);
  source.addEventListener("run", (event) => {
    const told = JSON.parse(event.data);
    for (const [name, html] of Object.entries(told.pieces)) {
      if (shown[name] === html) continue;
      shown[name] = html;
      const place = one(`[data-piece="${name}"]`);
      const open = all("details", place).map((one_) => one_.open);
      const focused = place.contains(document.activeElement);
      place.replaceChildren(fromHtml(html));
      all("details", place).forEach((one_, n) => { one_.open = Boolean(open[n]); });
      dress(place);
      if (focused) (one("button, a", place) || one("#main")).focus();
    }
    document.title = `${told.title} – ${told.status} · Mediamill`;
  });
  source.addEventListener("step", (event) => {
    const told = JSON.parse(event.data);
    const fresh = one("li", fromHtml(told.html));
    const old = document.getElementById(fresh.id);
    if (old) {
      const open = all("details", old).map((one_) => one_.open);
      all("details", fresh).forEach((one_, n) => { one_.open = Boolean(open[n]); });
      old.replaceWith(fresh);
    } else {
      const next = all(":scope > li", trace).find((other) => other.value > told.number);
      trace.insertBefore(fresh, next || null);
    }
    heard.delete(told.number);
    dress(fresh);
  });
  source.addEventListener("token", (event) => {
    const told = JSON.parse(event.data);
    const place = one(`#step-${Number(told.step)} [data-answer]`);
    if (!place) return;
    const letters = heard.get(told.step) || []; // by their place: the server counts letters, a script their halves
    [...told.text].forEach((letter, n) => { letters[told.offset + n] = letter; });
    heard.set(told.step, letters);
    place.textContent = letters.join(""); // what has not come yet is left out, and put in when it comes
  });
  source.addEventListener("over", () => { source.close(); sign.hidden = true; });
  addEventListener("pagehide", () => source.close());
}

moments(document);
liveStrips();
scheduleForm();
liveRun();
