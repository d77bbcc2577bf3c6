// What a run says of our nodes goes to the workflow that was run: another may be open by then. Two
// tabs with one id (a picture of a workflow opened beside it) cannot be told apart.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { findNode, recordChange, rootGraph } from "./graph.js";

const receivers = new Map(); // part of a node's output -> takes the node and that part
const kept = new Map(); // id of a workflow that is not open -> {place: delivery}
let latest = { run: null, workflow: null }; // the run that the last event was of
// Of a graph in API format, until the editor gives it an id when it is opened again.
const NO_ID = "00000000-0000-0000-0000-000000000000";

// `receive(node, given)` gets a part of what a node has sent, once its workflow is open.
export function onOutput(part, receive) {
  receivers.set(part, receive);
}

// A promise of the workflow's id; of none for a run that has no workflow or is not known.
function workflowOf(run) {
  if (latest.run !== run) latest = { run, workflow: askFor(run).catch(() => null) };
  return latest.workflow;
}

async function askFor(run) {
  const reply = await api.fetchApi(`/jobs/${run}`);
  const { workflow_id: id } = reply.ok ? await reply.json() : {};
  return id && id !== NO_ID ? id : null;
}

async function executed({ node, display_node: shown, output, prompt_id: run }) {
  for (const [part, receive] of receivers) {
    const given = output?.[part];
    if (!given) continue;
    const place = shown ?? node;
    const deliver = () => receive(findNode(place), given);
    const workflow = await workflowOf(run);
    if (workflow === null || workflow === rootGraph().id) recordChange(deliver);
    else kept.set(workflow, { ...kept.get(workflow), [`${place} ${part}`]: deliver });
  }
}

app.registerExtension({
  name: "fvg.Runs",
  setup() {
    api.addEventListener("execution_start", ({ detail }) => workflowOf(detail.prompt_id));
    api.addEventListener("executed", ({ detail }) => executed(detail).catch(console.warn));
  },
  // A workflow was opened. The editor itself takes down how it is then.
  afterConfigureGraph() {
    const { id } = rootGraph();
    Object.values(kept.get(id) ?? {}).forEach((deliver) => deliver());
    kept.delete(id);
  },
});
