// The First-Frame Prompt Rewriter shows what it wrote beside the prompt, and takes edits of it.
import { app } from "../../scripts/app.js";
import { isLinked, setWidget, widgetOf } from "./graph.js";
import { addPanel, after } from "./panels.js";
import { createPanel } from "./rewriter/panel.js";
import { readRewrites, withEdit, without } from "./rewriter/state.js";
import { onOutput } from "./runs.js";

const NODE = "FVGFirstFramePromptRewriter";
const KEPT = "fvg_rewrites"; // in the node's properties: survives a reload, a restart, a copy

const shows = new WeakMap(); // node -> shows what it holds

function attach(node) {
  const panel = createPanel({
    edit: (rewrite, text) => {
      setWidget(widgetOf(node, "edited"), withEdit(widgetOf(node, "edited")?.value, rewrite, text));
      show();
    },
    discard: (keys) => {
      setWidget(widgetOf(node, "edited"), without(widgetOf(node, "edited")?.value, keys));
      show();
    },
    proceed: () => proceed(node).catch(console.warn),
  });

  function show() {
    panel.render({
      rewrites: readRewrites(node.properties[KEPT]),
      edits: widgetOf(node, "edited")?.value ?? "",
      prompt: isLinked(node, "prompt") ? null : (widgetOf(node, "prompt")?.value ?? null),
      stops: !isLinked(node, "stop_here") && Boolean(widgetOf(node, "stop_here")?.value),
    });
    const [width, height] = node.size;
    const least = node.computeSize()[1];
    if (height < least) node.setSize([width, least]); // the panel may have grown
  }

  addPanel(node, "rewrites", "FVG_REWRITES", panel);
  for (const name of ["prompt", "stop_here"]) {
    const watched = widgetOf(node, name);
    if (watched) after(watched, "callback", show);
  }
  after(node, "onConfigure", show);
  after(node, "onConnectionsChange", show);
  shows.set(node, show);
}

onOutput("fvg_rewrites", (node, given) => {
  if (!shows.has(node)) return;
  node.properties[KEPT] = given;
  shows.get(node)();
});

// This run goes through; the next one stops again.
async function proceed(node) {
  setWidget(widgetOf(node, "stop_here"), false);
  try {
    await app.queuePrompt(0, 1);
  } finally {
    setWidget(widgetOf(node, "stop_here"), true);
  }
}

app.registerExtension({
  name: "fvg.PromptRewriter",
  nodeCreated(node) {
    if (node.comfyClass === NODE) attach(node);
  },
});
