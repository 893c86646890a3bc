import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const PASSWD = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
web:x:1000:1000:web:/home:/bin/sh
nobody:x:65534:65534:nobody:/home:/bin/false
`;
const GROUP = "root:x:0:\ndaemon:x:1:\nweb:x:1000:\nnogroup:x:65534:\n";

/**
 * Makes the root file system of a busybox image, as a tar for `import`, from Debian's busybox-static; where the file is
 * there already, it is kept. Returns its path.
 */
export function busyboxTar(path: string): string {
  if (existsSync(path)) return path;
  const busybox = ["/bin/busybox", "/usr/bin/busybox"].find((candidate) => existsSync(candidate));
  if (!busybox) throw new Error("no busybox on this machine: run `npm run setup`");
  const work = mkdtempSync(join(tmpdir(), "gantry-busybox-"));
  try {
    const root = join(work, "root");
    for (const name of ["bin", "etc", "tmp", "root", "usr", "var", "proc", "sys", "dev", "home"]) {
      mkdirSync(join(root, name), { recursive: true });
    }
    chmodSync(join(root, "tmp"), 0o1777);
    copyFileSync(busybox, join(root, "bin/busybox"));
    chmodSync(join(root, "bin/busybox"), 0o755);
    const applets = Bun.spawnSync([busybox, "--list"]).stdout.toString().trim().split("\n");
    for (const applet of applets) if (applet !== "busybox") symlinkSync("busybox", join(root, "bin", applet));
    writeFileSync(join(root, "etc/passwd"), PASSWD);
    writeFileSync(join(root, "etc/group"), GROUP);
    const made = Bun.spawnSync(["tar", "-C", root, "--owner=0", "--group=0", "-cf", join(work, "busybox.tar"), "."]);
    if (made.exitCode !== 0) throw new Error(made.stderr.toString());
    mkdirSync(dirname(path), { recursive: true });
    // Two test processes may make it at the same time: each puts a whole one in place.
    copyFileSync(join(work, "busybox.tar"), `${path}.${process.pid}`);
    renameSync(`${path}.${process.pid}`, path);
    return path;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
