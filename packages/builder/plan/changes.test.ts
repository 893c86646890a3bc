import { expect, test } from "bun:test";
import { applyChanges } from "./changes.ts";

test("instructions change a copy of the configuration", () => {
  const before = { Env: ["A=1"], WorkingDir: "/a" };
  const after = applyChanges(before, ['CMD ["x"]', "ENV B=$A-2 A=3", "WORKDIR b", "EXPOSE 80", "LABEL k=v", "USER me"]);
  expect(after).toEqual({
    Env: ["A=3", "B=1-2"],
    WorkingDir: "/a/b",
    Cmd: ["x"],
    ExposedPorts: { "80/tcp": {} },
    Labels: { k: "v" },
    User: "me",
  });
  expect(before).toEqual({ Env: ["A=1"], WorkingDir: "/a" });
});

test("what would need a build is refused", () => {
  for (const change of ["RUN true", "COPY a b", "FROM x", "NOPE x"]) {
    expect(() => applyChanges({}, [change])).toThrow(`${change.split(" ")[0]} is not a valid change command`);
  }
  expect(() => applyChanges({}, ["EXPOSE 99999999"])).toThrow("invalid containerPort: 99999999");
});
