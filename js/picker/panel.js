// The candidates inside the node: a click picks one, marks collect several.
import { button, make, useStyles } from "../elements.js";
import { keyTarget } from "./keys.js";
import { percent, statusText } from "./state.js";

const HEIGHTS = { empty: 44, grid: 320 }; // CSS pixels
const MOST_COLUMNS = 4;

// What the tiles show; while it stays, they stay, and so does the keyboard's place among them.
const identity = (state) =>
  state && [state.key, state.type, ...state.scores.map((s) => s.score)].join(" ");

// `on`: {pick(indices, state), enlarge(index)}; `fileUrl(state, name)`: where a picture is.
export function createPanel(fileUrl, on) {
  useStyles(new URL("./picker.css", import.meta.url).href);
  const status = make("div", "fvg-picker-status");
  const grid = make("div", "fvg-picker-grid");
  const useMarked = button("fvg-picker-use", "", "Pass on all that are marked", () =>
    on.pick([...marked].sort((a, b) => a - b), state),
  );
  const clear = button("fvg-picker-clear", "Clear marks", "Clear marks", () => {
    marked.clear();
    showMarks();
  });
  const actions = make("div", "fvg-picker-actions", useMarked, clear);
  const element = make("div", "fvg-picker", status, grid, actions);
  const marked = new Set();
  let state = null;

  const columns = () => Math.min(MOST_COLUMNS, Math.ceil(Math.sqrt(state.full.length)));

  function tile(index) {
    const img = make("img", "fvg-picker-image");
    img.loading = "lazy";
    img.decoding = "async";
    img.alt = `candidate ${index}`;
    img.draggable = false;
    img.src = fileUrl(state, state.thumbs[index]);
    const score = state.scores[index];
    const label = make("span", "fvg-picker-number", String(index));
    if (score) label.append(` · ${percent(score.score)}`);
    const pick = button("fvg-picker-pick", "", `Use candidate ${index}`, (event) =>
      event.shiftKey || event.ctrlKey || event.metaKey ? mark(index) : on.pick([index], state),
    );
    pick.append(img, label);
    return make(
      "div",
      "fvg-picker-tile",
      pick,
      button("fvg-picker-mark", "✓", `Mark candidate ${index} to pass on several`, () =>
        mark(index),
      ),
      button("fvg-picker-enlarge", "⤢", `Look at candidate ${index} in full size`, () =>
        on.enlarge(index),
      ),
    );
  }

  function mark(index) {
    if (!marked.delete(index)) marked.add(index);
    showMarks();
  }

  function showMarks() {
    [...grid.children].forEach((child, i) => {
      child.classList.toggle("fvg-picker-marked", marked.has(i));
      child.classList.toggle("fvg-picker-chosen", Boolean(state?.chosen.includes(i)));
    });
    actions.hidden = marked.size === 0;
    useMarked.textContent = `Use ${marked.size} marked`;
  }

  function render(next) {
    const same = identity(state) === identity(next);
    state = next;
    if (!same) marked.clear();
    element.classList.toggle("fvg-picker-empty", !state);
    element.classList.toggle("fvg-picker-waiting", Boolean(state?.waiting));
    status.textContent = statusText(state);
    if (same) {
      // A file that was missing may be there now.
      for (const img of grid.querySelectorAll("img")) {
        if (img.complete && !img.naturalWidth) img.src = img.src;
      }
    } else {
      grid.style.setProperty("--fvg-picker-columns", state ? columns() : 1);
      grid.replaceChildren(...(state?.full ?? []).map((_, i) => tile(i)));
    }
    showMarks();
  }

  element.addEventListener("keydown", (event) => {
    const tiles = [...grid.children];
    const current = tiles.findIndex((child) => child.contains(document.activeElement));
    if (current < 0) return;
    const target = keyTarget(event, current, tiles.length, columns());
    if (target !== null) tiles[target].querySelector(".fvg-picker-pick").focus();
    else if (event.key !== "Enter" && event.key !== " ") return;
    event.stopPropagation(); // the editor has uses of its own for these keys
    if (target !== null) event.preventDefault();
  });
  // The canvas drags and zooms by these; here they pick and scroll.
  element.addEventListener("pointerdown", (event) => event.stopPropagation());
  element.addEventListener("wheel", (event) => {
    if (grid.scrollHeight > grid.clientHeight) event.stopPropagation();
  });
  render(null);

  return {
    element,
    render,
    mark,
    get state() {
      return state;
    },
    get marked() {
      return marked;
    },
    get height() {
      return state ? HEIGHTS.grid : HEIGHTS.empty;
    },
  };
}
