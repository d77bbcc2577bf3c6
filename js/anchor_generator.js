// The Anchor Image Generator's menu: draw one candidate again, or keep the seeds as they are.
import { app } from "../../scripts/app.js";
import { setWidget, widgetOf } from "./graph.js";
import { candidateSeeds, withNewSeed } from "./generator/seeds.js";

const NODE = "FVGAnchorImageGenerator";

function write(node, text) {
  setWidget(widgetOf(node, "seeds"), text);
  node.setDirtyCanvas(true, true);
}

function menu(node) {
  const value = (name) => widgetOf(node, name).value;
  const [text, count] = [value("seeds"), value("candidates")];
  const seeds = candidateSeeds(value("seed"), count, text);
  const again = seeds.map((seed, i) => ({
    content: `Candidate ${i} (seed ${seed})`,
    callback: () => write(node, withNewSeed(text, count, i)),
  }));
  return [
    { content: "New seed for", has_submenu: true, submenu: { options: again } },
    { content: "Lock all seeds", callback: () => write(node, seeds.join(", ")) },
    { content: "Unlock all seeds", disabled: !text.trim(), callback: () => write(node, "") },
  ];
}

app.registerExtension({
  name: "fvg.AnchorImageGenerator",
  getNodeMenuItems(node) {
    return node.comfyClass === NODE && widgetOf(node, "seeds") ? menu(node) : [];
  },
});
