import { alignColumns } from "./tabwriter.ts";
import type { TemplateFunction } from "./template-functions.ts";

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
export async function formatListing<T>(listing: Listing<T>, format: string, quiet = false): Promise<string> {
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
  const { templateListing } = await import("./template-listing.ts");
  return templateListing(listing, format);
}
