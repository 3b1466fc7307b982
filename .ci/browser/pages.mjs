// Reads every page in a real Chromium, narrow and wide, light and dark, with script and without, and says what is wrong.
//
//   node pages.mjs BASE SCREENSHOTS LIVE PAGE...      LIVE is a page that a change of the pool changes
//
// It writes `change` to standard output when it wants the pool to change, and ends with success only if nothing is wrong.
// CHROMIUM is the browser's path.

import {mkdirSync} from "node:fs";
import {join} from "node:path";
import puppeteer from "puppeteer-core";

const [base, screenshots, live, ...paths] = process.argv.slice(2);
const WIDTHS = [360, 1280];
// Between them nothing may be too wide either: so wide a page is read without script.
const BETWEEN = {width: 930, height: 800};
const SCHEMES = ["light", "dark"];
const WAIT_MS = 20_000;

const wrong = [];
const complain = (where, what) => wrong.push(`${where}: ${what}`);

/** What can be seen of a page that stands still. Runs in the page. */
function look() {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.querySelectorAll("body *")].find((one) => one.getBoundingClientRect().right > root.clientWidth + 1);
    found.push(`is ${root.scrollWidth} wide in ${root.clientWidth}, by ${wide?.outerHTML.slice(0, 120)}`);
  }
  for (const landmark of ["header", "nav", "main", "footer"]) {
    if (document.querySelectorAll(landmark).length !== 1) found.push(`has no ${landmark}, or many`);
  }
  if (!root.lang) found.push("says no language");
  let before = 0;
  const headings = [...document.querySelectorAll("h1, h2, h3, h4")].map((one) => Number(one.tagName[1]));
  for (const level of headings) {
    if (level > before + 1) found.push(`skips from heading ${before} to ${level}`);
    before = level;
  }
  if (headings.filter((level) => level === 1).length !== 1) found.push("has not one first heading");
  for (const table of document.querySelectorAll("table")) {
    if (!table.caption) found.push("has a table without a caption");
    const rows = [...table.querySelectorAll("tbody tr")];
    const columns = table.querySelectorAll("thead th[scope=col]").length;
    if (rows.some((row) => row.children.length !== columns || row.firstElementChild.scope !== "row")) {
      found.push(`has a table whose rows are not of its ${columns} columns: ${table.caption?.textContent}`);
    }
  }
  for (const picture of document.querySelectorAll("svg")) {
    const named = picture.getAttribute("role") === "img" && picture.getAttribute("aria-label");
    if (!named && picture.getAttribute("aria-hidden") !== "true") found.push("has a picture without words");
  }
  if (document.querySelector("[style], style, script:not([src])")) found.push("has style or script in it");
  return found.concat(contrast());

  /** Text that is hard to read (WCAG 2, AA). */
  function contrast() {
    const parse = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
    const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const paper = (element) => {
      for (let one = element; one; one = one.parentElement) {
        const [r, g, b, a = 1] = parse(getComputedStyle(one).backgroundColor);
        if (a === 1) return [r, g, b];
      }
      return [255, 255, 255];
    };
    const bad = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement;
      if (!texts.currentNode.textContent.trim() || element.closest("svg") || !element.checkVisibility()) continue;
      const style = getComputedStyle(element);
      const [one, other] = [luminance(parse(style.color)), luminance(paper(element))].sort((a, b) => b - a);
      const ratio = (one + 0.05) / (other + 0.05);
      const large = parseFloat(style.fontSize) >= 24;
      if (ratio < (large ? 3 : 4.5)) bad.add(`has text of contrast ${ratio.toFixed(2)}: ${element.className || element.tagName}`);
    }
    return [...bad];
  }
}

/** A page that says what goes wrong in it. */
async function open(browser, where) {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.on("console", (said) => {
    if (["error", "warn"].includes(said.type())) complain(where(), `the console says ${said.text()}`);
  });
  page.on("pageerror", (error) => complain(where(), `the script fails: ${error}`));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== base) complain(where(), `asks ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complain(where(), `${response.url()} is ${response.status()}`);
  });
  return page;
}

const name = (path) => path.replace(/^\//, "").replace(/0x([0-9a-f]{6})[0-9a-f]+/, "$1").replaceAll("/", "-") || "pool";

/** Every page, narrow and wide, light and dark. */
async function looks(browser) {
  let at = "";
  const page = await open(browser, () => at);
  for (const scheme of SCHEMES) {
    await page.emulateMediaFeatures([{name: "prefers-color-scheme", value: scheme}]);
    for (const width of WIDTHS) {
      await page.setViewport({width, height: 800, deviceScaleFactor: 1});
      for (const path of paths) {
        at = `${path} at ${width} px, ${scheme}`;
        await page.goto(base + path, {waitUntil: "load"});
        for (const what of await page.evaluate(look)) complain(at, what);
        // What is folded must fit, too.
        await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
        for (const what of await page.evaluate(look)) complain(`${at}, unfolded`, what);
        await page.screenshot({path: join(screenshots, `${name(path)}-${width}-${scheme}.png`), fullPage: true});
      }
    }
  }
  await page.close();
}

/** A change arrives without the page being loaded again, and what had the focus keeps it. */
async function updates(browser) {
  const at = `${live}, live`;
  const page = await open(browser, () => at);
  await page.goto(base + live, {waitUntil: "load"});
  await page.waitForFunction(() => document.getElementById("live").textContent.startsWith("Live"));
  const before = await page.evaluate(() => {
    window.stays = true;
    document.querySelector("main table a").focus();
    return {text: document.querySelector("main").innerText, focus: document.activeElement.textContent};
  });
  console.log("change");
  await page.waitForFunction((text) => document.querySelector("main").innerText !== text, {}, before.text);
  const after = await page.evaluate(() => ({stays: window.stays, focus: document.activeElement.textContent}));
  if (!after.stays) complain(at, "was loaded again");
  if (after.focus !== before.focus) complain(at, `the focus went from ${before.focus} to ${after.focus}`);
  for (const what of await page.evaluate(look)) complain(at, what);
  await page.close();
}

/** Without script a page says the same, and how to see what is new. */
async function plain(browser) {
  let at = "";
  const text = (page) => page.evaluate(() => document.querySelector("main").innerText);
  const [with_script, without] = [await open(browser, () => at), await open(browser, () => at)];
  await without.setJavaScriptEnabled(false);
  await Promise.all([with_script, without].map((page) => page.setViewport(BETWEEN)));
  for (const path of paths) {
    at = `${path} without script`;
    await Promise.all([with_script, without].map((page) => page.goto(base + path, {waitUntil: "load"})));
    const [one, other] = [await text(with_script), await text(without)];
    if (one !== other || other.length < 40) complain(at, "says something else");
    const status = await without.evaluate(() => document.getElementById("live")?.textContent ?? "");
    if (!status.startsWith("Reload")) complain(at, "does not say how to see what is new");
    for (const what of await without.evaluate(look)) complain(at, what);
  }
  await Promise.all([with_script.close(), without.close()]);
}

/** The first key leads past the navigation; what is looked for is found by keyboard. */
async function keyboard(browser) {
  const at = "the keyboard";
  const page = await open(browser, () => at);
  await page.goto(`${base}/`, {waitUntil: "load"});
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => document.activeElement.getAttribute("href"));
  if (first !== "#main") complain(at, `the first stop is ${first}`);
  await page.focus("#what");
  await page.keyboard.type(live.split("/").at(-1));
  await Promise.all([page.waitForNavigation({waitUntil: "load"}), page.keyboard.press("Enter")]);
  if (!page.url().endsWith(live.split("/").at(-1))) complain(at, `finding leads to ${page.url()}`);
  await page.close();
}

mkdirSync(screenshots, {recursive: true});
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // As root there is no sandbox; what is opened is our own.
  args: [...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), "--disable-dev-shm-usage", "--hide-scrollbars"],
});
try {
  await looks(browser);
  await plain(browser);
  await updates(browser);
  await keyboard(browser);
} finally {
  await browser.close();
}
for (const one of wrong) console.error(one);
console.error(`${paths.length} pages, ${wrong.length} wrong`);
process.exit(wrong.length === 0 ? 0 : 1);
