import { type Flag, str } from "../flags.ts";

/** The `--format` option of a listing. */
export function listFormat(): Flag<string> {
  return str(
    "",
    "Format the output:\n'table':            A table with headers (default)\n'table TEMPLATE':   A table made with a Go template\n'json':             A JSON object a line\n'TEMPLATE':         A line made with a Go template",
  );
}

/** The `--format` option of a command that shows objects. */
export function objectFormat(short = "f"): Flag<string> {
  return str(
    short,
    "Format the output:\n'json':             Print in JSON format\n'TEMPLATE':         Print with a Go template",
  );
}
