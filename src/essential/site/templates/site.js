"use strict";
// Sorts and filters the table of a page. The state is in the page's address, so that a link shows what its sender saw:
// ?sort=KEY (best first) or ?sort=-KEY (the other way round), &from=ours or published, &find=WORDS, and #ROW.
// Without this script the table is there as well, in its first order.
(() => {
  const table = document.querySelector("table.board");
  const controls = document.querySelector(".controls");
  if (!table || !controls) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const keys = heads.map((head) => head.dataset.key);
  const titles = heads.map((head) => head.textContent.trim());
  const words = rows.map((row) => row.textContent.toLowerCase());
  const order = new Intl.Collator("en", { numeric: true });
  const choices = { "": "all", ours: "run here", published: "published" };
  const FEW = 6; // Fewer rows need no filter.
  let state;

  const isNumber = (column) => "number" in heads[column].dataset;
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!isNumber(column)) return (cell.querySelector("bdi") ?? cell).textContent.trim();
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  };
  // Best first: the highest number, the least forgetting and memory, the first letter.
  const falls = (column, reversed) => (isNumber(column) && !("less" in heads[column].dataset)) !== reversed;

  function readAddress() {
    const asked = new URLSearchParams(location.search);
    const sort = asked.get("sort") ?? "";
    const known = keys.includes(sort.replace(/^-/, "")) ? sort : "";
    const from = asked.get("from") ?? "";
    return { sort: known, from: controls.dataset.from && from in choices ? from : "", find: asked.get("find") ?? "" };
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

  function sorted(column, reversed) {
    if (column < 0) return rows;
    const sign = falls(column, reversed) ? -1 : 1;
    const compare = isNumber(column) ? (a, b) => a - b : order.compare;
    const known = rows.map((row) => [valueOf(row, column), row]);
    // What has no value is last either way; sort() is stable, so equals keep the first order.
    return known.sort(([a], [b]) => {
      if (a === null || b === null || a === "" || b === "") return (a === null || a === "") - (b === null || b === "");
      return sign * compare(a, b);
    }).map(([, row]) => row);
  }

  function show() {
    const column = keys.indexOf(state.sort.replace(/^-/, ""));
    const reversed = state.sort.startsWith("-");
    body.append(...sorted(state.sort ? column : -1, reversed));
    heads.forEach((head, index) => {
      if (state.sort && index === column) head.setAttribute("aria-sort", falls(column, reversed) ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const wanted = state.find.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, index) => {
      const from = !state.from || row.classList.contains(state.from);
      row.hidden = !from || !wanted.every((word) => words[index].includes(word));
    });
    tell(column, reversed);
  }

  function tell(column, reversed) {
    const shown = rows.filter((row) => !row.hidden);
    const mixed = shown.some((row) => row.classList.contains("ours")) && shown.some((row) => row.classList.contains("published"));
    let text = `${shown.length} of ${rows.length} rows`;
    if (state.sort) text += `, by “${titles[column]}”, ${falls(column, reversed) ? "falling" : "rising"}`;
    if (state.sort && mixed) text += ". Run here and published stand in one list: this is no ranking";
    const status = controls.querySelector(".status");
    if (status) status.textContent = text + ".";
  }

  function change(part) {
    state = { ...state, ...part };
    show();
    writeAddress();
    for (const find of controls.querySelectorAll("[type=search]")) find.value = state.find;
    for (const radio of controls.querySelectorAll("[type=radio]")) radio.checked = radio.value === state.from;
  }

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function makeControls() {
    if (rows.length < FEW) return;
    if (controls.dataset.from) {
      const labels = Object.entries(choices).map(([value, text]) => {
        const radio = element("input", { type: "radio", name: "from", value, onchange: () => change({ from: value }) });
        return element("label", {}, radio, text);
      });
      controls.append(element("fieldset", {}, element("legend", {}, "Show"), ...labels));
    }
    const find = element("input", { type: "search", autocomplete: "off", oninput: () => change({ find: find.value }) });
    controls.append(element("label", {}, "Find", find));
    const reset = { type: "button", onclick: () => change({ sort: "", from: "", find: "" }) };
    controls.append(element("button", reset, "Reset"));
    const status = element("p", { className: "status" });
    status.setAttribute("role", "status");
    controls.append(status);
    controls.hidden = false;
  }

  function makeHeads() {
    heads.forEach((head, index) => {
      const key = keys[index];
      if (!key) return;
      const button = element("button", { type: "button" }, ...head.childNodes);
      button.onclick = () => change({ sort: state.sort === key ? "-" + key : key });
      head.append(button);
    });
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
