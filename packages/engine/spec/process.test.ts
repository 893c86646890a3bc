import { expect, test } from "bun:test";
import { capabilitySet } from "../config/capabilities.ts";
import { capabilities, containerEnv, mergeEnv } from "./process.ts";

test("environment: Docker's own first, the container's wins, a bare name removes", () => {
  const env = containerEnv({ Env: ["PATH=/bin", "A=1", "HOSTNAME"], Tty: true }, "box", "/home/x");
  expect(env).toEqual(["PATH=/bin", "TERM=xterm", "A=1", "HOME=/home/x"]);
  expect(mergeEnv(["A=1"], ["A=2", "A=3", "B="])).toEqual(["A=3", "B="]);
});

test("capabilities are effective for root only", () => {
  expect(capabilities(["CAP_CHOWN"], 0).effective).toEqual(["CAP_CHOWN"]);
  expect(capabilities(["CAP_CHOWN"], 1)).toEqual({ bounding: ["CAP_CHOWN"] });
});

test("adding and dropping", () => {
  expect(capabilitySet([], [], false).length).toBe(14);
  expect(capabilitySet(["net_admin"], ["ALL"], false)).toEqual(["CAP_NET_ADMIN"]);
  expect(capabilitySet([], ["CAP_CHOWN"], false)).not.toContain("CAP_CHOWN");
  expect(capabilitySet(["ALL"], ["SYS_ADMIN"], false)).not.toContain("CAP_SYS_ADMIN");
});
