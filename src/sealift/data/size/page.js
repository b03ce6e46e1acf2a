"use strict";
// The data: a folder is [name, [children]], a file [name, bytes, stored or null, package or -1, leftover or -1].
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const PARTS = 40000; // of the map: what is smaller than one of them is not drawn
const HEAD = 18; // pixels for a folder's name
const TABLE = 100; // lines of a table before one asks for more

// ── the tree ───────────────────────────────────────────────────────────────────────────────────────────────────────

function grow(raw, parent) {
  const node = { name: raw[0], parent, children: null, files: 1, size: raw[1], stored: raw[2], owner: raw[3], left: raw[4] };
  node.path = parent ? (parent.parent ? parent.path + "/" : "/") + node.name : "/";
  if (Array.isArray(raw[1])) {
    Object.assign(node, { files: 0, size: 0, stored: 0, owner: -1, left: -1 });
    node.children = raw[1].map((each) => grow(each, node));
    for (const child of node.children) {
      node.files += child.files;
      node.size += child.size;
      node.stored += child.stored || 0;
    }
  } else if (raw[5]) {
    node.files = raw[5];
    node.folded = true;
  }
  return node;
}

const root = grow(data.tree, null);
const files = [];
(function gather(node) {
  if (node.children) node.children.forEach(gather);
  else files.push(node);
})(root);

function find(path) {
  let node = root;
  for (const name of path.split("/").filter(Boolean)) {
    const next = (node.children || []).find((child) => child.name === name);
    if (!next) return null;
    node = next;
  }
  return node;
}

// ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function bytes(count) {
  if (count === null) return "";
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (count < 1000) return unit === "B" ? `${count} B` : `${count.toFixed(1)} ${unit}`;
    count /= 1000;
  }
  return `${count.toFixed(1)} TB`;
}

const number = (count) => count.toLocaleString("en");

function packageOf(node) {
  const one = data.packages[node.owner];
  return one ? [one.manager, one.name, one.version].join(" ") : "";
}

const leftoverOf = (node) => (node.left >= 0 ? data.leftovers[node.left].id : "");

/** What a file is coloured by; a folder that is too small to be opened has what most of its bytes have. */
function kind(node) {
  if (node.children) {
    const sums = new Map();
    (function add(each) {
      if (each.children) each.children.forEach(add);
      else sums.set(kind(each), (sums.get(kind(each)) || 0) + weight(each));
    })(node);
    return [...sums].sort((a, b) => b[1] - a[1])[0][0];
  }
  if (at("colours").value === "leftover") return node.left >= 0 ? data.leftovers[node.left].kind : "none";
  return node.owner >= 0 ? data.packages[node.owner].manager : "none";
}

function told(node) {
  const parts = [node.path, `${bytes(node.size)}`];
  if (data.stored !== null) parts.push(`${bytes(node.stored)} stored`);
  if (node.files !== 1) parts.push(`${number(node.files)} files`);
  if (packageOf(node)) parts.push(packageOf(node));
  if (leftoverOf(node)) parts.push(`left: ${leftoverOf(node)}`);
  return parts.join(" · ");
}

// ── the map: a squarified treemap (Bruls, Huizing, van Wijk: Squarified Treemaps, 2000) ─────────────────────────────

const weight = (node) => node[at("measure").value] || 0;

function squarify(nodes, box, place) {
  const items = nodes.filter((node) => weight(node) > 0).sort((a, b) => weight(b) - weight(a));
  let left = items.reduce((sum, node) => sum + weight(node), 0);
  let { x, y, w, h } = box;
  let from = 0;
  while (from < items.length && w > 0 && h > 0) {
    const side = Math.min(w, h);
    const scale = (w * h) / left;
    let to = from;
    let sum = 0;
    let worst = Infinity;
    while (to < items.length) {
      const next = sum + weight(items[to]);
      const thick = (next * scale) / side;
      const long = (weight(items[from]) * scale) / thick;
      const short = (weight(items[to]) * scale) / thick;
      const ratio = Math.max(long / thick, thick / long, short / thick, thick / short);
      if (ratio > worst) break;
      worst = ratio;
      sum = next;
      to += 1;
    }
    const thick = Math.min((sum * scale) / side, w >= h ? w : h);
    let offset = 0;
    for (const node of items.slice(from, to)) {
      const length = (weight(node) / sum) * side;
      place(node, w >= h ? { x, y: y + offset, w: thick, h: length } : { x: x + offset, y, w: length, h: thick });
      offset += length;
    }
    if (w >= h) { x += thick; w -= thick; } else { y += thick; h -= thick; }
    left -= sum;
    from = to;
  }
}

let shown = root;
let hits = null;

function draw() {
  const map = at("map");
  const pieces = document.createDocumentFragment();
  const least = Math.max(3, Math.sqrt((map.clientWidth * map.clientHeight) / PARTS));
  const place = (first, box) => {
    if (box.w < least || box.h < least) return;
    let node = first;
    let name = node.name;
    while (node.children && node.children.length === 1 && node.children[0].children) {
      node = node.children[0];
      name += "/" + node.name;
    }
    const open = node.children && box.w > 12 && box.h > HEAD + 8;
    const tile = document.createElement("button");
    tile.type = "button";
    tile.className = open ? "tile folder" : `tile k-${kind(node)}`;
    tile.style.cssText = `left:${box.x}px;top:${box.y}px;width:${box.w}px;height:${box.h}px`;
    tile.node = node;
    tile.dataset.path = node.path;
    tile.setAttribute("aria-label", told(node));
    if (box.w > 30 && box.h > 12) tile.textContent = name;
    if (hits && !open && holds(node, hits)) tile.classList.add("hit");
    pieces.append(tile);
    if (open) {
      squarify(node.children, { x: box.x + 2, y: box.y + HEAD, w: box.w - 4, h: box.h - HEAD - 2 }, place);
    }
  };
  squarify(shown.children, { x: 0, y: 0, w: map.clientWidth, h: map.clientHeight }, place);
  map.replaceChildren(pieces);
  map.classList.toggle("searching", hits !== null);
  legend();
}

const holds = (node, some) => (node.children ? node.children.some((each) => holds(each, some)) : some.has(node));

function legend() {
  const kinds = at("colours").value === "manager" ? data.managers.map((one) => one.manager) : ["cache", "build", "none"];
  const words = { none: at("colours").value === "manager" ? "no package" : "nothing left", cache: "caches", build: "only for building" };
  at("legend").replaceChildren(...kinds.map((each) => element("span", { className: `k-${each}` }, words[each] || each)));
}

function zoom(node, keep) {
  shown = node.children ? node : node.parent;
  if (!keep) history.pushState(null, "", "#" + encodeURI(shown.path));
  const line = [];
  for (let each = shown; each; each = each.parent) line.unshift(each);
  at("crumbs").replaceChildren(...line.map((each) => {
    const crumb = element("button", { type: "button", onclick: () => zoom(each) }, each.parent ? each.name : "/");
    if (each === shown) crumb.setAttribute("aria-current", "true");
    return crumb;
  }));
  draw();
  at("folder-title").textContent = told(shown);
  const children = shown.children.slice().sort((a, b) => weight(b) - weight(a));
  table("folder", FILE_COLUMNS, children, (node) => [
    node.folded ? node.name : element("button", { type: "button", onclick: () => zoom(node) }, node.name + (node.children ? "/" : "")),
    node.files, node.size, node.stored, packageOf(node), leftoverOf(node),
  ], (node) => node.name);
}

const map = at("map");
map.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (tile && tile.node.children) zoom(tile.node);
  else if (tile && tile.node.parent !== shown) zoom(tile.node);
});
for (const type of ["pointerover", "focusin"]) {
  map.addEventListener(type, (event) => {
    const tile = event.target.closest(".tile");
    if (tile) at("tip").textContent = told(tile.node);
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (hits) { at("search").value = ""; search(); } else if (shown.parent) zoom(shown.parent);
});

// ── search ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function search() {
  const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  at("results-part").hidden = !words.length;
  hits = null;
  if (words.length) {
    const found = files.filter((node) => {
      const text = `${node.path} ${packageOf(node)} ${leftoverOf(node)}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    hits = new Set(found);
    let count = 0, size = 0, stored = 0;
    for (const node of found) { count += node.files; size += node.size; stored += node.stored || 0; }
    at("results-title").textContent =
      `${number(count)} ${count === 1 ? "file" : "files"} found: ${bytes(size)}` + (data.stored !== null ? `, ${bytes(stored)} stored` : "");
    found.sort((a, b) => weight(b) - weight(a));
    table("results", FILE_COLUMNS, found, (node) => [
      element("button", { type: "button", onclick: () => { zoom(node); at("map").scrollIntoView(); } }, node.path),
      node.files, node.size, node.stored, packageOf(node), leftoverOf(node),
    ], (node) => node.path);
  }
  draw();
}

// ── tables ─────────────────────────────────────────────────────────────────────────────────────────────────────────

// [title, what the column holds]
const FILE_COLUMNS = [["Name", "text"], ["Files", "count"], ["Bytes", "bytes"], ["Stored", "bytes"], ["Package", "text"], ["Left", "text"]];

/** `wide` columns are left out on phones. */
function look(title, holds) {
  return { text: title === "Left" ? "wide" : "", code: "", bytes: "number", count: "number wide" }[holds];
}

function element(tag, properties, ...content) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...content);
  return made;
}

/** A table that is sorted by a click on a column's title; `cells` gives a row's cells, `first` the first one's text. */
function table(id, columns, rows, cells, first) {
  const target = at(id);
  if (target.nextElementSibling && target.nextElementSibling.className === "more") target.nextElementSibling.remove();
  const used = columns.map((column, index) => [column, index]).filter(([column]) => column[0] !== "Stored" || data.stored !== null);
  let most = TABLE;
  const body = element("tbody", {});
  const fill = () => {
    body.replaceChildren(...rows.slice(0, most).map((row) => {
      const values = cells(row);
      return element("tr", {}, ...used.map(([[title, holds], index]) => {
        const value = values[index];
        const text = holds === "bytes" ? bytes(value) : holds === "count" ? number(value) : value;
        const cell = element("td", { className: look(title, holds) });
        cell.append(holds === "code" ? element("code", {}, text) : text);
        return cell;
      }));
    }));
    more.hidden = rows.length <= most;
    more.textContent = `show all ${number(rows.length)}`;
  };
  const more = element("button", { type: "button", className: "more", onclick: () => { most = Infinity; fill(); } });
  const heads = used.map(([[title, holds], index]) => {
    const head = element("th", { scope: "col", className: look(title, holds) });
    head.append(element("button", { type: "button", onclick: () => {
      const up = head.getAttribute("aria-sort") === "descending" || (holds === "text" && !head.hasAttribute("aria-sort"));
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => (index === 0 ? first(row) : cells(row)[index]);
      const keyed = rows.map((row) => [key(row), row]);
      keyed.sort(([a], [b]) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b))) * (up ? 1 : -1));
      rows = keyed.map(([, row]) => row);
      fill();
    } }, title));
    return head;
  });
  target.replaceChildren(element("thead", {}, element("tr", {}, ...heads)), body);
  target.after(more);
  fill();
}

function tables() {
  const left = data.leftovers.slice().sort((a, b) => b.size - a.size);
  at("leftovers-text").textContent = left.length
    ? "What caches hold and what only building needs, with the line for the end of %post that removes it."
    : "Nothing that Sealift knows was left.";
  table("leftovers", [["What", "text"], ["Files", "count"], ["Bytes", "bytes"], ["Stored", "bytes"], ["Line for %post", "code"]], left,
    (one) => [element("button", { type: "button", onclick: () => ask(one.id) }, one.what), one.files, one.size, one.stored, one.remove], (one) => one.what);
  at("packages-text").textContent = [`${number(data.packages.length)} packages.`, ...data.unread.map((each) => `Not read: ${each}.`)].join(" ");
  table("packages", [["Package", "text"], ["Files", "count"], ["Bytes", "bytes"], ["Stored", "bytes"], ["Version", "text"], ["By", "text"]], data.shares,
    (one) => [one.name ? element("button", { type: "button", onclick: () => ask(`${one.manager} ${one.name} ${one.version}`) }, one.name) : "no package's",
      one.files, one.size, one.stored, one.version, one.manager], (one) => one.name);
  at("duplicates-text").textContent = data.duplicates.length
    ? `${number(data.duplicates.length)} contents are there several times: ${bytes(data.duplicates.reduce((sum, one) => sum + one.spare, 0))} to spare.`
    : "No content of 4 KiB or more is there twice.";
  table("duplicates", [["Paths", "text"], ["Copies", "count"], ["Each", "bytes"], ["To spare", "bytes"]], data.duplicates,
    (one) => [one.paths.join("\n"), one.paths.length, one.size, one.spare], (one) => one.paths[0]);
  at("layers-text").textContent = data.layers.length ? "" : "This image does not say which layers it was made of.";
  table("layers", [["Layer", "text"], ["Entries", "count"], ["Bytes", "bytes"]], data.layers,
    (one) => [one.name, one.entries, one.size], (one) => one.name);
}

function ask(text) {
  at("search").value = text;
  search();
  at("map-part").scrollIntoView();
}

// ── start ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function fromAddress() {
  let path = location.hash.slice(1);
  try { path = decodeURI(path); } catch { path = "/"; } // typed by hand
  if (path.startsWith("/")) zoom(find(path) || root, true);
  else if (!path) zoom(root, true);
}

at("image").textContent = data.image;
document.title = `${data.image}: where the bytes went`;
at("total").textContent = `${bytes(data.size)} in ${number(data.files)} files` +
  (data.stored !== null ? `, which take ${bytes(data.stored)} of the image file's ${bytes(data.file_size)}` : "");
at("measure").parentElement.hidden = data.stored === null;
at("folded").hidden = !data.folded;
at("folded").textContent = `Files below ${bytes(data.folded || 0)} are summed up in their folders: there are very many.`;
at("search").addEventListener("input", search);
at("measure").addEventListener("change", () => zoom(shown, true));
at("colours").addEventListener("change", draw);
window.addEventListener("resize", draw);
window.addEventListener("popstate", fromAddress);
tables();
zoom(root, true);
fromAddress();
