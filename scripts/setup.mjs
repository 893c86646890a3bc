// Makes a bare clone ready, with nothing but Node and npm there: Debian packages, npm packages, the shim.
// Idempotent and quick where all is there already. `--test` also installs what only the tests need.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

/** What must be there → the Debian package that brings it: a command, or a file pattern of a library. */
const NEEDS = [
  { command: "gcc", package: "gcc" },
  { command: "musl-gcc", package: "musl-tools" },
  { file: "/usr/include/linux/seccomp.h", package: "linux-libc-dev" },
  { library: "libnftables.so.1", package: "libnftables1" },
  { command: "busybox", package: "busybox-static", static: true },
  { command: "curl", package: "curl" },
  { file: "/etc/ssl/certs/ca-certificates.crt", package: "ca-certificates" },
];

const TEST_NEEDS = [
  { command: "docker", package: "docker-cli", otherwise: "docker.io" },
  { command: "ip", package: "iproute2" },
  { command: "nft", package: "nftables" },
  { command: "xz", package: "xz-utils" },
  { command: "zstd", package: "zstd" },
  { command: "bzip2", package: "bzip2" },
  { command: "bsdtar", package: "libarchive-tools" },
  { command: "openssl", package: "openssl" },
  { command: "git", package: "git" },
  { command: "python3", package: "python3" },
  { command: "iperf3", package: "iperf3" },
  { command: "docker-registry", package: "docker-registry" },
  { library: "libseccomp.so.2", package: "libseccomp2" },
];

const LIBRARY_FOLDERS = ["/usr/lib", "/lib", "/usr/lib64", "/lib64"].flatMap((folder) =>
  ["", "/x86_64-linux-gnu", "/aarch64-linux-gnu"].map((sub) => folder + sub),
);
const COMMAND_FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

function present(need) {
  if (need.file) return existsSync(need.file);
  if (need.library) return LIBRARY_FOLDERS.some((folder) => existsSync(join(folder, need.library)));
  const path = [...(process.env.PATH ?? "").split(":"), ...COMMAND_FOLDERS]
    .map((folder) => join(folder, need.command))
    .find((candidate) => existsSync(candidate));
  if (!path) return false;
  return !need.static || !hasInterpreter(path);
}

/** Whether an ELF file asks for a dynamic loader (PT_INTERP): such a busybox is useless as an image's only file. */
function hasInterpreter(path) {
  const elf = readFileSync(path);
  const [offset, size, count] = [Number(elf.readBigUInt64LE(0x20)), elf.readUInt16LE(0x36), elf.readUInt16LE(0x38)];
  for (let i = 0; i < count; i++) if (elf.readUInt32LE(offset + i * size) === 3) return true;
  return false;
}

function installDebianPackages(needs) {
  const absent = needs.filter((need) => !present(need));
  if (absent.length === 0) return;
  const names = absent.map((need) => need.package).join(" ");
  if (!existsSync("/usr/bin/apt-get")) fail(`missing: ${names} (install them with this system's package manager)`);
  if (process.getuid() !== 0) fail(`missing Debian packages: ${names}; run as root to install them`);
  console.log(`setup: installing ${names}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) => spawnSync("apt-get", ["-qq", ...args], { env, stdio: ["ignore", "ignore", "inherit"] });
  apt("update");
  const known = (name) => spawnSync("apt-cache", ["show", name], { stdio: "ignore" }).status === 0;
  const missing = absent.map((need) => (need.otherwise && !known(need.package) ? need.otherwise : need.package));
  if (apt("install", "-y", "--no-install-recommends", ...missing).status !== 0) {
    fail(`apt-get could not install ${missing.join(" ")}`);
  }
}

function installNpmPackages() {
  const stamp = join("node_modules", ".gantry-setup");
  const lock = readFileSync("package-lock.json", "utf8");
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
    console.log("setup: npm install");
    // Not `npm ci`: it refuses a lock that lacks another platform's optional package, which a registry may not have.
    execFileSync("npm", ["install", "--no-save", "--no-fund", "--no-audit", "--loglevel=error"], { stdio: "inherit" });
    writeFileSync(stamp, lock);
  }
  // npm may be set not to run install scripts; Bun's puts the binary into place.
  const bun = join("node_modules", ".bin", "bun");
  if (spawnSync(bun, ["--version"]).status !== 0) {
    execFileSync("node", ["install.js"], { cwd: join("node_modules", "bun"), stdio: "inherit" });
  }
}

function buildShim() {
  execFileSync("node", ["packages/libcontainer/shim/build.mjs"], { stdio: "inherit" });
}

function fail(message) {
  console.error(`setup: ${message}`);
  process.exit(1);
}

if (process.platform !== "linux") fail("Gantry runs on Linux only");
if (Number(process.versions.node.split(".")[0]) < 20) fail(`Node 20 or newer is needed, this is ${process.version}`);
statSync("package-lock.json");
installDebianPackages(process.argv.includes("--test") ? [...NEEDS, ...TEST_NEEDS] : NEEDS);
installNpmPackages();
buildShim();
