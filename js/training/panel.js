// What a training run looks like inside its node: one state in, one render.
import { make, useStyles } from "../elements.js";
import { drawCurve } from "./curve.js";

const LEGEND = [
  ["smooth", "loss"],
  ["anchored", "held out, with anchor"],
  ["unanchored", "held out, without"],
];
const HEIGHTS = { empty: 40, curve: 220, samples: 150 }; // CSS pixels

function duration(seconds) {
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

function statusText(state) {
  const parts = [`step ${state.step} of ${state.steps}`];
  if (state.loss != null) parts.push(`loss ${state.loss.toPrecision(3)}`);
  if (state.step < state.steps && state.it_per_second) {
    const pace = state.it_per_second;
    parts.push(pace >= 1 ? `${pace.toFixed(1)} steps/s` : `${(1 / pace).toFixed(1)} s/step`);
    parts.push(`${duration(state.eta_seconds)} left`);
  }
  return parts.join(" · ");
}

// `fileUrl` tells where a file of the server ({filename, subfolder, type}) can be loaded.
export function createPanel(fileUrl) {
  useStyles(new URL("./panel.css", import.meta.url).href);
  const status = make("div", "fvg-training-status", "Not trained yet.");
  const canvas = make("canvas", "fvg-training-curve");
  const legend = make(
    "div",
    "fvg-training-legend",
    ...LEGEND.map(([key, text]) => make("span", `fvg-training-${key}`, text)),
  );
  const samples = make("div", "fvg-training-samples");
  const warnings = make("div", "fvg-training-warnings");
  const element = make("div", "fvg-training", status, warnings, legend, canvas, samples);
  let state = null;

  function render(next = state) {
    state = next;
    element.classList.toggle("fvg-training-empty", !state);
    if (!state) return;
    status.textContent = statusText(state);
    warnings.textContent = state.warnings.join(". ");
    drawCurve(canvas, state.curve);
    const urls = state.samples.map(fileUrl);
    const shown = [...samples.children].map((img) => img.getAttribute("src"));
    if (urls.join() === shown.join()) return; // an image that is set again would start anew
    samples.replaceChildren(
      ...urls.map((url) => {
        const img = make("img", "fvg-training-sample");
        img.alt = "validation video";
        img.src = url;
        return img;
      }),
    );
  }

  const resized = new ResizeObserver(() => state && drawCurve(canvas, state.curve));
  resized.observe(canvas);
  render();

  return {
    element,
    render,
    dispose: () => resized.disconnect(),
    get empty() {
      return state === null;
    },
    get height() {
      if (!state) return HEIGHTS.empty;
      return HEIGHTS.curve + (state.samples.length ? HEIGHTS.samples : 0);
    },
  };
}
