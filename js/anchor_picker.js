// The Anchor Picker shows its candidates; a click writes the choice and queues the rest.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { findNode, setWidget, widgetOf } from "./graph.js";
import { addPanel, after } from "./panels.js";
import { createPanel } from "./picker/panel.js";
import { readState, withChoice } from "./picker/state.js";
import { openViewer } from "./picker/viewer.js";
import { onOutput } from "./runs.js";

const NODE = "FVGAnchorPicker";
const KEPT = "fvg_picker"; // in the node's properties: survives a reload, a restart, a copy

const panels = new WeakMap(); // node -> panel

function fileUrl({ subfolder, type }, filename) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
}

// The widget that decides an input: where a subgraph shows it outside, the one on the subgraph.
function deciding(node, name, path) {
  const link = node?.inputs?.find((input) => input.widget?.name === name)?.link;
  const outside = String(path).replace(/:?[^:]*$/, "");
  if (link == null || !outside) return widgetOf(node, name);
  const { origin_id: origin, origin_slot: slot } = node.graph.getLink(link);
  if (origin !== node.graph.inputNode?.id) return null; // another node's output decides
  return deciding(findNode(outside), node.graph.inputs[slot].name, outside);
}

const drawsSeeds = (it) => [it.options?.values].flat().includes("randomize");

// Where the node ran last. A copy of it still has the original's path, and no one's widgets.
function pathOf(node) {
  const { node: path } = panels.get(node).state;
  return findNode(path) === node ? path : "";
}

function show(node, given) {
  const panel = panels.get(node);
  const state = readState(given);
  if (!panel || !state) return;
  node.properties[KEPT] = state;
  panel.render(state);
  const [width, height] = node.size;
  node.setSize([width, Math.max(height, node.computeSize()[1])]); // the panel may have grown
}

// The editor may draw new seeds around each run. The next one shall have those that made these
// candidates. Returns what undoes the holding, not the seeds.
function holdSeeds(seeds) {
  const held = [];
  for (const [path, inputs] of Object.entries(seeds)) {
    for (const [name, value] of Object.entries(inputs)) {
      if (!name.includes("seed") || !Number.isInteger(value)) continue;
      const node = findNode(path);
      const control = widgetOf(node, name)?.linkedWidgets?.find(drawsSeeds);
      if (control) held.push([control, control.value]);
      setWidget(deciding(node, name, path), value);
      setWidget(control, "fixed");
    }
  }
  return () => held.forEach(([control, before]) => setWidget(control, before));
}

// `state`: the one whose candidates were on the screen.
async function pick(node, picked, state) {
  const same = String(picked) === String(state.chosen);
  if (same && !state.waiting && state.policy === "stop") return; // a second click on the same
  choose(node, { ...state, chosen: picked });
  setWidget(deciding(node, "policy", pathOf(node)), "stop");
  show(node, { ...state, chosen: picked, waiting: false, policy: "stop" });
  const release = holdSeeds(pathOf(node) ? state.seeds : {});
  try {
    await app.queuePrompt(0, 1);
  } finally {
    release();
  }
}

function choose(node, { key, chosen }) {
  const choice = deciding(node, "choice", pathOf(node));
  setWidget(choice, withChoice(choice?.value, key, chosen));
}

function attach(node) {
  const picked = (indices, state) => pick(node, indices, state);
  const panel = createPanel(fileUrl, {
    pick: picked,
    enlarge: (index) =>
      openViewer(panel.state, index, {
        fileUrl,
        marked: panel.marked,
        on: { pick: picked, mark: panel.mark },
      }),
  });
  panels.set(node, panel);
  addPanel(node, "candidates", "FVG_CANDIDATES", panel);
  // The panel shows the pictures; the editor's own previews (in either of its renderers) do not.
  node.hideOutputImages = true;
  node.onDrawBackground = () => {};
  after(node, "onConfigure", () => show(node, node.properties[KEPT]));
}

onOutput("fvg_picker", (node, [given]) => {
  if (!panels.has(node)) return;
  show(node, given);
  // Chosen in another tab, or before: from now on this workflow knows it too.
  if (given?.choice && given.policy === "stop") choose(node, panels.get(node).state);
});

app.registerExtension({
  name: "fvg.AnchorPicker",
  nodeCreated(node) {
    if (node.comfyClass === NODE) attach(node);
  },
});
