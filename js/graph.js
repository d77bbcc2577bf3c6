// Nodes of the open graph, and what their widgets hold.
import { app } from "../../scripts/app.js";

export const rootGraph = () => app.rootGraph ?? app.graph;

// Ids inside subgraphs are paths: "3:12" is node 12 inside node 3.
export function findNode(path) {
  let graph = rootGraph();
  let node = null;
  for (const id of String(path).split(":")) {
    node = graph?.getNodeById(id) ?? null;
    graph = node?.subgraph;
  }
  return node;
}

export const widgetOf = (node, name) => node?.widgets?.find((widget) => widget.name === name);

export function isLinked(node, name) {
  return node.inputs?.some((input) => input.name === name && input.link != null) ?? false;
}

export function setWidget(widget, value) {
  if (!widget || widget.value === value) return;
  widget.value = value;
  widget.callback?.(value);
}

// A change that the page makes to the workflow by itself: without this the editor would not see it
// before the user's next gesture, and a reload until then would lose it.
export function recordChange(change) {
  app.canvas.emitBeforeChange();
  try {
    change();
  } finally {
    app.canvas.emitAfterChange();
  }
}
