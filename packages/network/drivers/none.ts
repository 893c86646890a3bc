import type { Driver } from "./driver.ts";

/** `host` and `null`: networks without a device of their own. */
export function deviceless(name: "host" | "null"): Driver {
  return {
    name,
    check() {},
    create() {},
    restore() {},
    remove() {},
    attach() {},
    detach: () => [],
  };
}
