// What the rewriter's page knows: the rewrites that the node sent, and edits as the widget spells
// them: a JSON object of texts by the keys of rewrites.

const KEY = /^[0-9a-f]{12}$/;
const MOST = 64; // rewrites that a page shows
const KEPT = 20; // edits of other rewrites that are remembered, the latest last

const text = (value) => (typeof value === "string" ? value : "");

function readRewrite(given) {
  if (!given || !KEY.test(given.key)) return null;
  const checks = (Array.isArray(given.checks) ? given.checks : []).map((check) => ({
    name: text(check?.name),
    passed: Boolean(check?.passed),
    detail: text(check?.detail),
  }));
  const { key } = given;
  const [prompt, rewritten, shown] = [given.prompt, given.rewritten, given.text].map(text);
  const [note, writtenBy] = [given.note, given.written_by].map(text);
  return { key, prompt, rewritten, text: shown, note, writtenBy, checks };
}

// Rewrites as the node or a workflow file gives them: files are strangers'.
export function readRewrites(given) {
  return (Array.isArray(given) ? given : []).slice(0, MOST).map(readRewrite).filter(Boolean);
}

export function readEdits(widgetText) {
  try {
    const edits = JSON.parse(widgetText || "{}");
    const sound = Object.entries(edits).filter(([key, value]) => KEY.test(key) && text(value));
    return Object.fromEntries(sound);
  } catch {
    return {};
  }
}

// The widget's text after an edit; the rewrite's own text, or nothing, takes the edit back.
export function withEdit(widgetText, rewrite, edited) {
  const { [rewrite.key]: _, ...others } = readEdits(widgetText);
  const kept = Object.entries(others).slice(-KEPT);
  const own = edited.trim();
  if (own && own !== rewrite.rewritten) kept.push([rewrite.key, own]);
  return kept.length ? JSON.stringify(Object.fromEntries(kept)) : "";
}

// Edits that were made of other rewrites than those that are shown.
export function strangers(widgetText, rewrites) {
  const known = new Set(rewrites.map((rewrite) => rewrite.key));
  return Object.keys(readEdits(widgetText)).filter((key) => !known.has(key));
}

export function without(widgetText, keys) {
  const kept = Object.entries(readEdits(widgetText)).filter(([key]) => !keys.includes(key));
  return kept.length ? JSON.stringify(Object.fromEntries(kept)) : "";
}
