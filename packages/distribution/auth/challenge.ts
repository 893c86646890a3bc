/** One challenge of a `WWW-Authenticate` header (RFC 9110 §11.6.1): scheme in lower case, parameters by lower-case name. */
export interface Challenge {
  scheme: string;
  parameters: Record<string, string>;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+/;
const MAX_HEADER = 16 * 1024;

/** Reads every challenge in the header. What cannot be read is left out; never throws. */
export function parseChallenges(header: string | null): Challenge[] {
  const challenges: Challenge[] = [];
  if (!header) return challenges;
  let rest = header.slice(0, MAX_HEADER);
  let current: Challenge | undefined;
  while (rest.length > 0) {
    rest = rest.replace(/^[\s,]+/, "");
    const name = TOKEN.exec(rest)?.[0];
    if (!name) break;
    const after = rest.slice(name.length);
    const equals = /^\s*=\s*/.exec(after);
    if (!equals) {
      current = { scheme: name.toLowerCase(), parameters: {} };
      challenges.push(current);
      rest = after;
      continue;
    }
    const [value, left] = readValue(after.slice(equals[0].length));
    if (current) current.parameters[name.toLowerCase()] ??= value;
    rest = left;
  }
  return challenges;
}

function readValue(text: string): [value: string, rest: string] {
  if (text[0] !== '"') {
    const token = /^[^\s,]*/.exec(text)?.[0] ?? "";
    return [token, text.slice(token.length)];
  }
  let value = "";
  let i = 1;
  for (; i < text.length && text[i] !== '"'; i++) {
    if (text[i] === "\\" && i + 1 < text.length) i++;
    value += text[i];
  }
  return [value, text.slice(i + 1)];
}
