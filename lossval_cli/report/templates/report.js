"use strict";
(() => {
  const table = document.querySelector("table.suspects");
  if (!table) return;
  const tools = document.querySelector(".tools");
  const search = tools.querySelector("input");
  const kind = tools.querySelector("select");
  const shown = tools.querySelector("output");
  const rows = [...table.tBodies];
  const texts = rows.map((row) => row.textContent.toLowerCase());

  const few = 20; // as many as the style sheet leaves when the list is short
  const all = document.querySelector(".show-all");
  const shorten = (short) => {
    table.classList.toggle("short", short);
    all.hidden = !short;
  };

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, at) => {
      const fits = words.every((word) => texts[at].includes(word)) && (!kind.value || row.dataset.kind === kind.value);
      row.hidden = !fits;
      count += fits;
    });
    if (search.value || kind.value) shorten(false);
    const visible = table.classList.contains("short") ? few : count;
    shown.textContent = `${visible} of ${rows.length} shown`;
  };

  const compare = (one, other) => {
    const [a, b] = [Number(one), Number(other)];
    if (one !== "" && other !== "" && !Number.isNaN(a) && !Number.isNaN(b)) return a - b;
    return one.localeCompare(other, undefined, { numeric: true });
  };

  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const key = (row) => row.rows[0].cells[column].dataset.key ?? row.rows[0].cells[column].textContent;
      const order = [...rows].sort((one, other) => sign * compare(key(one), key(other)));
      table.append(...order);
    });
  });

  for (const row of rows) {
    row.rows[0].addEventListener("click", () => {
      if (String(getSelection())) return;
      const details = row.querySelector("details");
      details.open = !details.open;
    });
  }
  // Decisions, kept in this browser and downloaded as the file that `lossval review` writes

  const names = ["key", "where", "decision", "column", "value", "label", "content", "fixed", "suspect", "probability", "chance", "time", "reviewer", "note"];
  const store = `lossval decisions ${table.dataset.table}`;
  const bar = document.querySelector(".decided-so-far");
  let decided = {};
  try {
    decided = JSON.parse(localStorage.getItem(store)) ?? {};
  } catch {
    decided = {}; // no storage here: decisions last as long as the page
  }
  const save = () => {
    try {
      localStorage.setItem(store, JSON.stringify(decided));
    } catch {
      // the same
    }
    const count = Object.keys(decided).length;
    bar.hidden = !count;
    bar.querySelector("[role=status]").textContent = `${count} decided.`;
  };
  const cell = (text) => {
    const escapes = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\0" };
    let safe = text.replace(/[\\\n\r\0]/g, (found) => escapes[found]);
    if (/^['=+\-@\t\r\n＝＋－＠]/.test(safe) && !/^[+\-]?(\d+\.?\d*|\.\d+)([eE][+\-]?\d+)?$/.test(safe)) safe = `'${safe}`;
    return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const file = () => {
    const lines = Object.values(decided).map((one) => names.map((name) => cell(String(one[name] ?? ""))).join(","));
    return [names.join(","), ...lines, ""].join("\n");
  };

  for (const row of rows.filter((one) => one.dataset.key)) {
    const { key, where, given, suggested, probability } = row.dataset;
    const summary = row.querySelector("summary"), mark = document.createElement("span");
    mark.className = "verdict";
    const group = document.createElement("div");
    group.className = "decide";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Decide about ${where}`);
    const input = document.createElement("input");
    input.value = suggested;
    input.autocomplete = "off";
    const label = document.createElement("label");
    label.append("right label", input);
    const buttons = {};
    const paint = () => {
      const now = decided[key];
      mark.textContent = now ? (now.decision === "relabel" ? `relabel to ${now.value}` : now.decision) : "";
      if (now) summary.prepend(mark);
      else mark.remove();
      for (const [action, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", String(now?.decision === action));
      if (now?.decision === "relabel") input.value = now.value;
    };
    for (const [action, name] of [["keep", "Keep"], ["relabel", "Relabel"], ["drop", "Drop"]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => {
        if (action === "relabel" && !input.value.trim()) {
          input.focus();
          return;
        }
        const value = action === "relabel" ? input.value.trim() : "";
        if (decided[key]?.decision === action && decided[key].value === value) delete decided[key];
        else decided[key] = { key, where, decision: action, value, label: given, suspect: row.dataset.kind, probability, chance: 1, time: new Date().toISOString() };
        save();
        paint();
      });
      buttons[action] = button;
    }
    group.append(buttons.keep, buttons.drop, label, buttons.relabel);
    row.querySelector("details > div").prepend(group);
    paint();
  }
  save();
  bar.querySelector("button").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([file()], { type: "text/csv" }));
    link.download = "decisions.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  });

  // Paper has no details to open

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...table.querySelectorAll("details:not([open])")];
    for (const one of closed) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });

  search.addEventListener("input", filter);
  kind.addEventListener("change", filter);
  all.addEventListener("click", () => {
    shorten(false);
    filter();
    rows[few].querySelector("summary").focus();
  });
  table.classList.add("clickable");
  shorten(rows.length > few);
  tools.hidden = false;
  filter();
})();
