import { expect, test } from "bun:test";
import { close, O, open } from "./file.ts";
import { Nftables, reserveDescriptors } from "./nftables.ts";

test.skipIf(process.getuid?.() !== 0)("works in a process with more descriptors than select(2) can name", () => {
  reserveDescriptors();
  const many = Array.from({ length: 1200 }, () => open("/dev/null", O.RDONLY | O.CLOEXEC));
  try {
    const contexts = [new Nftables(), new Nftables()];
    for (const context of contexts) expect(context.run("list tables", "json")).toContain("nftables");
    for (const context of contexts) context.close();
    const again = new Nftables();
    // A change, so that the library waits for the kernel's word; in a table that is never there.
    expect(() => again.run("delete table inet gantry-no-such-table")).toThrow("No such file or directory");
    again.close();
  } finally {
    for (const fd of many) close(fd);
  }
});
