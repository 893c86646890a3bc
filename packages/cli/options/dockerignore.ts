/**
 * Reads a .dockerignore: which paths (with slashes, relative to the context) stay out. Later patterns win; `!` takes
 * in again; `**` crosses directories. Throws an Error for a malformed pattern.
 */
export function dockerignore(text: string): { excludes(path: string): boolean; hasExceptions: boolean } {
  const rules: { pattern: RegExp; include: boolean }[] = [];
  for (const raw of text.replace(/^\uFEFF/, "").split("\n")) {
    let line = raw.trim();
    if (!line || line.startsWith("#")) continue;
    const include = line.startsWith("!");
    if (include) line = line.slice(1).trim();
    const clean = normalise(line);
    if (clean === "" || clean === ".") continue;
    rules.push({ pattern: compile(clean), include });
  }
  return {
    hasExceptions: rules.some(({ include }) => include),
    excludes(path) {
      const parents = path.split("/").map((_, i, parts) => parts.slice(0, i + 1).join("/"));
      let excluded = false;
      for (const { pattern, include } of rules) {
        if (include === excluded && parents.some((parent) => pattern.test(parent))) excluded = !include;
      }
      return excluded;
    },
  };
}

function normalise(pattern: string): string {
  const parts: string[] = [];
  for (const part of pattern.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return parts.join("/");
}

function compile(pattern: string): RegExp {
  let source = "^";
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i]!;
    if (char === "*" && pattern[i + 1] === "*") {
      i++;
      if (pattern[i + 1] === "/") i++;
      source += i + 1 >= pattern.length ? ".*" : "(?:.*/)?";
    } else if (char === "*") source += "[^/]*";
    else if (char === "?") source += "[^/]";
    else if (char === "\\") source += (pattern[++i] ?? "\\").replace(/[.*+?^${}()|[\]\\/]/, "\\$&");
    else if (char === "[") {
      const end = pattern.indexOf("]", i + 1);
      if (end < 0) throw new Error(`error checking context: syntax error in pattern`);
      source += `[${pattern.slice(i + 1, end).replaceAll("\\", "\\\\")}]`;
      i = end;
    } else source += char.replace(/[.+^${}()|\]]/, "\\$&");
  }
  return new RegExp(`${source}$`);
}
