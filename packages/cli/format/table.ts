import { CliError } from "../errors.ts";
import { alignColumns } from "./tabwriter.ts";
import { compileTemplate, Row, type Template, type TemplateFunction } from "./template.ts";
import { headerFunctions } from "./template-functions.ts";

/** A listing: columns by their template names. */
export interface Listing<T> {
  rows: readonly T[];
  /** Text or function of the template for each field of a row. */
  fields: (row: T) => Record<string, TemplateFunction>;
  headers: Record<string, string>;
  /** The columns of the plain table, in order. */
  columns: readonly string[];
  /** The field that `-q` prints. */
  key: string;
  /** What Docker's messages call a row. */
  type?: string;
}

/**
 * Prints a listing as `--format` says: nothing or `table` for the plain table, `table TEMPLATE`, `json`, or a template
 * for each row. Throws CliError for a template that cannot be read or applied.
 */
export function formatListing<T>(listing: Listing<T>, format: string, quiet = false): string {
  if (quiet && (format === "" || format === "table")) {
    return listing.rows.map((row) => `${String(listing.fields(row)[listing.key]!())}\n`).join("");
  }
  if (format === "" || format === "table") {
    const lines = [listing.columns.map((name) => listing.headers[name])];
    for (const row of listing.rows) {
      const fields = listing.fields(row);
      lines.push(listing.columns.map((name) => String(fields[name]!())));
    }
    return alignColumns(lines.map((cells) => `${cells.join("\t")}\n`).join(""));
  }
  const rows = listing.rows.map((row) => new Row(listing.fields(row), listing.type));
  if (format.startsWith("table")) {
    const source = unescapeFormat(format.slice(5).trim());
    const header = new Row(headerFields(listing.headers));
    const head = applyTemplate(source, [header], headerFunctions);
    return alignColumns([...head, ...applyTemplate(source, rows)].map((text) => `${text}\n`).join(""));
  }
  const source = format === "json" ? "{{json .}}" : unescapeFormat(format.trim());
  return applyTemplate(source, rows)
    .map((text) => `${text}\n`)
    .join("");
}

/** Applies a template to each value. Throws CliError in Docker's words. */
export function applyTemplate(
  source: string,
  values: readonly unknown[],
  functions?: Record<string, TemplateFunction>,
): string[] {
  let template: Template;
  try {
    template = compileTemplate(source, functions ? { functions } : {});
  } catch (error) {
    throw new CliError(`failed to parse template: ${(error as Error).message}`);
  }
  try {
    return values.map((value) => template.apply(value));
  } catch (error) {
    throw new CliError(`failed to execute template: ${(error as Error).message}`);
  }
}

/** `\t` and `\n` written out in a format mean the characters. */
export function unescapeFormat(format: string): string {
  return format.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
}

function headerFields(headers: Record<string, string>): Record<string, TemplateFunction> {
  return new Proxy(
    {},
    {
      getOwnPropertyDescriptor: () => ({ configurable: true, enumerable: true }),
      has: () => true,
      // `.Label "com.example.some-thing"` is headed "some thing".
      get: (_, name: string) => (argument?: string) =>
        argument === undefined
          ? (headers[name] ?? "<no value>")
          : (argument.split(".").pop() ?? "").replace(/[-_]/g, " "),
    },
  );
}
