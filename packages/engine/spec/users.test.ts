import { expect, test } from "bun:test";
import { parseGroup, parsePasswd, resolveUser } from "./users.ts";

const database = {
  passwd: parsePasswd(
    "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/false\n1000:x:5:5::/odd:/bin/sh\nbroken\n",
  ),
  group: parseGroup("root:x:0:\nwww:x:34:\nextra:x:50:web,other\n60:x:61:\n"),
};

test("users by name, by number and unknown numbers", () => {
  expect(resolveUser(database, "", [])).toEqual({ uid: 0, gid: 0, additionalGids: [0], home: "/root" });
  expect(resolveUser(database, "web", [])).toEqual({ uid: 33, gid: 34, additionalGids: [34, 50], home: "/srv" });
  expect(resolveUser(database, "33", [])).toMatchObject({ uid: 33, gid: 34 });
  expect(resolveUser(database, "4242", [])).toEqual({ uid: 4242, gid: 0, additionalGids: [0], home: "/" });
  // A name that looks like a number is a name first.
  expect(resolveUser(database, "1000", [])).toMatchObject({ uid: 5 });
});

test("groups: asked for they replace the user's own, added ones come on top", () => {
  expect(resolveUser(database, "web:extra", [])).toMatchObject({ gid: 50, additionalGids: [50] });
  expect(resolveUser(database, "web:99", ["www", "7"])).toMatchObject({ gid: 99, additionalGids: [99, 34, 7] });
});

test("what is not there is told in Docker's words", () => {
  expect(() => resolveUser(database, "nobody", [])).toThrow(
    "unable to find user nobody: no matching entries in passwd file",
  );
  expect(() => resolveUser(database, "0:none", [])).toThrow(
    "unable to find group none: no matching entries in group file",
  );
  expect(() => resolveUser(database, "99999999999", [])).toThrow("uids and gids must be in range 0-2147483647");
});
