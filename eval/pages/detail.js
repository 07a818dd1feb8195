const SHOWN_TOKENS = 3000;
const DOUBTFUL = Math.log(0.5);
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const tip = document.getElementById("tip");

/* Positions of tokens that together spell a wire token, none of them being it: text that only looks like a call. */
function typedPositions(tokens) {
  const starts = [];
  let text = "";
  for (const [, piece] of tokens) {
    starts.push(text.length);
    text += piece;
  }
  const found = new Set();
  for (const wire of data.wire_texts) {
    for (let at = text.indexOf(wire); at >= 0; at = text.indexOf(wire, at + 1)) {
      tokens.forEach(([id, piece], i) => {
        if (!(id in data.wire) && starts[i] < at + wire.length && starts[i] + piece.length > at) found.add(i);
      });
    }
  }
  return found;
}

/* A token's text with a sign for what cannot be seen; a line break also breaks the line. */
function visible(text) {
  if (text === "") return [element("span", { className: "glyph" }, "∅")];
  return text.split(/(\n)/).filter(Boolean).flatMap((part) => part === "\n"
    ? [element("span", { className: "glyph" }, "↵"), "\n"]
    : [part.replace(INVISIBLE, (sign) => `⟨U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`)]);
}

function tokenElement([id, text], position, logprob, typed) {
  const kinds = ["token"];
  if (id in data.wire) kinds.push("wire");
  if (id in data.wire && data.call_texts.includes(data.wire[id])) kinds.push("call");
  if (typed) kinds.push("typed");
  if (logprob < DOUBTFUL) kinds.push("doubtful");
  return element("span", { className: kinds.join(" "), tabindex: position ? -1 : 0, "data-position": position, "data-id": id }, ...visible(text));
}

function tokensElement(side, run) {
  const tokens = side.tokens.map((index) => data.vocabulary[index]);
  const typed = typedPositions(tokens);
  const box = element("div", { className: "tokens", role: "group", "aria-label": `Tokens of ${run}` });
  const make = (from, to) => tokens.slice(from, to).map((token, i) => tokenElement(token, from + i, side.logprobs[from + i] ?? 0, typed.has(from + i)));
  box.append(...make(0, SHOWN_TOKENS));
  box.describe = (position) => describe(tokens[position], position, tokens.length, side.logprobs[position], typed.has(position));
  if (tokens.length <= SHOWN_TOKENS) return [box];
  const more = element("button", { type: "button" }, `Show all ${tokens.length.toLocaleString("en")} tokens`);
  more.addEventListener("click", () => {
    box.append(...make(SHOWN_TOKENS));
    more.remove();
  });
  return [box, more];
}

function describe([id, text], position, count, logprob, typed) {
  const kind = id in data.wire ? "\nwire token" : typed ? "\nspells a wire token with other ids" : "";
  const chance = Number.isFinite(logprob) ? `log p ${logprob.toFixed(3)} (${(100 * Math.exp(logprob)).toFixed(1)} %)` : "log p not recorded";
  return `id ${id} · ${JSON.stringify(text)}\ntoken ${position + 1} of ${count} · ${chance}${kind}`;
}

function showTip(token) {
  tip.textContent = token.parentElement.describe(Number(token.dataset.position));
  tip.hidden = false;
  const at = token.getClientRects()[0] ?? token.getBoundingClientRect();
  const top = at.bottom + 6 + tip.offsetHeight > innerHeight ? at.top - tip.offsetHeight - 6 : at.bottom + 6;
  tip.style.top = `${top}px`;
  tip.style.left = `${Math.max(8, Math.min(at.left, document.documentElement.clientWidth - tip.offsetWidth - 8))}px`;
}

function hideTip() {
  tip.hidden = true;
}

function folded(summary, text, open = false) {
  const details = element("details", {}, element("summary", {}, summary), element("pre", {}, text));
  details.open = open;
  return details;
}

function mark(emission) {
  return element("span", { className: `mark ${data.families[emission]}`, "aria-hidden": "true" });
}

function sideElement(side, index) {
  const box = element("section", { className: index === LAST ? "side latest" : "side", "aria-label": data.runs[index] });
  box.append(element("h4", {}, data.runs[index]));
  if (!side) {
    box.append(element("p", { className: "why" }, "This run does not hold the case."));
    return box;
  }
  const facts = [`${side.tokens.length} tokens`, `prompt ${side.prompt_tokens}`, `${side.seconds} s`, `finish: ${side.finish}`];
  box.append(
    element("p", { className: "outcome" }, mark(side.emission), `${side.emission} · `, element("span", { className: side.right ? "right" : "wrong" }, `${side.right ? "✓" : "✗"} ${side.verdict}`)),
    element("p", { className: "why" }, side.why),
    ...(side.tokens.length ? tokensElement(side, data.runs[index]) : [element("pre", { className: "tokens" }, side.text || "no tokens")]),
    element("p", { className: "facts" }, facts.join(" · ")),
  );
  if (side.tokens.length && side.text) box.append(folded("As text", side.text));
  if (side.calls) box.append(folded("Calls, read strictly", side.calls));
  for (const [defect, text] of side.malformed) box.append(folded(`Block that is no call: ${defect}`, text));
  if (side.readings) box.append(folded("Other readings of the same ids", side.readings));
  return box;
}

function detailOf(item) {
  const repeat = item.repeat ? ` · repeat ${item.repeat}` : "";
  return [
    element("h3", {}, item.id, element("small", {}, `  ${item.slice}${repeat}`)),
    ...item.messages.map(([role, text]) => element("div", { className: "message" }, element("span", { className: "role" }, role), element("pre", {}, text))),
    item.expected ? folded("Expected call", item.expected, true) : element("p", { className: "facts" }, `Expected: ${item.needs_call ? "some call" : "no call"}`),
    folded(`Tools offered: ${item.names.join(", ") || "none"}`, data.tools[item.tools]),
    element("div", { className: "sides" }, ...item.sides.map(sideElement)),
  ];
}
