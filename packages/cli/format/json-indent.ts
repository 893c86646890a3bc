/** Indents JSON text by four spaces a level without touching its numbers and strings, as Docker prints inspect. */
export function indentJson(text: string, prefix = ""): string {
  let out = "";
  let depth = 0;
  const newline = () => `\n${prefix}${"    ".repeat(depth)}`;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char === '"') {
      const start = i;
      for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === "\\") i++;
      out += text.slice(start, i + 1);
    } else if (char === "{" || char === "[") {
      const close = /[^\s]/.exec(text.slice(i + 1, i + 64))?.[0];
      if (close === "}" || close === "]") {
        out += char + close;
        i = text.indexOf(close, i + 1);
      } else {
        depth++;
        out += char + newline();
      }
    } else if (char === "}" || char === "]") {
      depth--;
      out += newline() + char;
    } else if (char === ",") {
      out += char + newline();
    } else if (char === ":") {
      out += ": ";
    } else if (!/\s/.test(char)) {
      out += char;
    }
  }
  return out;
}
