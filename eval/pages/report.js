const ROW_HEIGHT = 56;
const SPARE_ROWS = 8;
const list = document.getElementById("list");
const spacer = document.getElementById("spacer");
const detail = document.getElementById("detail");
const form = document.getElementById("filters");
const search = document.getElementById("search");
const selects = [...form.querySelectorAll("select")];
let shown = [];
let selected = null;

function fillSelects() {
  for (const select of selects) {
    select.append(element("option", { value: ANY }, "any"));
    for (const [value, count] of choices(select.id)) select.append(element("option", { value }, `${value} (${count})`));
  }
}

function applyFilters() {
  const wanted = Object.fromEntries(selects.map((select) => [select.id, select.value]));
  shown = matching({ ...wanted, text: search.value });
  document.getElementById("count").textContent = `${shown.length.toLocaleString("en")} of ${data.items.length.toLocaleString("en")} cases`;
  spacer.style.height = `${shown.length * ROW_HEIGHT}px`;
  select(shown.includes(selected) ? selected : shown[0] ?? null);
}

function rowElement(item, index) {
  const row = element("div", {
    className: "row", role: "option", id: `row-${index}`, "data-index": index,
    "aria-selected": item === selected, "aria-setsize": shown.length, "aria-posinset": index + 1,
  });
  const flow = item.sides.flatMap((side, i) => [i ? " → " : "", ...(side ? [mark(side.emission), side.emission] : ["–"])]);
  const last = item.sides[LAST];
  row.append(
    element("p", {}, request(item)),
    element("p", { className: "flow" }, ...flow, last ? ` · ${last.right ? "✓" : "✗"} ${last.verdict}` : ""),
  );
  row.style.top = `${index * ROW_HEIGHT}px`;
  return row;
}

/* Only the rows in sight are in the document, and some more on either side. */
function drawRows() {
  const from = Math.max(0, Math.floor(list.scrollTop / ROW_HEIGHT) - SPARE_ROWS);
  const to = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_HEIGHT) + SPARE_ROWS);
  const rows = shown.slice(from, to).map((item, i) => rowElement(item, from + i));
  spacer.replaceChildren(...(rows.length ? rows : [element("p", { className: "empty" }, "No case matches.")]));
}

function select(item) {
  const changed = item !== selected;
  selected = item;
  hideTip();
  scrollToSelected();
  drawRows();
  const index = shown.indexOf(item);
  if (index >= 0) list.setAttribute("aria-activedescendant", `row-${index}`);
  else list.removeAttribute("aria-activedescendant");
  if (!changed && detail.hasChildNodes()) return;
  detail.replaceChildren(...(item ? detailOf(item) : [element("p", { className: "empty" }, "No case is selected.")]));
  detail.scrollTop = 0;
}

function scrollToSelected() {
  const top = Math.max(0, shown.indexOf(selected)) * ROW_HEIGHT;
  if (top < list.scrollTop) list.scrollTop = top;
  if (top + ROW_HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW_HEIGHT - list.clientHeight;
}

function move(step) {
  if (!shown.length) return;
  const index = Math.max(0, Math.min(shown.length - 1, shown.indexOf(selected) + step));
  select(shown[index]);
}

function openSelected() {
  const target = detail.querySelector(".side.latest .token") ?? detail.querySelector(".token") ?? detail;
  target.focus();
}

function moveToken(token, to) {
  if (!to) return;
  token.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}

const LIST_KEYS = {
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  PageDown: () => move(Math.floor(list.clientHeight / ROW_HEIGHT)),
  PageUp: () => move(-Math.floor(list.clientHeight / ROW_HEIGHT)),
  Home: () => move(-Infinity),
  End: () => move(Infinity),
  Enter: openSelected,
};

const TOKEN_KEYS = {
  ArrowRight: (token) => moveToken(token, token.nextElementSibling),
  ArrowLeft: (token) => moveToken(token, token.previousElementSibling),
  Home: (token) => moveToken(token, token.parentElement.firstElementChild),
  End: (token) => moveToken(token, token.parentElement.lastElementChild),
};

const PAGE_KEYS = {
  j: () => move(1),
  k: () => move(-1),
  "/": () => search.focus(),
  Escape: () => list.focus(),
};

const SEARCH_KEYS = {
  Enter: () => list.focus(),
  Escape: () => list.focus(),
  ArrowDown: () => list.focus(),
};

function actionOf(event) {
  const at = event.target;
  if (at === search) return SEARCH_KEYS[event.key];
  if (at.closest("select")) return event.key === "Escape" ? PAGE_KEYS.Escape : undefined;
  const token = at.closest(".token");
  if (token && TOKEN_KEYS[event.key]) return () => TOKEN_KEYS[event.key](token);
  if (at === list && LIST_KEYS[event.key]) return LIST_KEYS[event.key];
  return PAGE_KEYS[event.key];
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const action = actionOf(event);
  if (!action) return;
  event.preventDefault();
  action();
});

list.addEventListener("scroll", () => requestAnimationFrame(drawRows));
list.addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (row) select(shown[Number(row.dataset.index)]);
});
search.addEventListener("input", applyFilters);
for (const each of selects) each.addEventListener("change", applyFilters);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(applyFilters));

for (const [name, handle] of [["mouseover", showTip], ["focusin", showTip], ["mouseout", hideTip], ["focusout", hideTip]]) {
  detail.addEventListener(name, (event) => {
    const token = event.target.closest(".token");
    if (token) handle(token);
  });
}
detail.addEventListener("scroll", hideTip);

/* A part of the ledger, or a slice's name, shows its cases. */
document.querySelector("main").addEventListener("click", (event) => {
  const part = event.target.closest("[data-slice]");
  if (!part) return;
  const { slice, emission = ANY, side } = part.dataset;
  form.reset();
  const chosen = { slice, [side === "then" ? "before" : "emission"]: emission };
  for (const select of selects) select.value = chosen[select.id] ?? ANY;
  setTimeout(applyFilters);
  document.getElementById("cases").scrollIntoView();
});

fillSelects();
shown = data.items;
selected = data.items[data.first] ?? null;
applyFilters();
list.scrollTop = (shown.indexOf(selected) + 0.5) * ROW_HEIGHT - list.clientHeight / 2;
addEventListener("resize", drawRows);
