"use strict";
// Sorts and filters the tables of a page. The state is in the page's address, so that a link shows what its sender saw:
// ?sort=KEY (best first) or ?sort=-KEY (the other way round), &find=WORDS, and #ROW. Every table that has the column is
// sorted by it. Without this script the tables are there as well, in their first order.
(() => {
  const controls = document.querySelector(".controls");
  const tables = [...document.querySelectorAll("table.board")].map((table) => {
    const heads = [...table.tHead.rows[0].cells];
    const rows = [...table.tBodies[0].rows];
    return { body: table.tBodies[0], heads, rows, keys: heads.map((head) => head.dataset.key) };
  });
  if (!tables.length || !controls) return;
  const rows = tables.flatMap((table) => table.rows);
  const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const heads = tables.flatMap((table) => table.heads).filter((head) => head.dataset.key);
  const titles = new Map(heads.map((head) => [head.dataset.key, head.textContent.trim()]));
  const order = new Intl.Collator("en", { numeric: true });
  const FEW = 6; // Fewer rows need no filter.
  let state;

  const isNumber = (head) => "number" in head.dataset;
  const valueOf = (row, head) => {
    const cell = row.cells[head.cellIndex];
    if (!isNumber(head)) return (cell.querySelector("bdi") ?? cell).textContent.trim();
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  };
  // Best first: the highest number, the least forgetting and memory, the first letter.
  const falls = (head, reversed) => (isNumber(head) && !("less" in head.dataset)) !== reversed;

  function readAddress() {
    const asked = new URLSearchParams(location.search);
    const sort = asked.get("sort") ?? "";
    return { sort: titles.has(sort.replace(/^-/, "")) ? sort : "", find: asked.get("find") ?? "" };
  }

  function writeAddress() {
    const asked = new URLSearchParams(Object.entries(state).filter(([, value]) => value));
    const query = asked.toString();
    try {
      history.replaceState(null, "", location.pathname + (query ? "?" + query : "") + location.hash);
    } catch {
      // Browsers allow so many changes in so many seconds: the next one writes the address.
    }
  }

  function sorted(table, head, reversed) {
    if (!head) return table.rows;
    const sign = falls(head, reversed) ? -1 : 1;
    const compare = isNumber(head) ? (a, b) => a - b : order.compare;
    const known = table.rows.map((row) => [valueOf(row, head), row]);
    // What has no value is last either way; sort() is stable, so equals keep the first order.
    return known.sort(([a], [b]) => {
      if (a === null || b === null || a === "" || b === "") return (a === null || a === "") - (b === null || b === "");
      return sign * compare(a, b);
    }).map(([, row]) => row);
  }

  function show() {
    const reversed = state.sort.startsWith("-");
    const key = state.sort.replace(/^-/, "");
    let direction = "";
    for (const table of tables) {
      const head = key && table.heads[table.keys.indexOf(key)];
      table.body.append(...sorted(table, head, reversed));
      for (const each of table.heads) each.removeAttribute("aria-sort");
      if (!head) continue;
      direction = falls(head, reversed) ? "descending" : "ascending";
      head.setAttribute("aria-sort", direction);
    }
    const wanted = state.find.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !wanted.every((word) => words.get(row).includes(word));
    const by = key ? `, by “${titles.get(key)}”, ${direction === "descending" ? "falling" : "rising"}` : "";
    const status = controls.querySelector(".status");
    if (status) status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows${by}.`;
  }

  function change(part) {
    state = { ...state, ...part };
    show();
    writeAddress();
    for (const find of controls.querySelectorAll("[type=search]")) find.value = state.find;
    for (const choice of controls.querySelectorAll("select")) choice.value = state.sort.replace(/^-/, "");
  }

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function makeControls() {
    if (rows.length < FEW) return;
    const find = element("input", { type: "search", autocomplete: "off", oninput: () => change({ find: find.value }) });
    // A phone shows cards, which have no heads to press.
    const options = [["", "first order"], ...titles].map(([value, text]) => element("option", { value }, text));
    const sort = element("select", { onchange: () => change({ sort: sort.value }) }, ...options);
    controls.append(element("label", {}, "Find", find), element("label", { className: "sort" }, "Sort by", sort));
    controls.append(element("button", { type: "button", onclick: () => change({ sort: "", find: "" }) }, "Reset"));
    const status = element("p", { className: "status" });
    status.setAttribute("role", "status");
    controls.append(status);
    controls.hidden = false;
  }

  function makeHeads() {
    for (const head of heads) {
      const key = head.dataset.key;
      const button = element("button", { type: "button" }, ...head.childNodes);
      button.onclick = () => change({ sort: state.sort === key ? "-" + key : key });
      head.append(button);
    }
  }

  makeHeads();
  makeControls();
  const fromAddress = () => {
    state = readAddress();
    change({});
  };
  addEventListener("popstate", fromAddress);
  fromAddress();
  // Sorting has moved the row that the address names.
  document.getElementById(location.hash.slice(1))?.scrollIntoView({ block: "center" });
})();
