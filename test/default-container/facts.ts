/** What the probe tells, brought to a form in which two engines can be compared: section, key, value. */
export type Facts = Record<string, Record<string, string>>;

const STATUS = new Set(
  `Umask TracerPid Uid Gid Groups NSpid NSpgid NSsid SigPnd ShdPnd SigBlk SigIgn SigCgt CapInh CapPrm CapEff CapBnd
  CapAmb NoNewPrivs Seccomp Seccomp_filters Speculation_Store_Bypass CoreDumping THP_enabled Threads Cpus_allowed_list
  Mems_allowed_list`.split(/\s+/),
);

/** One line of mountinfo (proc(5)) as mount point and the rest of what a container can tell by it. */
function mount(line: string): [string, string] {
  const [before, after] = line.split(" - ");
  const [, , , root, point, options, ...tags] = before!.split(" ");
  const [type, source, superOptions] = after!.split(" ");
  const shared = tags.map((tag) => tag.split(":")[0]).join(" ");
  const own = root === "/" ? "" : ` of ${/^\/etc\//.test(point!) ? root!.replace(/^.*\//, "") : root}`;
  // Those of overlay and of the host's disk name host paths, and differ with the storage driver.
  const kept = /^(overlay|ext4|xfs|btrfs)$/.test(type!) ? "" : ` (${source} ${superOptions})`;
  return [point!, [`${type}${own} ${options}${kept}`, shared].filter(Boolean).join(" ")];
}

/** Names and numbers that each container has of its own. */
function withoutIdentity(text: string): string {
  return text
    .replace(/\/[^\s:]*\/[0-9a-f]{64}\b(?!\/)/g, "<cgroup>")
    .replace(/\b[0-9a-f]{64}\b/g, "<id>")
    .replace(/\b[0-9a-f]{12}\b/g, "<short id>")
    .replace(/(?<![\d.])(172\.\d+|10\.\d+)\.\d+\.\d+(?![\d./])/g, "<ip>")
    .replace(/\b(pipe|socket):\[\d+\]/g, "$1");
}

/** resolv.conf's lines that mean something, without comments. */
const meaningful = (text: string) =>
  text
    .split("\\n")
    .filter((line) => line && !line.startsWith("#"))
    .join("; ");

/** Parses the probe's lines. Mounts of one point that lie over each other are numbered. */
export function parseFacts(output: string): Facts {
  const facts: Facts = {};
  for (const line of output.split("\n")) {
    let [section, key, value] = line.replace(/\r$/, "").split("\t");
    if (section === undefined || key === undefined || value === undefined) continue;
    if (section === "status" && !STATUS.has(key)) continue;
    if (section === "mount") [key, value] = mount(value);
    if (section === "cgroup") {
      const [, controllers, path] = value.split(":");
      [key, value] = [controllers || "unified", path ?? ""];
    }
    if (section === "limit" && key === "devices/devices.list") value = value.split("\\n").sort().join("; ");
    if (section === "file" && key === "/etc/resolv.conf") value = meaningful(value);
    const list = (facts[section] ??= {});
    let name = key;
    for (let over = 2; Object.hasOwn(list, name); over++) name = `${key} (${over})`;
    list[name] = withoutIdentity(value).trim();
  }
  return withoutPid(facts);
}

/** In an exec, or in the host's pid namespace, the probe's own pid is chance. */
function withoutPid(facts: Facts): Facts {
  const pid = facts["status"]?.["NSpid"];
  if (!pid || pid === "1") return facts;
  const own = new RegExp(`\\b${pid}\\b`, "g");
  for (const key of ["NSpid", "NSpgid", "NSsid"]) facts["status"]![key] = facts["status"]![key]!.replace(own, "<pid>");
  const id = facts["id"];
  if (id?.["session"]) id["session"] = id["session"].replace(own, "<pid>");
  const { [pid]: name, ...others } = facts["process"] ?? {};
  facts["process"] = name === undefined ? others : { ...others, "<pid>": name };
  return facts;
}

/** Every fact that differs, as `section key: one | other`. */
export function differences(
  one: Facts,
  other: Facts,
  skip: (section: string, key: string) => boolean = () => false,
): string[] {
  const found: string[] = [];
  for (const section of new Set([...Object.keys(one), ...Object.keys(other)])) {
    const [a, b] = [one[section] ?? {}, other[section] ?? {}];
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)]))
      if (a[key] !== b[key] && !skip(section, key))
        found.push(`${section} ${key}: ${a[key] ?? "-"} | ${b[key] ?? "-"}`);
  }
  return found.sort();
}
