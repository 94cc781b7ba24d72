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
  const all = document.querySelector(".all");
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
