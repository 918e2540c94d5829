// What makes the pages live. They work without it.
"use strict";

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// --- times in the viewer's zone; the exact UTC instant stays on hover

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

function localTimes(root) {
  const now = new Date();
  for (const element of all("time[datetime]", root)) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const today = at.toDateString() === now.toDateString();
    const head = today ? "" : (at.getFullYear() === now.getFullYear() ? day : date).format(at) + ", ";
    element.textContent = head + clock.format(at);
  }
}

function span(seconds) {
  if (seconds < 60) return seconds.toFixed(1) + " s";
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

setInterval(() => {
  for (const element of all("[data-since]")) {
    element.textContent = span(Math.max(0, (Date.now() - new Date(element.dataset.since)) / 1000));
  }
}, 500);

let fading;
function say(text) {
  one("#toast").textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => { one("#toast").textContent = ""; }, 6000);
}

function fromHtml(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

// --- the table of tasks: rows change in place, new ones come on top

function liveTable() {
  const body = one("tbody[data-events]");
  if (!body) return;
  const sign = one("[data-live-state]");
  const source = new EventSource(body.dataset.events);
  const most = Number(body.dataset.rows);
  const shown = new Map(); // id to the row's HTML as last told
  const comeBack = async () => { // turned away: signed out, or a proxy without a server behind it
    const answer = await fetch(location.href).catch(() => null);
    if (answer && answer.ok) location.reload();
    else setTimeout(comeBack, 5000);
  };
  const status = (text, off) => {
    sign.hidden = false;
    sign.textContent = text;
    sign.classList.toggle("off", off);
  };
  const put = (told, mark) => {
    if (shown.get(told.id) === told.html) return;
    shown.set(told.id, told.html);
    const old = document.getElementById(told.id);
    const row = one("tr", fromHtml(told.html));
    localTimes(row);
    if (old) {
      const held = old.contains(document.activeElement);
      old.replaceWith(row);
      if (held) (one("button:not(:disabled)", row) || one("a", row)).focus();
      return;
    }
    const next = [...body.rows].find((other) => other.dataset.at <= told.at);
    if (!next && body.rows.length >= most) return;
    if (mark) row.classList.add("fresh");
    body.insertBefore(row, next || null);
    while (body.rows.length > most) body.rows[body.rows.length - 1].remove();
  };
  source.onerror = () => {
    status("connecting…", true);
    if (source.readyState === EventSource.CLOSED) setTimeout(comeBack, 1000);
  };
  source.addEventListener("page", (event) => { // all of it, at the start and after a break
    const rows = JSON.parse(event.data);
    const there = new Set(rows.map((told) => told.id));
    for (const row of [...body.rows]) if (!there.has(row.id)) row.remove();
    for (const told of rows) put(told, false);
    status("live", false);
  });
  source.addEventListener("task", (event) => {
    const told = JSON.parse(event.data);
    if (document.getElementById(told.id) || (told.fits && body.dataset.first === "yes")) put(told, true);
  });
  source.addEventListener("over", () => { source.close(); location.reload(); });
  addEventListener("pagehide", () => source.close());
}

// --- one task: only the parts that changed are put in, so that a film goes on playing

function liveTask() {
  const holder = one("[data-follow]");
  if (!holder) return;
  const source = new EventSource(holder.dataset.follow);
  const shown = {};
  source.addEventListener("task", (event) => {
    const told = JSON.parse(event.data);
    for (const [name, html] of Object.entries(told.pieces)) {
      if (shown[name] === html) continue;
      shown[name] = html;
      const place = one(`[data-piece="${name}"]`);
      const focused = place.contains(document.activeElement);
      place.replaceChildren(fromHtml(html));
      dress(place);
      if (focused) (one("button, a", place) || one("#main")).focus();
    }
    for (const [dialect, text] of Object.entries(told.json)) {
      const place = one(`[data-json="${CSS.escape(dialect)}"]`);
      if (place) place.textContent = text;
    }
    document.title = `${told.title} – ${told.state} · Mediamill`;
  });
  source.addEventListener("over", () => source.close());
  addEventListener("pagehide", () => source.close());
}

// --- small helps

function texts(root) {
  for (const place of all("pre[data-text]", root)) {
    fetch(place.dataset.text).then(async (answer) => {
      if (!answer.ok) throw new Error(String(answer.status));
      place.textContent = (await answer.text()) + (answer.headers.get("x-cut") ? "\n\n… and so on" : "");
    }).catch(() => { place.textContent = "The text cannot be shown."; });
  }
}

function dress(root) {
  localTimes(root);
  texts(root);
  for (const button of all("button[data-copy]", root)) button.hidden = !navigator.clipboard;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }
  for (const open of all("details.sure[open]")) if (!open.contains(event.target)) open.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of all("details.sure[open]")) { open.open = false; one("summary", open).focus(); }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.matches("[data-theme-form]")) {
    event.preventDefault();
    const order = ["auto", "dark", "light"];
    const next = event.submitter.value;
    await fetch(form.action, { method: "POST", body: new URLSearchParams({ theme: next, back: "/ui/login" }), redirect: "manual" });
    document.documentElement.dataset.theme = next;
    event.submitter.value = order[(order.indexOf(next) + 1) % 3];
    event.submitter.title = `Theme: ${next}`;
    event.submitter.setAttribute("aria-label", `Theme: ${next}. Change it.`);
    return;
  }
  if (!form.matches("[data-quiet]")) return;
  event.preventDefault();
  const button = one("button", form);
  button.disabled = true;
  const answer = await fetch(form.action, { method: "POST", headers: { accept: "application/json" }, redirect: "manual" });
  if (answer.type === "opaqueredirect" || answer.ok) return; // the row is told to change
  button.disabled = false;
  say((await answer.json()).detail);
});

// --- uploads, with progress

function upload(file, list) {
  const item = document.createElement("li");
  const bar = document.createElement("progress");
  const note = document.createElement("span");
  bar.max = 100;
  bar.value = 0;
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  note.textContent = file.name;
  item.append(bar, note);
  list.append(item);
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("file", file);
    request.open("POST", "/ui/files");
    request.setRequestHeader("accept", "application/json");
    request.upload.onprogress = (event) => {
      bar.value = 100 * event.loaded / event.total;
      note.textContent = `${file.name} – ${Math.round(bar.value)} %`;
    };
    const fail = (why) => { bar.remove(); note.className = "bad"; note.textContent = `${file.name}: ${why}`; done(null); };
    request.onerror = () => fail("the connection broke; try again.");
    request.onload = () => {
      let told = {};
      try { told = JSON.parse(request.responseText); } catch { /* a proxy's own page */ }
      if (request.status !== 201) return fail(told.detail || `the server said ${request.status}.`);
      bar.value = 100;
      return done(told);
    };
    request.send(body);
  });
}

function dropZone(root, taken) {
  const zone = one("[data-drop]", root);
  if (!zone) return;
  zone.hidden = false;
  const input = one("input[type=file]", zone);
  const several = zone.dataset.multiple === "yes";
  const take = async (files) => {
    const list = one(".uploads", zone);
    list.replaceChildren();
    const made = [];
    for (const file of several ? files : files.slice(0, 1)) made.push(await upload(file, list));
    input.value = "";
    taken(made.filter(Boolean), made.includes(null));
  };
  input.addEventListener("change", () => take([...input.files]));
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}

function filesPage() {
  const form = one("form[data-upload]");
  if (!form) return;
  one("button", form).hidden = true;
  one("input", form).required = false;
  one("input", form).className = "hidden";
  one(".drag", form).hidden = false;
  dropZone(form, (made, failed) => { if (made.length && !failed) location.reload(); });
}

// --- the form of a new task: made anew by the server when the kind, the input or the target changes

function newForm() {
  const form = one("form[data-new]");
  if (!form) return;
  const update = one("[data-update]", form);
  update.hidden = true;
  const refresh = async (more = {}) => {
    const data = new URLSearchParams(new FormData(form));
    for (const [name, value] of Object.entries(more)) data.append(name, value);
    for (const [name, value] of [...data]) if (!value) data.delete(name, value);
    const address = `/ui/new?${data}`;
    const answer = await fetch(address);
    if (!answer.ok || answer.redirected) { location.href = address; return; }
    const fresh = one("form[data-new]", new DOMParser().parseFromString(await answer.text(), "text/html"));
    const focus = document.activeElement && document.activeElement.id;
    history.replaceState(null, "", address);
    form.replaceWith(document.importNode(fresh, true));
    newForm();
    if (focus) document.getElementById(focus)?.focus();
  };
  form.addEventListener("change", (event) => { if (event.target.matches("[data-refresh]")) refresh(); });
  form.addEventListener("submit", (event) => {
    if (event.submitter && event.submitter.name === "drop") {
      event.preventDefault();
      refresh({ drop: event.submitter.value });
      return;
    }
  });
  form.addEventListener("formdata", (event) => {
    for (const field of all("[data-local]", form)) {
      if (field.value) event.formData.set(field.name, new Date(field.value).toISOString());
    }
  });
  for (const field of all("[data-local]", form)) {
    if (field.getAttribute("value")) { // the server speaks UTC
      const at = new Date(field.getAttribute("value").replace(/(Z|[+-]\d\d:\d\d)?$/, (zone) => zone || "Z"));
      field.value = new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
    }
  }
  for (const zone of all("[data-zone]", form)) zone.textContent = `In your zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`;
  dropZone(form, async (made) => { for (const file of made) await refresh({ file: file.id }); });
  localTimes(form);
}

dress(document);
liveTable();
liveTask();
filesPage();
newForm();
