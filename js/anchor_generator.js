// The Anchor Image Generator's menu: draw one candidate again, or keep the seeds as they are.
import { app } from "../../scripts/app.js";
import { isLinked, setWidget, widgetOf } from "./graph.js";
import { candidateSeeds, withNewSeed } from "./generator/seeds.js";

const NODE = "FVGAnchorImageGenerator";

function write(node, text) {
  setWidget(widgetOf(node, "seeds"), text);
  node.setDirtyCanvas(true, true);
}

function menu(node) {
  const value = (name) => widgetOf(node, name).value;
  // A linked widget says nothing: a subgraph's own, or another node, decides.
  const foreign = ["seed", "candidates", "seeds"].some((name) => isLinked(node, name));
  const [text, count] = [value("seeds"), value("candidates")];
  const seeds = candidateSeeds(value("seed"), count, text);
  const again = seeds.map((seed, i) => ({
    content: `Candidate ${i} (seed ${seed})`,
    callback: () => write(node, withNewSeed(text, count, i)),
  }));
  return [
    { content: "New seed for", disabled: foreign, has_submenu: true, submenu: { options: again } },
    {
      content: "Lock all seeds",
      disabled: foreign,
      callback: () => write(node, seeds.join(", ")),
    },
    {
      content: "Unlock all seeds",
      disabled: isLinked(node, "seeds") || !text.trim(),
      callback: () => write(node, ""),
    },
  ];
}

app.registerExtension({
  name: "fvg.AnchorImageGenerator",
  getNodeMenuItems(node) {
    return node.comfyClass === NODE && widgetOf(node, "seeds") ? menu(node) : [];
  },
});
