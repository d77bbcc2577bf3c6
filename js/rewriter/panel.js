// Original and rewrite side by side inside the node, with the checks; the rewrite can be edited.
import * as elements from "../elements.js";
import { readEdits, strangers } from "./state.js";

const HEIGHTS = { empty: 40, rewrite: 170 }; // CSS pixels

const make = (tag, name, ...children) =>
  elements.make(tag, `fvg-rewriter-${name}`, ...children);
const button = (label, title, onClick) =>
  elements.button("fvg-rewriter-button", label, title, onClick);

function checkMark({ name, passed, detail }) {
  const mark = make("span", passed ? "passed" : "failed", `${passed ? "✓" : "✗"} ${name}`);
  if (!passed && detail) mark.append(`: ${detail}`);
  mark.title = detail;
  return mark;
}

// `on`: {edit(rewrite, text), discard(keys), proceed()}.
// `state`: {rewrites, edits (the widget's text), prompt (the widget's, null if linked), stops}.
export function createPanel(on) {
  elements.useStyles(new URL("./panel.css", import.meta.url).href);
  let state = { rewrites: [], edits: "", prompt: null, stops: false };
  let at = 0;

  const status = make("span", "status");
  const before = button("‹", "The rewrite before", () => turn(-1));
  const after = button("›", "The next rewrite", () => turn(1));
  const original = make("div", "original");
  const edit = make("textarea", "edit");
  edit.setAttribute("aria-label", "First-frame prompt");
  edit.spellcheck = false;
  const hint = make("span", "hint");
  const revert = button("Use the rewrite", "Take your edit back", () => change(""));
  const proceed = button("Go on with this text", "Run the rest of the workflow", on.proceed);
  const checks = make("div", "checks");
  const warning = make("div", "warning");
  const discard = button("Discard", "Forget edits of other rewrites", () =>
    on.discard(strangers(state.edits, state.rewrites)),
  );
  const texts = make(
    "div",
    "texts",
    make("div", "column", make("span", "label", "Your prompt"), original),
    make("div", "column", make("span", "label", "First frame (you can edit it)"), edit),
  );
  const body = make("div", "body", make("div", "head", hint, revert, proceed));
  const element = make("div", "panel", make("div", "head", status, before, after), warning, discard);
  element.classList.add("fvg-rewriter");
  element.append(texts, body, checks);

  const current = () => state.rewrites[at];

  function turn(by) {
    at = (at + by + state.rewrites.length) % state.rewrites.length;
    render();
  }

  function change(text) {
    on.edit(current(), text);
  }

  function warnings() {
    const said = [];
    const rewrite = current();
    const changed = state.prompt !== null && !state.rewrites.some((r) => r.prompt === state.prompt);
    if (rewrite && changed) said.push("The prompt has changed: run again. This text no longer applies.");
    if (rewrite?.note && rewrite.note !== "edited by hand") said.push(rewrite.note);
    const others = strangers(state.edits, state.rewrites).length;
    discard.hidden = !rewrite || others === 0;
    if (!discard.hidden) {
      said.push(`${others === 1 ? "An edit" : `${others} edits`} of another rewrite does not apply.`);
    }
    return said.join(" ");
  }

  function render(next = state) {
    state = next;
    const count = state.rewrites.length;
    at = Math.min(at, Math.max(0, count - 1));
    const rewrite = current();
    for (const part of [texts, body, checks]) part.hidden = !rewrite;
    before.hidden = after.hidden = count < 2;
    warning.textContent = warnings();
    warning.hidden = !warning.textContent;
    if (!rewrite) {
      status.textContent = "Run the workflow: the first-frame prompt appears here.";
      return;
    }
    const edited = readEdits(state.edits)[rewrite.key];
    const place = count > 1 ? `${at + 1} of ${count} · ` : "";
    status.textContent = `${place}by ${rewrite.writtenBy}`;
    original.textContent = rewrite.prompt;
    const text = edited ?? rewrite.rewritten;
    // What is being typed keeps its spaces, and may be empty for a while.
    if (document.activeElement !== edit || edit.dataset.key !== rewrite.key) edit.value = text;
    edit.dataset.key = rewrite.key;
    const unchecked = text !== rewrite.text;
    element.classList.toggle("fvg-rewriter-edited", unchecked);
    hint.textContent = unchecked ? "edited; the checks follow with the next run" : edited ? "edited" : "";
    revert.hidden = edited === undefined;
    proceed.hidden = !state.stops;
    checks.replaceChildren(...rewrite.checks.map(checkMark));
  }

  edit.addEventListener("input", () => change(edit.value));
  // The canvas has uses of its own for keys, drags and the wheel.
  for (const kind of ["keydown", "pointerdown"]) {
    edit.addEventListener(kind, (event) => event.stopPropagation());
  }
  element.addEventListener("wheel", (event) => {
    const scrolls = [event.target, element].some((e) => e.scrollHeight > e.clientHeight);
    if (scrolls) event.stopPropagation();
  });
  render();

  return {
    element,
    render,
    get height() {
      return state.rewrites.length ? HEIGHTS.rewrite : HEIGHTS.empty;
    },
  };
}
