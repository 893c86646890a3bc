import type { Filters } from "@gantry/client";
import { type Flag, value } from "../flags.ts";

/** The `--filter name=value` option. */
export function filterFlag(short: string, help: string): Flag<Filters> {
  return value<Filters>(short, help, {
    type: "filter",
    initial: {},
    parse(text, before) {
      if (text === "") return before;
      const equals = text.indexOf("=");
      if (equals < 0) throw new Error("bad format of filter (expected name=value)");
      const name = text.slice(0, equals).trim().toLowerCase();
      const wanted = text.slice(equals + 1).trim();
      return { ...before, [name]: [...(before[name] ?? []), wanted] };
    },
  });
}
