import { invalidParameter } from "@gantry/spec";

/** One line of comma-separated fields, where a field may be quoted with `"` (RFC 4180), as in `--mount` values. */
export function csvFields(text: string): string[] {
  const fields: string[] = [];
  let i = 0;
  for (;;) {
    let field = "";
    if (text[i] === '"') {
      for (i++; ; i++) {
        if (i >= text.length) throw invalidParameter("failed to parse csv mounts: unterminated quote");
        if (text[i] !== '"') field += text[i];
        else if (text[i + 1] === '"') field += text[++i];
        else break;
      }
      i++;
      if (i < text.length && text[i] !== ",")
        throw invalidParameter('failed to parse csv mounts: extraneous or missing "');
    } else {
      const end = text.indexOf(",", i);
      field = text.slice(i, end < 0 ? undefined : end);
      if (field.includes('"')) throw invalidParameter('failed to parse csv mounts: bare " in non-quoted field');
      i += field.length;
    }
    fields.push(field);
    if (i >= text.length) return fields;
    i++;
  }
}
