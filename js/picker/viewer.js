// One candidate over the whole page, with the others below and the checklist beside it.
import { button, make } from "../elements.js";
import { keyTarget } from "./keys.js";
import { percent } from "./state.js";

const MOST_ZOOM = 16;

// A picture that the wheel enlarges at the pointer and that can be dragged.
function zoomable(img) {
  let [scale, x, y] = [1, 0, 0];
  const show = () => (img.style.transform = `translate(${x}px, ${y}px) scale(${scale})`);
  function zoom(factor, clientX, clientY) {
    const next = Math.min(MOST_ZOOM, Math.max(1, scale * factor));
    const box = img.getBoundingClientRect();
    const dx = (clientX ?? box.x + box.width / 2) - (box.x + box.width / 2);
    const dy = (clientY ?? box.y + box.height / 2) - (box.y + box.height / 2);
    [x, y] = next === 1 ? [0, 0] : [x - dx * (next / scale - 1), y - dy * (next / scale - 1)];
    scale = next;
    show();
  }
  img.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(1.2 ** -Math.sign(event.deltaY), event.clientX, event.clientY);
  });
  img.addEventListener("pointerdown", (event) => img.setPointerCapture(event.pointerId));
  img.addEventListener("pointermove", (event) => {
    if (!img.hasPointerCapture(event.pointerId) || scale === 1) return;
    [x, y] = [x + event.movementX, y + event.movementY];
    show();
  });
  return { zoom, reset: () => zoom(1 / MOST_ZOOM) };
}

function checklist(state, index) {
  const answers = state.scores[index]?.answers ?? [];
  const lines = state.checklist.map((question, i) => {
    const kind = { true: "yes", false: "no" }[answers[i]] ?? "open";
    return make("li", `fvg-picker-answer-${kind}`, question);
  });
  const score = state.scores[index];
  return [
    make("h3", "", `Candidate ${index}${score ? ` · ${percent(score.score)}` : ""}`),
    ...(lines.length ? [make("p", "", "Does it show what the prompt asks for?")] : []),
    make("ul", "", ...lines),
  ];
}

// Opens over the page at candidate `index`. `on`: {pick(indices, state), mark(index)}; `marked`: a
// Set.
export function openViewer(state, index, { fileUrl, marked, on }) {
  const before = document.activeElement;
  const img = make("img", "fvg-picker-large");
  img.draggable = false;
  const view = zoomable(img);
  const side = make("div", "fvg-picker-side");
  const strip = make("div", "fvg-picker-strip");
  const use = button("fvg-picker-use", "", "Enter", () => pick());
  const markIt = button("fvg-picker-mark-this", "Mark (Space)", "Space", () => mark());
  const leave = button("fvg-picker-close", "Close (Esc)", "Escape", () => close());
  const keys = make("div", "fvg-picker-keys", "← → or a digit: another · + −: zoom");
  const bar = make("div", "fvg-picker-bar", use, markIt, leave, keys);
  const stage = make("div", "fvg-picker-stage", img);
  const element = make("div", "fvg-picker-viewer", stage, side, strip, bar);
  element.setAttribute("role", "dialog");
  element.setAttribute("aria-label", "Anchor candidates");
  element.tabIndex = -1;

  function close() {
    element.remove();
    before?.focus?.({ preventScroll: true });
  }
  function pick() {
    close();
    on.pick(marked.size ? [...marked].sort((a, b) => a - b) : [index], state);
  }
  function mark() {
    on.mark(index);
    show(index);
  }
  function show(next) {
    if (next !== index || !img.src) view.reset();
    index = next;
    img.src = fileUrl(state, state.full[index]);
    img.alt = `candidate ${index}`;
    side.replaceChildren(...checklist(state, index));
    use.textContent = marked.size ? `Use ${marked.size} marked (Enter)` : "Use this one (Enter)";
    [...strip.children].forEach((child, i) => {
      child.classList.toggle("fvg-picker-current", i === index);
      child.classList.toggle("fvg-picker-marked", marked.has(i));
      child.classList.toggle("fvg-picker-chosen", state.chosen.includes(i));
    });
    strip.children[index].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  const ACTIONS = {
    Escape: close,
    Enter: pick,
    " ": mark,
    "+": () => view.zoom(1.5),
    "=": () => view.zoom(1.5),
    "-": () => view.zoom(1 / 1.5),
  };
  element.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the editor below has uses of its own for these keys
    if (event.key === "Tab") return;
    const target = keyTarget(event, index, state.full.length, 1);
    if (target !== null) show(target);
    else ACTIONS[event.key]?.();
    event.preventDefault();
  });
  // Clicks must not take the keyboard away from the viewer.
  element.addEventListener("pointerup", () => element.isConnected && element.focus());

  strip.append(
    ...state.thumbs.map((name, i) => {
      const thumb = make("img", "fvg-picker-thumb");
      thumb.loading = "lazy";
      thumb.alt = `candidate ${i}`;
      thumb.src = fileUrl(state, name);
      thumb.addEventListener("click", () => show(i));
      return thumb;
    }),
  );
  document.body.append(element);
  element.focus();
  show(index);
}
