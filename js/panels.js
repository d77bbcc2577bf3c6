// A panel of ours as a widget of a node, in both of the editor's renderers.
import { useStyles } from "./elements.js";

const left = new Map(); // node id -> the panel's element of a removed node that had this id

export function after(object, method, then) {
  const before = object[method];
  object[method] = function (...args) {
    const result = before?.apply(this, args);
    then(...args);
    return result;
  };
}

// `panel`: {element, height in CSS pixels}.
export function addPanel(node, name, type, panel) {
  useStyles(new URL("./panels.css", import.meta.url).href);
  panel.element.classList.add("fvg-panel");
  const widget = node.addDOMWidget(name, type, panel.element, {
    serialize: false,
    getMinHeight: () => panel.height,
  });
  widget.serialize = false;
  after(node, "onRemoved", () => left.set(String(node.id), panel.element));
  after(node, "onAdded", () => requestAnimationFrame(() => setTimeout(() => replace(node, panel))));
}

// The renderer that draws nodes as elements goes on showing what it mounted for an id when another
// graph has a node of the same id.
function replace(node, panel) {
  const old = left.get(String(node.id));
  left.delete(String(node.id));
  if (old?.isConnected && !panel.element.isConnected) old.replaceWith(panel.element);
}
