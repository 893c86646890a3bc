import { describe, expect, test } from "bun:test";
import { parseHost } from "./host.ts";

describe("hosts", () => {
  test("that are understood", () => {
    expect(parseHost("unix:///run/x.sock")).toEqual({ kind: "unix", path: "/run/x.sock" });
    expect(parseHost("tcp://10.0.0.1:2375")).toEqual({ kind: "tcp", host: "10.0.0.1", port: 2375, prefix: "" });
    expect(parseHost("tcp://[::1]:1234/base/")).toEqual({ kind: "tcp", host: "::1", port: 1234, prefix: "/base" });
    expect(parseHost("tcp://:2375")).toMatchObject({ host: "127.0.0.1" });
    expect(parseHost("https://h")).toMatchObject({ port: 2376, tls: { verify: true } });
    expect(parseHost("tcp://h", { verify: false })).toMatchObject({ port: 2376, tls: { verify: false } });
    expect(parseHost("ssh://me@h:22/run/x.sock")).toEqual({
      kind: "ssh",
      args: ["-l", "me", "-p", "22", "-o", "ConnectTimeout=30", "-T", "--", "h"],
      socket: "/run/x.sock",
    });
  });
  test("that are not", () => {
    for (const text of [
      "",
      "foo",
      "unix://",
      "npipe:////./pipe/x",
      "tcp://h:99999",
      "tcp://a b:1",
      "ssh://-oProxyCommand=x",
      "ssh://",
    ]) {
      expect(() => parseHost(text)).toThrow(`unable to parse docker host \`${text}\``);
    }
    expect(() => parseHost("ssh://me:secret@h")).toThrow("plain-text password");
  });
});
