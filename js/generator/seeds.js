// Seeds of single candidates, as the Anchor Image Generator reads them: "7, , 912".
const SEEDS = 2n ** 64n;
const NEW = 2 ** 32; // exact in a number, and far from the seeds that count up from small ones

/** Entries of the text, one for each of `count` candidates; "" where the seed counts up. */
function entries(text, count) {
  const given = text.trim() ? text.split(",").map((entry) => entry.trim()) : [];
  return Array.from({ length: count }, (_, i) => given[i] ?? "");
}

/** The seed of every candidate. */
export function candidateSeeds(first, count, text) {
  return entries(text, count).map((own, i) => own || String((BigInt(first) + BigInt(i)) % SEEDS));
}

/** The text with another seed for candidate `i`; what it said of the others stays. */
export function withNewSeed(text, count, i) {
  const changed = entries(text, count);
  changed[i] = String(Math.floor(Math.random() * NEW));
  while (changed.at(-1) === "") changed.pop();
  return changed.join(", ");
}
