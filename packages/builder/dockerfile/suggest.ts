/** ` (did you mean X?)` for the option nearest to a mistyped word, or "" where none is within two edits. */
export function didYouMean(word: string, options: Iterable<string>, caseSensitive: boolean): string {
  const wanted = caseSensitive ? word : word.toLowerCase();
  let best = "";
  let bestDistance = 3;
  for (const option of options) {
    const candidate = caseSensitive ? option : option.toLowerCase();
    if (candidate === wanted) return "";
    const d = distance(wanted, candidate);
    if (d < bestDistance) {
      bestDistance = d;
      best = option;
    }
  }
  if (best === "") return "";
  if (!caseSensitive && word === word.toLowerCase()) best = best.toLowerCase();
  else if (!caseSensitive && word === word.toUpperCase()) best = best.toUpperCase();
  return ` (did you mean ${best}?)`;
}

/** Levenshtein's distance. Words longer than 64 characters are nobody's typing error. */
function distance(a: string, b: string): number {
  if (Math.max(a.length, b.length) > 64) return 64;
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    previous = row;
  }
  return previous[b.length]!;
}
