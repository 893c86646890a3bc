/** The fields of one line of CSV; a field may be quoted, and a doubled quote in it is one. */
export function csvFields(text: string): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      let field = "";
      for (at++; ; at++) {
        if (at >= text.length)
          throw new Error('parse error on line 1, column 1: extraneous or missing " in quoted-field');
        if (text[at] !== '"') field += text[at];
        else if (text[at + 1] === '"') field += text[++at];
        else break;
      }
      at++;
      if (at < text.length && text[at] !== ",")
        throw new Error('parse error on line 1, column 1: extraneous or missing " in quoted-field');
      fields.push(field);
    } else {
      const comma = text.indexOf(",", at);
      const end = comma < 0 ? text.length : comma;
      const field = text.slice(at, end);
      if (field.includes('"'))
        throw new Error(`parse error on line 1, column ${text.indexOf('"') + 1}: bare " in non-quoted-field`);
      fields.push(field);
      at = end;
    }
    if (at >= text.length) return fields;
    at++;
  }
}

/** `key=value` cut at the first equals sign; the value is undefined where there is none. */
export function keyValue(text: string): [key: string, value: string | undefined] {
  const equals = text.indexOf("=");
  return equals < 0 ? [text, undefined] : [text.slice(0, equals), text.slice(equals + 1)];
}

/** A list of `key=value` as a map; no equals sign is an empty value. */
export function keyValueMap(items: readonly string[]): Record<string, string> {
  return Object.fromEntries(items.map((item) => [keyValue(item)[0], keyValue(item)[1] ?? ""]));
}
