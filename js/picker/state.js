// What the picker's page knows: the state that the node sent, and choices as the widget has them.

const ENTRY = /^([0-9a-f]{8,64}): ?([0-9]{1,4}(?:, ?[0-9]{1,4})*)$/;
const KEPT = 20; // choices in the widget, the latest first
const MOST = 4096;

const texts = (value) => (Array.isArray(value) ? value : []).map(String).slice(0, MOST);

// A state as the node or a workflow file gives it, or null for anything else: files are strangers'.
export function readState(given) {
  if (!given || !/^[0-9a-f]{8,64}$/.test(given.key)) return null;
  const full = texts(given.full);
  const count = full.length;
  if (!count) return null;
  const chosen = (Array.isArray(given.chosen) ? given.chosen : []).filter(
    (i) => Number.isInteger(i) && i >= 0 && i < count,
  );
  const scores = Array.isArray(given.scores) && given.scores.length === count ? given.scores : [];
  return {
    key: given.key,
    node: String(given.node),
    policy: String(given.policy),
    waiting: Boolean(given.waiting),
    chosen,
    full,
    thumbs: texts(given.thumbs).length === count ? texts(given.thumbs) : full,
    subfolder: String(given.subfolder),
    type: String(given.type),
    checklist: texts(given.checklist),
    scores: scores.map((s) => ({
      score: Number(s?.score) || 0,
      answers: (Array.isArray(s?.answers) ? s.answers : []).map((a) => (a == null ? null : !!a)),
    })),
    seeds: given.seeds && typeof given.seeds === "object" ? given.seeds : {},
  };
}

// The widget's text with one more choice: "<key>: 2; <other key>: 0, 3".
export function withChoice(text, key, picked) {
  const others = String(text ?? "")
    .split(";")
    .map((part) => part.trim())
    .filter((part) => ENTRY.test(part) && ENTRY.exec(part)[1] !== key);
  return [`${key}: ${picked.join(", ")}`, ...others].slice(0, KEPT).join("; ");
}

export function statusText(state) {
  if (!state) return "Run the workflow: the candidates appear here.";
  if (state.waiting) return "Click the picture that becomes the first frame.";
  const numbers = state.chosen.join(", ");
  const many = state.chosen.length > 1;
  const taken = state.policy === "stop" ? "chosen" : `taken (policy: ${state.policy})`;
  return `${many ? "Candidates" : "Candidate"} ${numbers} ${taken}. Click another to change it.`;
}

export const percent = (score) => `${Math.round(score * 100)}%`;
