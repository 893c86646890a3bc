import { CliError } from "../errors.ts";
import type { Listing } from "./table.ts";
import { alignColumns } from "./tabwriter.ts";
import { compileTemplate, Row, type Template, type TemplateFunction } from "./template.ts";
import { headerFunctions } from "./template-functions.ts";

/** A listing by a template: `table TEMPLATE`, `json`, or a template for each row. Throws CliError. */
export function templateListing<T>(listing: Listing<T>, format: string): string {
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
