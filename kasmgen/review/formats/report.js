"use strict";
(() => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const $ = (id) => document.getElementById(id);
  const names = report.environments.map((environment) => environment.name);
  const everywhere = names.map((_, index) => index);
  const severities = ["error", "warning", "info"];
  const OPS = { add: "added", remove: "removed", change: "changed", rename: "renamed" };
  const FIELD_OPS = { add: "added", remove: "removed", replace: "changed", move: "moved" };
  const STATES = {
    added: "added", removed: "removed", changed: "changed", same: "same", sealed: "sealed, was in clear",
    unsealed: "in clear, was sealed", resealed: "re-sealed: only a private key can tell whether the value changed",
  };

  // Text only ever becomes text: there is no way from the data to markup.
  function make(tag, options, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(options || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (key === "class") element.className = value;
      else if (key === "on") for (const [event, run] of Object.entries(value)) element.addEventListener(event, run);
      else element.setAttribute(key, value === true ? "" : String(value));
    }
    for (const child of children.flat(3)) if (child !== null && child !== undefined && child !== "") element.append(child);
    return element;
  }
  const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many || one + "s"}`;
  const badge = (kind, text) => make("span", { class: `badge ${kind}` }, text);
  const title = (risk) => report.riskTitles[risk] || risk;
  const environmentsOf = (change) => change.environments || everywhere;

  const entries = report.changes.map((change, index) => ({
    change, index, environments: new Set(environmentsOf(change)), risks: new Set(change.risks.map((risk) => risk.id)),
    article: null, head: null, body: null, text: null,
  }));

  // --- state, kept in the address so that a view can be passed on -----------

  const state = { text: "", environment: "", risk: "", kind: "", noise: false, view: "unified" };

  function readAddress() {
    const found = new URLSearchParams(location.hash.slice(1));
    for (const key of ["text", "environment", "risk", "kind"]) if (found.has(key)) state[key] = found.get(key);
    state.noise = found.get("noise") === "1";
    if (found.get("view") === "split") state.view = "split";
  }
  function writeAddress() {
    const out = new URLSearchParams();
    for (const key of ["text", "environment", "risk", "kind"]) if (state[key]) out.set(key, state[key]);
    if (state.noise) out.set("noise", "1");
    if (state.view === "split") out.set("view", "split");
    try { history.replaceState(null, "", "#" + out.toString()); } catch { /* some viewers forbid it */ }
  }

  // --- syntax colours and what differs within a line ------------------------

  const TOKEN = /(#.*$|\/\/ .*$)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|([A-Za-z_][\w./-]*)(?=\s*:(?:\s|$))|\b(true|false|null|yes|no|on|off)\b|(?<![\w.-])(-?\d+(?:\.\d+)?(?:[KMGTP]i?|m|s|h)?)(?![\w.-])/g;
  const CLASSES = [null, "t-c", "t-s", "t-k", "t-w", "t-n"];

  function tokens(text) {
    if (text.length > 2000) return [["", text]];
    const out = [];
    let last = 0;
    for (const match of text.matchAll(TOKEN)) {
      // A # inside a word begins no comment.
      if (match[1] && match.index > 0 && !/\s/.test(text[match.index - 1])) continue;
      if (match.index > last) out.push(["", text.slice(last, match.index)]);
      const group = match.slice(1).findIndex((part) => part !== undefined) + 1;
      out.push([CLASSES[group], match[0]]);
      last = match.index + match[0].length;
    }
    if (last < text.length) out.push(["", text.slice(last)]);
    return out;
  }
  function differing(old, now) {
    const most = Math.min(old.length, now.length);
    let head = 0;
    while (head < most && old[head] === now[head]) head++;
    let tail = 0;
    while (tail < most - head && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail++;
    // Whole words: half a number says nothing.
    const word = /[\w.]/;
    while (head > 0 && word.test(old[head - 1]) && (word.test(old[head] || "") || word.test(now[head] || ""))) head--;
    while (tail > 0 && word.test(old[old.length - tail]) && (word.test(old[old.length - tail - 1] || "") || word.test(now[now.length - tail - 1] || ""))) tail--;
    // Where almost everything differs, a mark says nothing either.
    const share = (head + tail) / Math.max(old.length, now.length, 1);
    return share < 0.25 ? null : [[head, old.length - tail], [head, now.length - tail]];
  }
  function coloured(text, range) {
    const out = [];
    let at = 0;
    for (const [kind, part] of tokens(text)) {
      const cuts = range ? [range[0] - at, range[1] - at].map((cut) => Math.min(Math.max(cut, 0), part.length)) : [0, 0];
      const pieces = [[part.slice(0, cuts[0]), false], [part.slice(cuts[0], cuts[1]), true], [part.slice(cuts[1]), false]];
      for (const [piece, marked] of range ? pieces : [[part, false]]) {
        if (!piece) continue;
        const node = kind ? make("span", { class: kind }, piece) : document.createTextNode(piece);
        out.push(marked ? make("mark", {}, node) : node);
      }
      at += part.length;
    }
    return out;
  }

  // --- diffs -----------------------------------------------------------------

  // Rows of both views: {old, now} side by side, or {gap}; ranges say what differs within.
  function rows(lines) {
    const out = [];
    let index = 0;
    while (index < lines.length) {
      const mark = lines[index][0];
      const text = lines[index].slice(1);
      if (mark === "~") { out.push({ gap: text }); index++; continue; }
      if (mark === " ") { out.push({ old: text, now: text, equal: true }); index++; continue; }
      const olds = [], news = [];
      while (index < lines.length && lines[index][0] === "-") olds.push(lines[index++].slice(1));
      while (index < lines.length && lines[index][0] === "+") news.push(lines[index++].slice(1));
      for (let i = 0; i < Math.max(olds.length, news.length); i++) {
        const ranges = i < olds.length && i < news.length ? differing(olds[i], news[i]) : null;
        out.push({ old: olds[i], now: news[i], ranges: ranges || [null, null] });
      }
    }
    return out;
  }
  const cells = (mark, kind, text, range) => [
    make("td", { class: `mark ${kind}` }, mark === " " ? "" : [make("span", { "aria-hidden": "true" }, mark === "-" ? "−" : mark), make("span", { class: "sr" }, mark === "-" ? "before: " : "now: ")]),
    make("td", { class: `code ${kind}` }, coloured(text, range)),
  ];
  const gap = (text, columns) => make("tr", { class: "gap" }, make("td", { colspan: columns }, text));

  function unified(all) {
    const out = [];
    let olds = [], news = [];
    const flush = () => { out.push(...olds, ...news); olds = []; news = []; };
    for (const row of all) {
      if (row.gap !== undefined) { flush(); out.push(gap(row.gap, 2)); }
      else if (row.equal) { flush(); out.push(make("tr", {}, cells(" ", "", row.old))); }
      else {
        if (row.old !== undefined) olds.push(make("tr", {}, cells("-", "del", row.old, row.ranges[0])));
        if (row.now !== undefined) news.push(make("tr", {}, cells("+", "add", row.now, row.ranges[1])));
      }
    }
    flush();
    return out;
  }
  const nothing = () => [make("td", { class: "mark none" }), make("td", { class: "code none" })];
  function split(all) {
    return all.map((row) => {
      if (row.gap !== undefined) return gap(row.gap, 4);
      if (row.equal) return make("tr", {}, cells(" ", "", row.old), cells(" ", "", row.now));
      return make("tr", {},
        row.old === undefined ? nothing() : cells("-", "del", row.old, row.ranges[0]),
        row.now === undefined ? nothing() : cells("+", "add", row.now, row.ranges[1]));
    });
  }
  function diff(lines, label) {
    const all = rows(lines);
    // What is on one side only needs no second one.
    const sided = state.view === "split" && new Set(lines.map((line) => line[0]).filter((mark) => mark !== "~")).size > 1;
    const columns = sided ? ["mark", "code", "mark", "code"] : ["mark", "code"];
    return make("table", { class: sided ? "diff split" : "diff", "aria-label": label },
      make("colgroup", {}, columns.map((kind) => make("col", { class: kind }))),
      make("tbody", {}, sided ? split(all) : unified(all)));
  }

  // --- one change ------------------------------------------------------------

  function field(item) {
    const lines = item.lines || [
      ...(item.old === undefined ? [] : ["-" + item.old]), ...(item.new === undefined ? [] : ["+" + item.new])];
    return make("div", { class: "field" },
      make("h4", {}, item.path, make("span", { class: "op" }, FIELD_OPS[item.op] + (item.note ? `: ${item.note}` : ""))),
      lines.length ? diff(lines, item.path) : null);
  }
  function secretKeys(secret) {
    const order = Object.keys(STATES);
    const weight = (state_) => (state_ === "same" ? 99 : order.indexOf(state_));
    const sorted = [...secret.keys].sort((a, b) => weight(a.state) - weight(b.state));
    return make("table", { class: "keys" },
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Key"), make("th", { scope: "col" }, "Value"))),
      make("tbody", {}, sorted.map((item) => make("tr", {},
        make("th", { scope: "row", class: "mono" }, item.key),
        make("td", { class: item.state === "same" ? "dimmed" : "strong" }, STATES[item.state])))));
  }
  function certificates(secret) {
    const [old, now] = [secret.certificateOld, secret.certificateNew];
    if (!old && !now || JSON.stringify(old) === JSON.stringify(now)) return null;
    const row = (label, key) => make("tr", {}, make("th", { scope: "row" }, label),
      [old, now].map((side) => make("td", { class: old && now && String(old[key]) !== String(now[key]) ? "strong" : "" },
        side ? (Array.isArray(side[key]) ? side[key].join(", ") : side[key]) : "none")));
    return make("table", { class: "keys" },
      make("thead", {}, make("tr", {}, ["Certificate", "Before", "Now"].map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, row("Names", "names"), row("Valid from", "notBefore"), row("Valid until", "notAfter"), row("Issued by", "issuedBy")));
  }
  function recipients(secret) {
    const told = [["can decrypt it now", secret.recipientsAdded], ["cannot decrypt it any more", secret.recipientsRemoved]];
    return told.flatMap(([text, list]) => list.map((recipient) => make("p", { class: "note" }, make("code", {}, recipient), ` ${text}`)));
  }
  function where(change) {
    const all = environmentsOf(change).map((index) => names[index]);
    const label = `${count(all.length, "environment")}`;
    const namespaces = change.namespaces.length ? ` · namespace ${change.namespaces.join(", ")}` : "";
    if (all.length <= 6) return make("p", { class: "where" }, `${label}: ${all.join(", ")}${namespaces}`);
    return make("details", { class: "where" }, make("summary", {}, label + namespaces), all.join(", "));
  }
  function body(change) {
    const secret = change.secret && change.op !== "remove" ? change.secret : null;
    const folded = change.folded.map((item) => `${item.reason} (${item.fields})`).join(", ");
    return [
      where(change),
      change.risks.length ? make("ul", { class: "reasons" }, change.risks.map((risk) =>
        make("li", {}, badge(risk.severity, title(risk.id)), make("span", { class: "sr" }, ` ${risk.severity}: `), risk.reason))) : null,
      secret ? [secret.keys.length ? secretKeys(secret) : null, certificates(secret), recipients(secret)] : null,
      change.fields.map(field),
      change.lines.length ? make("details", { class: "field", open: change.op === "add" },
        make("summary", {}, "The whole object", make("span", { class: "op" }, `${OPS[change.op]}, ${count(change.lines.length, "line")}`)),
        diff(change.lines, "the whole object")) : null,
      folded ? make("p", { class: "note" }, `Not shown: ${folded}`) : null,
    ].flat(3);
  }
  function environmentsWords(change) {
    const all = environmentsOf(change);
    if (all.length === names.length && names.length > 1) return `all ${names.length.toLocaleString("en")} environments`;
    const shown = all.slice(0, 3).map((index) => names[index]).join(", ");
    return all.length > 3 ? `${shown} and ${all.length - 3} more` : shown;
  }
  function article(entry) {
    const { change, index } = entry;
    const risks = [...new Map(change.risks.map((risk) => [risk.id, risk])).values()];
    entry.head = make("button", { type: "button", class: "head", "aria-expanded": "false", "aria-controls": `body-${index}`, on: { click: () => toggle(entry) } },
      make("span", { class: "chevron", "aria-hidden": "true" }),
      // The spaces are for those who hear the line.
      badge(change.op, OPS[change.op]), " ",
      make("span", { class: "kind" }, change.kind), " ", make("span", { class: "name" }, change.name), " ",
      change.was ? [make("span", { class: "in" }, `was ${change.was}`), " "] : null,
      make("span", { class: "right" },
        risks.map((risk) => [make("span", { class: `badge ${risk.severity}` }, make("span", { class: "sr" }, `${risk.severity}: `), title(risk.id)), " "]),
        change.quiet ? [badge("other", "only noise"), " "] : null,
        make("span", { class: "envs" }, environmentsWords(change))));
    entry.body = make("div", { class: "body", id: `body-${index}`, hidden: true });
    entry.article = make("article", { class: "entry", "data-severity": change.severity || "none", "aria-label": `${change.kind} ${change.name}, ${OPS[change.op]}` },
      make("h3", {}, entry.head), entry.body);
    return entry.article;
  }
  const isOpen = (entry) => entry.head !== null && entry.head.getAttribute("aria-expanded") === "true";
  function fill(entry) {
    entry.body.replaceChildren(...body(entry.change).filter(Boolean));
    entry.body.dataset.view = state.view;
  }
  function toggle(entry, open = !isOpen(entry)) {
    // Made when it is first looked at, and again when the view is another one.
    if (open && entry.body.dataset.view !== state.view) fill(entry);
    entry.body.hidden = !open;
    entry.head.setAttribute("aria-expanded", String(open));
  }

  // --- filters ---------------------------------------------------------------

  function searched(entry) {
    if (entry.text === null) {
      const { kind, name, was, namespaces, fields, lines, risks, secret } = entry.change;
      const parts = [kind, name, was || "", ...namespaces, ...lines, ...risks.map((risk) => risk.reason + " " + title(risk.id))];
      for (const item of fields) parts.push(item.path, item.old || "", item.new || "", ...(item.lines || []));
      if (secret) parts.push(...secret.keys.map((item) => item.key), ...[secret.certificateOld, secret.certificateNew].flatMap((side) => (side ? side.names : [])));
      entry.text = parts.join("\n").toLowerCase();
    }
    return entry.text;
  }
  function fits(entry) {
    const { change } = entry;
    if (change.quiet && !state.noise) return false;
    if (state.environment && !entry.environments.has(names.indexOf(state.environment))) return false;
    if (state.risk && !(severities.includes(state.risk) ? change.risks.some((risk) => risk.severity === state.risk) : entry.risks.has(state.risk))) return false;
    if (state.kind && change.kind !== state.kind) return false;
    return !state.text || state.text.toLowerCase().split(/\s+/).every((word) => searched(entry).includes(word));
  }
  // Only so many objects at once, so that thousands of changes open as fast as ten.
  const PAGE = 250;
  let limit = PAGE;
  const matching = () => entries.filter(fits);
  const visible = () => entries.filter((entry) => entry.article && entry.article.isConnected);

  function list() {
    const found = matching();
    $("list").replaceChildren(...found.slice(0, limit).map((entry) => entry.article || article(entry)));
    const left = Math.max(found.length - limit, 0);
    $("more").hidden = left === 0;
    $("more").textContent = `Show ${Math.min(left, PAGE).toLocaleString("en")} more of ${left.toLocaleString("en")}`;
    return found.length;
  }
  function apply() {
    limit = PAGE;
    const shown = list();
    const total = entries.filter((entry) => state.noise || !entry.change.quiet).length;
    $("status").textContent = shown === total ? count(total, "change") : `${shown.toLocaleString("en")} of ${count(total, "change")}`;
    $("empty").hidden = shown > 0;
    $("empty").textContent = entries.length ? "No change fits these filters." : "Nothing to show.";
    for (const [id, key] of [["f-text", "text"], ["f-environment", "environment"], ["f-risk", "risk"], ["f-kind", "kind"]]) $(id).value = state[key];
    $("f-noise").checked = state.noise;
    for (const button of document.querySelectorAll("button[data-filter]"))
      button.setAttribute("aria-pressed", String(state[button.dataset.filter] === button.dataset.value));
    writeAddress();
  }
  function showMore() {
    const next = visible().length;
    limit += PAGE;
    list();
    visible()[next].head.focus();
  }
  const set = (key, value) => { state[key] = value; apply(); };
  const filterButton = (key, value, text) => make("button", { type: "button", class: "link", "data-filter": key, "data-value": value, "aria-pressed": "false",
    on: { click: () => set(key, state[key] === value ? "" : value) } }, text);

  function options(id, label, values) {
    $(id).replaceChildren(make("option", { value: "" }, label), ...values.map(([value, text]) => make("option", { value }, text)));
  }
  function counted(pick) {
    const found = new Map();
    for (const entry of entries) for (const value of new Set(pick(entry))) found.set(value, (found.get(value) || 0) + 1);
    return found;
  }

  // --- summary ---------------------------------------------------------------

  const number = (value, kind) => make("td", { class: "num" }, value ? (kind ? badge(kind, value) : String(value)) : make("span", { class: "zero" }, "0"));
  function tiles() {
    const all = report.environments, shown = entries.filter((entry) => !entry.change.quiet);
    const of = (severity) => entries.reduce((sum, entry) => sum + entry.change.risks.filter((risk) => risk.severity === severity).length, 0);
    const failed = all.filter((environment) => environment.state === "failed").length;
    const values = [
      ["", all.filter((environment) => !["same", "failed"].includes(environment.state)).length + " of " + all.length, "environments change"],
      ["", shown.length, "distinct changes"],
      [of("error") + failed ? "error" : "", of("error") + failed, "errors"],
      [of("warning") ? "warning" : "", of("warning"), "warnings"],
    ];
    $("tiles").append(...values.map(([kind, value, label]) => make("div", { class: kind }, make("dt", {}, label), make("dd", {}, typeof value === "number" ? value.toLocaleString("en") : value))));
  }
  function environmentsTable() {
    const weight = (environment) => (environment.state === "failed" ? 1e9 : environment.errors * 1e5 + environment.warnings * 10 + (environment.state === "same" ? 0 : 1));
    const sorted = report.environments.map((environment, index) => [environment, index]).sort(([a, i], [b, j]) => weight(b) - weight(a) || i - j);
    $("environments").tBodies[0].append(...sorted.map(([environment]) => make("tr", {},
      make("th", { scope: "row" }, filterButton("environment", environment.name, environment.name)),
      make("td", {}, badge(environment.state, environment.state)),
      number(environment.added), number(environment.changed + environment.renamed), number(environment.removed),
      number(environment.errors, "error"), number(environment.warnings, "warning"))));
  }
  function risksTable() {
    const found = new Map();
    for (const entry of entries) for (const risk of entry.change.risks) {
      const key = risk.id + "/" + risk.severity;
      if (!found.has(key)) found.set(key, { risk, entries: new Set(), environments: new Set() });
      found.get(key).entries.add(entry.index);
      for (const index of entry.environments) found.get(key).environments.add(index);
    }
    const order = Object.keys(report.riskTitles);
    const sorted = [...found.values()].sort((a, b) => severities.indexOf(a.risk.severity) - severities.indexOf(b.risk.severity) || order.indexOf(a.risk.id) - order.indexOf(b.risk.id));
    const body_ = $("risks").tBodies[0];
    body_.append(...sorted.map((item) => make("tr", {},
      make("th", { scope: "row" }, filterButton("risk", item.risk.id, title(item.risk.id))),
      make("td", {}, badge(item.risk.severity, item.risk.severity)),
      number(item.entries.size), number(item.environments.size))));
    if (!sorted.length) body_.append(make("tr", {}, make("td", { colspan: 4, class: "zero" }, "No risk was found.")));
  }
  function failures() {
    const failed = report.environments.filter((environment) => environment.state === "failed");
    $("failures").append(...failed.map((environment) => make("div", { class: "failure" },
      make("h2", {}, `${environment.name} could not be built`), make("pre", {}, environment.error))));
  }
  function filters() {
    const risks = counted((entry) => entry.risks), kinds = counted((entry) => [entry.change.kind]);
    const bySeverity = counted((entry) => entry.change.risks.map((risk) => risk.severity));
    options("f-environment", "All environments", names.map((name) => [name, name]));
    options("f-risk", "All risks", [
      ...severities.filter((severity) => bySeverity.has(severity)).map((severity) => [severity, `Any ${severity} (${bySeverity.get(severity)})`]),
      ...Object.keys(report.riskTitles).filter((id) => risks.has(id)).map((id) => [id, `${title(id)} (${risks.get(id)})`])]);
    options("f-kind", "All kinds", [...kinds].sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, many]) => [kind, `${kind} (${many})`]));
    const noise = entries.filter((entry) => entry.change.quiet).length;
    $("noise-label").hidden = noise === 0;
    $("noise-text").textContent = `Noise (${noise})`;
  }

  // --- theme and view ----------------------------------------------------------

  const darkWanted = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (darkWanted.matches ? "dark" : "light")) === "dark";
  function showTheme() { $("theme").textContent = isDark() ? "Light colours" : "Dark colours"; }
  function switchTheme() {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  }
  function setView(view) {
    state.view = view;
    $("view-unified").setAttribute("aria-pressed", String(view === "unified"));
    $("view-split").setAttribute("aria-pressed", String(view === "split"));
    for (const entry of entries) if (isOpen(entry)) fill(entry);
    writeAddress();
  }

  // --- start ---------------------------------------------------------------------

  function revisions() {
    if (!report.base && !report.head) return;
    $("revisions").append(make("code", {}, report.base || "?"), make("span", { "aria-hidden": "true" }, " → "), make("span", { class: "sr" }, " to "), make("code", {}, report.head || "?"));
  }
  function listen() {
    $("f-text").addEventListener("input", () => set("text", $("f-text").value));
    for (const key of ["environment", "risk", "kind"]) $(`f-${key}`).addEventListener("change", () => set(key, $(`f-${key}`).value));
    $("f-noise").addEventListener("change", () => set("noise", $("f-noise").checked));
    $("expand").addEventListener("click", () => visible().forEach((entry) => toggle(entry, true)));
    $("collapse").addEventListener("click", () => entries.filter(isOpen).forEach((entry) => toggle(entry, false)));
    $("more").addEventListener("click", showMore);
    $("reset").addEventListener("click", () => { Object.assign(state, { text: "", environment: "", risk: "", kind: "", noise: false }); apply(); });
    document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
    $("view-unified").addEventListener("click", () => setView("unified"));
    $("view-split").addEventListener("click", () => setView("split"));
    $("theme").addEventListener("click", switchTheme);
    darkWanted.addEventListener("change", showTheme);
    // Paper cannot be clicked: what is on the page is printed whole.
    let closed = [];
    addEventListener("beforeprint", () => {
      limit = Infinity;
      list();
      const more = visible().filter((entry) => !isOpen(entry));
      more.forEach((entry) => toggle(entry, true));
      closed = closed.concat(more);
    });
    addEventListener("afterprint", () => {
      closed.forEach((entry) => toggle(entry, false));
      closed = [];
      limit = PAGE;
      list();
    });
  }
  function start() {
    readAddress();
    $("verdict").textContent = report.verdict;
    $("banner").dataset.severity = report.severity || (report.different ? "info" : "none");
    revisions(); tiles(); failures(); environmentsTable(); risksTable(); filters();
    listen(); showTheme(); setView(state.view);
    apply();
    // Errors are what somebody came for.
    visible().filter((entry) => entry.change.severity === "error").slice(0, 3).forEach((entry) => toggle(entry, true));
    $("app").hidden = false;
    document.documentElement.dataset.ready = "true";
  }
  start();
})();
