// The LoRA Trainer shows its run: live by events of the server, after a reload from what it keeps.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { findNode, isLinked, widgetOf } from "./graph.js";
import { addPanel, after } from "./panels.js";
import { createPanel } from "./training/panel.js";

const NODE = "FVGLoraTrainer";
const EVENT = "fvg.training";

const panels = new WeakMap(); // node -> panel

// Whether a state is of this node's run: another workflow may have a trainer with the same id.
function isOwn(node, { lora_name: name }) {
  // As the server reads the widget (place_of in nodes/host/training_place.py).
  const own = String(widgetOf(node, "lora_name")?.value).trim().replace(/\.safetensors$/, "");
  return isLinked(node, "lora_name") || own === name;
}

function show(node, state) {
  const panel = panels.get(node);
  if (!panel || !state || !isOwn(node, state)) return;
  panel.render(state);
  const [width, height] = node.size;
  node.setSize([width, Math.max(height, node.computeSize()[1])]); // the panel may have grown
}

function fileUrl(file) {
  return api.apiURL(`/view?${new URLSearchParams(file)}`);
}

async function restore(node) {
  const name = widgetOf(node, "lora_name")?.value;
  if (!name) return;
  const reply = await api.fetchApi(`/fvg/training?${new URLSearchParams({ name })}`);
  // An event that came meanwhile is newer than what was kept.
  if (reply.ok && panels.get(node)?.empty) show(node, await reply.json());
}

function attach(node) {
  const panel = createPanel(fileUrl);
  panels.set(node, panel);
  addPanel(node, "training", "FVG_TRAINING", panel);
  // The panel shows the pictures; the editor's own previews (in either of its renderers) do not.
  node.hideOutputImages = true;
  node.onDrawBackground = () => {};
  after(node, "onConfigure", () => restore(node).catch(console.warn));
  after(node, "onExecuted", (output) => show(node, output?.fvg_training?.[0]));
  after(node, "onRemoved", () => panel.dispose());
}

app.registerExtension({
  name: "fvg.LoraTrainer",
  setup() {
    api.addEventListener(EVENT, ({ detail }) => show(findNode(detail.node), detail));
  },
  nodeCreated(node) {
    if (node.comfyClass === NODE) attach(node);
  },
});
