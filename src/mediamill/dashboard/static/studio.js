// The studio: what is wrong with a scene is said while it is written, and it is drawn when the hand rests.
"use strict";

function studio() {
  const form = one("form[data-studio]");
  if (!form) return;
  const scene = form.elements.scene;
  const gutter = one("[data-gutter]", form);
  const noted = one("[data-notes]", form);
  const screen = one("[data-screen]", form);
  const slide = one("[data-slide]", form);
  const range = one("input", slide);
  let marks = {};
  let waiting, checking, drawing, told;

  const number = () => {
    const count = scene.value.split("\n").length;
    const rows = document.createDocumentFragment();
    for (let n = 1; n <= count; n += 1) {
      const row = document.createElement("span");
      row.textContent = n;
      if (marks[n]) row.className = marks[n];
      rows.append(row);
    }
    gutter.replaceChildren(rows);
    gutter.scrollTop = scene.scrollTop;
  };
  const ask = async (dry, signal) => {
    const body = new URLSearchParams(new FormData(form));
    if (dry) body.set("dry", "1");
    const answer = await fetch("/ui/studio", { method: "POST", body, signal, headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    return answer.json();
  };
  const said = (found) => {
    noted.replaceChildren(fromHtml(found.notes));
    scene.setAttribute("aria-invalid", String(!found.sound));
    marks = found.lines;
    number();
    if (found.duration_s) range.max = found.duration_s;
    slide.hidden = form.elements.mode.value === "sheet";
  };
  const check = async () => {
    checking?.abort();
    checking = new AbortController();
    try {
      const text = scene.value;
      const found = await ask(true, checking.signal);
      if (text !== scene.value) return; // it is being asked again
      said(found);
      clearTimeout(told);
      if (found.sound) told = setTimeout(draw, 500);
    } catch (error) { if (error.name !== "AbortError") say(error.message); }
  };
  const draw = async () => {
    drawing?.abort();
    clearTimeout(told);
    const mine = drawing = new AbortController();
    const text = scene.value;
    screen.setAttribute("aria-busy", "true");
    try {
      const found = await ask(false, mine.signal);
      if (text === scene.value) said(found); // else it speaks of what is no longer there
      if (found.seen) screen.replaceChildren(fromHtml(found.seen));
    } catch (error) { if (error.name !== "AbortError") say(error.message); }
    if (drawing === mine) screen.removeAttribute("aria-busy");
  };

  scene.addEventListener("input", () => {
    number();
    clearTimeout(told);
    clearTimeout(waiting);
    waiting = setTimeout(check, 250);
  });
  scene.addEventListener("scroll", () => { gutter.scrollTop = scene.scrollTop; });
  noted.addEventListener("click", (event) => {
    const link = event.target.closest("[data-line]");
    if (!link) return;
    event.preventDefault();
    const lines = scene.value.split("\n");
    const line = Number(link.dataset.line);
    const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    scene.focus();
    scene.setSelectionRange(start, start + lines[line - 1].length);
    scene.scrollTop = (line - 4) * Number.parseFloat(getComputedStyle(scene).lineHeight);
  });
  range.addEventListener("input", () => {
    form.elements.at.value = range.value;
    clearTimeout(told);
    told = setTimeout(draw, 150);
  });
  form.elements.at.addEventListener("input", () => { range.value = form.elements.at.value; });
  form.elements.mode.addEventListener("change", draw);
  form.addEventListener("submit", (event) => {
    if (event.submitter?.classList.contains("render")) return;
    event.preventDefault();
    draw();
  });
  number();
  draw();
}

studio();
