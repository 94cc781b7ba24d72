"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const token = new URLSearchParams(location.search).get("token") ?? "";
  const isNumber = document.body.dataset.number === "yes";
  let rows = [], states = [], order = [], visible = [], current = -1, card = null, group = "", busy = false, undoNext = false;

  const make = (tag, text, css) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (css) node.className = css;
    return node;
  };
  const percent = (share) => (share === null ? "–" : share > 0.995 ? "over 99%" : share < 0.005 ? "under 1%" : `${Math.round(100 * share)}%`);
  // Characters that are invisible or turn the direction of text are spelled out: they may be what is wrong. Joiners
  // are part of emoji and of Persian words, not of English ones.
  const spelled = (text) => text.replace(/[^\P{C}\n\t\u200c\u200d]|(?<=^|[\0-\x7f])[\u200c\u200d]|[\u115f\u1160\u2800\u3164\uffa0\u00a0]/gu, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
  const shown = (value) => (value === null || value === undefined ? "(missing)" : spelled(value));

  // Talking to the server

  const trouble = (text) => {
    $("trouble").textContent = text;
    $("trouble").hidden = !text;
  };
  const ask = async (path, body) => {
    const options = { headers: { "x-lossval-token": token } };
    if (body !== undefined) {
      options.method = "POST";
      options.headers["content-type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Error("lossval review is not running any more. What was decided is saved; start it again to go on.");
    }
    const said = answer.headers.get("content-type")?.startsWith("application/json") ? await answer.json() : { error: await answer.text() };
    if (!answer.ok) throw new Error(said.error);
    return said;
  };

  // What is known of all rows

  const take = (said) => {
    states = said.states;
    order = said.order;
    const seen = said.progress;
    $("sentence").textContent = seen.sentence;
    $("random").textContent = seen.random;
    $("random").hidden = !seen.random;
    $("stop").textContent = seen.stop;
    $("stop").hidden = !seen.stop;
    $("apply").hidden = !seen.stop || !states.some((one) => !["", "skip"].includes(one.state));
    $("plot").innerHTML = seen.plot; // drawn by the server from numbers alone
    trouble(said.damaged ? `${said.damaged} damaged ${said.damaged === 1 ? "line" : "lines"} of decisions.csv left out.` : "");
  };

  const isOpen = (at) => states[at].state === "" || states[at].state === "disputed";
  const fits = (at) => {
    const [state, kind, label, like] = ["by-state", "by-kind", "by-label", "by-group"].map((id) => $(id).value);
    const now = states[at].state;
    const wanted = { "": isOpen(at), decided: !["", "skip", "disputed"].includes(now), skip: now === "skip", disputed: now === "disputed", all: true };
    return wanted[state] && (kind === "all" || rows[at].kind === kind) && (!label || rows[at].given === label) && (!like || rows[at].groups.includes(like));
  };

  const options = (id, values, words = (value) => value) => {
    for (const value of values) {
      const option = make("option", words(value));
      option.value = value;
      $(id).append(option);
    }
  };

  const marks = { "": "", keep: "✓", relabel: "↻", fix: "✎", drop: "✕", skip: "…", disputed: "≠" };
  const named = { "": "undecided", keep: "kept", relabel: "relabelled", fix: "fixed", drop: "dropped", skip: "skipped", disputed: "in dispute" };
  const most = 300; // rows of the list; filters reach the others
  const list = () => {
    visible = order.filter((at) => fits(at) || at === current);
    const fitting = visible.filter(fits).length;
    $("count").textContent = `${fitting} of ${rows.length} rows${fitting > most ? `, the first ${most} listed` : ""}`;
    $("list").replaceChildren(
      ...visible.slice(0, most).map((at) => {
        const entry = make("li"), button = make("button"), row = rows[at];
        button.type = "button";
        const mark = make("span", marks[states[at].state], "mark");
        mark.setAttribute("aria-hidden", "true");
        const change = row.suggested ? `${shown(row.given)} → ${spelled(row.suggested)}` : shown(row.given);
        const state = make("span", named[states[at].state], "unseen");
        button.append(mark, make("span", `${row.where}, ${change}`), make("span", percent(row.probability), "n"), state);
        if (at === current) button.setAttribute("aria-current", "true");
        button.addEventListener("click", () => show(at));
        entry.append(button);
        return entry;
      }),
    );
    const here = $("list").querySelector("[aria-current]");
    if (here) $("list").scrollTop = here.offsetTop - $("list").offsetTop - $("list").clientHeight / 2;
  };

  // One row

  const bar = (share) => {
    const space = "http://www.w3.org/2000/svg";
    const drawing = document.createElementNS(space, "svg"), rect = document.createElementNS(space, "rect");
    drawing.setAttribute("viewBox", "0 0 100 8");
    drawing.setAttribute("preserveAspectRatio", "none");
    drawing.setAttribute("aria-hidden", "true");
    rect.setAttribute("width", Math.max(0.5, 100 * share));
    rect.setAttribute("height", 8);
    drawing.append(rect);
    return drawing;
  };

  const paint = (said) => {
    card = said;
    $("kind").textContent = said.kind_words;
    $("position").textContent = `${order.indexOf(current) + 1} of ${rows.length}`;
    $("where").textContent = spelled(said.ids ? `${said.where}, ${said.ids}` : said.where);
    $("reason").textContent = spelled(said.reason);
    $("given").textContent = shown(said.given);
    $("suggested").textContent = spelled(said.suggested ?? "");
    $("suggestion").hidden = said.suggested === null;
    $("chance").textContent = percent(said.probability);
    const longest = Math.max(String(said.given).length, String(said.suggested ?? "").length);
    $("given").closest("dl").classList.toggle("long", longest > 14);
    $("classes").hidden = !said.probabilities.length;
    $("classes").tBodies[0].replaceChildren(
      ...said.probabilities.map((one) => {
        const line = make("tr", undefined, one.label === said.given ? "is-given" : one.label === said.suggested ? "is-suggested" : "");
        const head = make("th", spelled(one.label)), drawn = make("td");
        head.scope = "row";
        head.title = one.label;
        drawn.append(bar(one.probability));
        line.append(head, drawn, make("td", percent(one.probability), "n"));
        return line;
      }),
    );
    cells(said);
    near(said.nearest);
    groups(said.group_sizes);
    decided();
    $("card").hidden = false;
    $("nothing").hidden = true;
  };

  const cells = (said) => {
    $("cells").replaceChildren(
      ...said.cells.map((one) => {
        const text = shown(one.value);
        const pair = make("div", undefined, `${one.mark} ${text.length > 60 || text.includes("\n") ? "text" : ""}`.trim());
        const value = make("dd", text, one.value === null ? "missing" : "");
        if (one.typical) value.append(make("span", `typical: ${one.typical}`, "typical"));
        else if (one.mark === "deciding") value.append(make("span", "speaks against the label", "typical"));
        pair.append(make("dt", spelled(one.column)), value);
        return pair;
      }),
    );
    $("more").hidden = !said.columns_left_out;
    $("more").textContent = `and ${said.columns_left_out} more columns`;
  };

  const near = (found) => {
    $("near").hidden = !found.rows.length;
    const table = $("near").querySelector("table");
    const head = make("tr");
    for (const name of ["Row", "Label", ...found.columns]) {
      const cell = make("th", spelled(name));
      cell.scope = "col";
      head.append(cell);
    }
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(
      ...found.rows.map((one) => {
        const line = make("tr"), first = make("th");
        first.scope = "row";
        if (one.trusted) first.append(make("span", "trusted ", "trusted"));
        first.append(one.where);
        line.append(first, make("td", shown(one.label)), ...one.cells.map((value) => make("td", shown(value))));
        return line;
      }),
    );
  };

  const members = (name) => order.filter((at) => rows[at].groups.includes(name) && (isOpen(at) || at === current));
  const groups = (sizes) => {
    const offered = sizes.filter((one) => members(one.group).length > 1);
    if (!offered.some((one) => one.group === group)) group = "";
    $("groups").hidden = !offered.length;
    $("groups").querySelector("div").replaceChildren(
      ...offered.map((one) => {
        const label = make("label"), box = make("input");
        box.type = "checkbox";
        box.dataset.group = one.group;
        box.checked = one.group === group;
        box.addEventListener("change", () => {
          group = box.checked ? one.group : "";
          for (const other of $("groups").querySelectorAll("input")) other.checked = other.dataset.group === group;
        });
        label.append(box, `all ${members(one.group).length} undecided rows: ${spelled(one.words)}`);
        return label;
      }),
    );
  };

  const decided = () => {
    const { state, by } = states[current];
    $("decided").hidden = state === "";
    $("decided").textContent = state === "skip" ? "Skipped." : Object.entries(by).map(([who, what]) => `${who || "somebody"}: ${what}`).join("; ");
  };

  const show = async (at, { focus = true } = {}) => {
    if (at < 0) {
      current = -1;
      card = null;
      list();
      $("card").hidden = true;
      $("nothing").hidden = false;
      $("nothing").textContent = rows.every((_, i) => !isOpen(i)) ? "Every row is decided or skipped." : "No row fits. Choose other filters.";
      return;
    }
    current = at;
    try {
      const said = await ask(`row/${at}`);
      if (current !== at) return;
      paint(said);
      list();
      if (focus) {
        $("card").focus({ preventScroll: true });
        if ($("card").getBoundingClientRect().top < 0) $("card").scrollIntoView();
      }
    } catch (error) {
      trouble(error.message);
    }
  };

  const step = (way) => {
    const place = visible.indexOf(current);
    const next = visible[place + way];
    if (next !== undefined) show(next);
  };

  // The order follows the decisions, so that the next row is the most probable one.
  const following = (after) => {
    const fitting = order.filter((at) => fits(at) && at !== after);
    return fitting.find((at) => order.indexOf(at) > order.indexOf(after)) ?? fitting[0] ?? -1;
  };

  // Deciding

  const decide = async (action, more = {}) => {
    if (current < 0 || busy) return;
    busy = true;
    const chosen = group ? members(group) : [current];
    const here = current;
    try {
      take(await ask("decide", { rows: chosen, action, note: $("note").value, ...more }));
      $("note").value = "";
      const many = chosen.length > 1 ? `${chosen.length} rows ` : `${rows[here].where} `;
      $("live").textContent = `${many}${named[action]}. ${$("sentence").textContent}`;
      group = "";
      await show(following(here));
    } catch (error) {
      trouble(error.message);
    } finally {
      busy = false;
      if (undoNext) undo();
    }
  };

  // A decision made before the next row is seen is ignored; an undo waits for what it takes back.
  const undo = async () => {
    undoNext = busy;
    if (busy) return;
    busy = true;
    try {
      const said = await ask("undo", {});
      take(said);
      $("live").textContent = said.undone.length ? "Undone." : "There is nothing to undo.";
      if (said.undone.length) await show(Math.min(...said.undone));
      else trouble("There is nothing to undo.");
    } catch (error) {
      trouble(error.message);
    } finally {
      busy = false;
    }
  };

  const opened = (id, then) => {
    const dialog = $(id);
    dialog.returnValue = "";
    dialog.onclose = () => {
      if (dialog.returnValue === "ok") then();
    };
    dialog.showModal();
  };

  const relabel = () => {
    if (!card) return;
    const likely = card.probabilities.map((one) => one.label);
    const known = isNumber ? [] : [...document.querySelectorAll("#all-classes option")].map((one) => one.value);
    const choices = [...new Set([card.suggested, ...likely, ...known])].filter((name) => name && name !== card.given).slice(0, 24);
    $("label-value").value = "";
    $("new-label").hidden = true;
    $("relabel").querySelector("form").onsubmit = (event) => {
      const typed = $("label-value").value.trim(), said = `No row is labelled ${spelled(typed)}. Press Relabel again to use it.`;
      if (isNumber || !typed || known.includes(typed) || event.submitter?.value !== "ok" || $("new-label").textContent === said) return;
      event.preventDefault();
      $("new-label").textContent = said;
      $("new-label").hidden = false;
    };
    $("new-label").textContent = "";
    $("choices").replaceChildren(
      ...choices.map((name, place) => {
        const button = make("button", undefined, name === card.suggested ? "is-suggested" : "");
        button.type = "button";
        if (place < 9) button.append(make("kbd", String(place + 1)), " ");
        button.append(spelled(name));
        button.addEventListener("click", () => {
          $("label-value").value = name;
          $("relabel").close("ok");
        });
        return button;
      }),
    );
    opened("relabel", () => decide("relabel", { value: $("label-value").value }));
    ($("choices").querySelector("button") ?? $("label-value")).focus();
  };

  const fix = () => {
    if (!card) return;
    const marked = card.cells.find((one) => one.mark) ?? card.cells[0];
    if (!marked) return;
    $("fix-column").value = marked.column;
    const fill = () => {
      $("fix-value").value = card.cells.find((one) => one.column === $("fix-column").value)?.value ?? "";
    };
    fill();
    $("fix-column").onchange = fill;
    opened("fix", () => decide("fix", { column: $("fix-column").value, value: $("fix-value").value }));
    $("fix-value").focus();
    $("fix-value").select();
  };

  const nextGroup = () => {
    const boxes = [...$("groups").querySelectorAll("input")];
    if (!boxes.length) return;
    const next = boxes[boxes.findIndex((box) => box.checked) + 1];
    for (const box of boxes) box.checked = box === next;
    group = next ? next.dataset.group : "";
    $("live").textContent = next ? next.parentElement.textContent : "this row only";
  };

  const actions = {
    keep: () => decide("keep"), drop: () => decide("drop"), skip: () => decide("skip"),
    relabel, fix, undo, help: () => opened("help", () => {}),
  };
  const keys = { k: "keep", r: "relabel", f: "fix", d: "drop", s: "skip", u: "undo", "?": "help" };

  for (const button of document.querySelectorAll("[data-action]")) {
    button.addEventListener("click", () => actions[button.dataset.action]());
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
    if ($("relabel").open && !typing && /^[1-9]$/.test(event.key)) {
      $("choices").querySelectorAll("button")[Number(event.key) - 1]?.click();
      event.preventDefault();
      return;
    }
    if (event.key === "Enter" && event.target.id === "fix-value" && !event.shiftKey) {
      event.preventDefault();
      $("fix").close("ok");
      return;
    }
    if (event.key === "Escape" && event.target.id === "note") $("card").focus();
    if (typing || document.querySelector("dialog[open]")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key in keys) actions[keys[key]]();
    else if (key === "g") nextGroup();
    else if (key === "n") $("note").focus();
    else if (key === "ArrowRight" || key === "ArrowLeft") step(key === "ArrowRight" ? 1 : -1);
    else return;
    event.preventDefault();
  });
  for (const id of ["by-state", "by-kind", "by-label", "by-group"]) {
    $(id).addEventListener("change", () => {
      show(order.find(fits) ?? -1, { focus: false });
    });
  }

  (async () => {
    try {
      const said = await ask("state");
      rows = said.rows;
      take(said);
      options("by-label", [...new Set(rows.map((row) => row.given))].filter((name) => name !== null).sort().slice(0, 200));
      const sizes = new Map();
      for (const row of rows) for (const name of row.groups) sizes.set(name, (sizes.get(name) ?? 0) + 1);
      const largest = [...sizes].sort((one, other) => other[1] - one[1]).slice(0, 100);
      options("by-group", largest.map(([name]) => name), (name) => `${name.startsWith("copies ") ? "copies of one row" : name} (${sizes.get(name)})`);
      await show(following(-1));
    } catch (error) {
      $("sentence").textContent = "The review cannot be shown.";
      trouble(error.message);
    }
  })();
})();
