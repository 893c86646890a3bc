import type { Command } from "./command.ts";

/** A command by name; its code is loaded when it is called. */
export interface Leaf {
  short: string;
  hidden?: boolean;
  common?: boolean;
  /** Does not talk to the engine, or not at once: no connection is made ahead. */
  offline?: boolean;
  load(): Promise<Command>;
}

export interface Group {
  short: string;
  hidden?: boolean;
  commands: Record<string, Node>;
}

export type Node = Leaf | Group;
export type Tree = Record<string, Node>;

const leaf = (short: string, load: () => Promise<Command>, extra: Partial<Leaf> = {}): Leaf => ({
  short,
  load,
  ...extra,
});
const hidden = (node: Leaf): Leaf => ({ ...node, hidden: true });

const run = leaf("Create and run a container", async () => (await import("./commands/run.ts")).run, { common: true });
const exec = leaf("Run a command in a running container", async () => (await import("./commands/exec.ts")).exec, {
  common: true,
});
const ps = leaf("List containers", async () => (await import("./commands/ps.ts")).ps, { common: true });
const build = leaf("Build an image from a Dockerfile", async () => (await import("./commands/build.ts")).build, {
  common: true,
});
const pull = leaf("Get an image from a registry", async () => (await import("./commands/pull.ts")).pull, {
  common: true,
});
const push = leaf("Put an image into a registry", async () => (await import("./commands/push.ts")).push, {
  common: true,
});
const images = leaf("List images", async () => (await import("./commands/images.ts")).images, { common: true });
const login = leaf("Log in to a registry", async () => (await import("./commands/login.ts")).login, { common: true });
const logout = leaf("Log out from a registry", async () => (await import("./commands/login.ts")).logout, {
  common: true,
});
const search = leaf("Search a registry for images", async () => (await import("./commands/search.ts")).search, {
  common: true,
});
const version = leaf(
  "Show versions of client and engine",
  async () => (await import("./commands/version.ts")).version,
  {
    common: true,
  },
);
const info = leaf("Show facts about the engine", async () => (await import("./commands/info.ts")).info, {
  common: true,
});

const attach = leaf(
  "Connect this terminal to a running container",
  async () => (await import("./commands/attach.ts")).attach,
);
const commit = leaf(
  "Make an image from a container's changes",
  async () => (await import("./commands/commit.ts")).commit,
);
const cp = leaf("Copy files between a container and this machine", async () => (await import("./commands/cp.ts")).cp);
const create = leaf("Create a container", async () => (await import("./commands/create.ts")).create);
const diff = leaf(
  "List what changed in a container's filesystem",
  async () => (await import("./commands/diff.ts")).diff,
);
const events = leaf("Follow what happens in the engine", async () => (await import("./commands/events.ts")).events);
const exportCommand = leaf(
  "Write a container's filesystem as a tar",
  async () => (await import("./commands/export.ts")).exportCommand,
);
const history = leaf(
  "Show the steps an image was made in",
  async () => (await import("./commands/history.ts")).history,
);
const importCommand = leaf(
  "Make an image from a tar of files",
  async () => (await import("./commands/import.ts")).importCommand,
);
const inspect = leaf(
  "Show all the engine knows of an object",
  async () => (await import("./commands/inspect.ts")).inspect,
);
const kill = leaf("Kill running containers", async () => (await import("./commands/lifecycle.ts")).kill);
const load = leaf("Load images from a tar", async () => (await import("./commands/save.ts")).load);
const logs = leaf("Show the logs of a container", async () => (await import("./commands/logs.ts")).logs);
const pause = leaf("Pause all processes of containers", async () => (await import("./commands/lifecycle.ts")).pause);
const port = leaf("List a container's published ports", async () => (await import("./commands/port.ts")).port);
const rename = leaf("Rename a container", async () => (await import("./commands/lifecycle.ts")).rename);
const restart = leaf("Restart containers", async () => (await import("./commands/lifecycle.ts")).restart);
const rm = leaf("Remove containers", async () => (await import("./commands/lifecycle.ts")).rm);
const rmi = leaf("Remove images", async () => (await import("./commands/rmi.ts")).rmi);
const save = leaf(
  "Write images to a tar (to STDOUT by default)",
  async () => (await import("./commands/save.ts")).save,
);
const start = leaf("Start stopped containers", async () => (await import("./commands/start.ts")).start);
const stats = leaf("Show what containers use, as it changes", async () => (await import("./commands/stats.ts")).stats);
const stop = leaf("Stop running containers", async () => (await import("./commands/lifecycle.ts")).stop);
const tag = leaf("Give an image another name", async () => (await import("./commands/tag.ts")).tag);
const top = leaf("List the processes of a container", async () => (await import("./commands/top.ts")).top);
const unpause = leaf("Resume paused containers", async () => (await import("./commands/lifecycle.ts")).unpause);
const update = leaf("Change limits of containers", async () => (await import("./commands/update.ts")).update);
const wait = leaf(
  "Wait for containers to stop, print their exit codes",
  async () => (await import("./commands/lifecycle.ts")).wait,
);

const container: Group = {
  short: "Manage containers",
  commands: {
    attach,
    commit,
    cp,
    create,
    diff,
    exec,
    export: exportCommand,
    inspect: leaf(
      "Show all the engine knows of containers",
      async () => (await import("./commands/inspect.ts")).inspectContainer,
    ),
    kill,
    logs,
    ls: ps,
    list: hidden(ps),
    ps: hidden(ps),
    pause,
    port,
    prune: leaf("Remove all stopped containers", async () => (await import("./commands/prune.ts")).containerPrune),
    rename,
    restart,
    rm,
    remove: hidden(rm),
    run,
    start,
    stats,
    stop,
    top,
    unpause,
    update,
    wait,
  },
};

const image: Group = {
  short: "Manage images",
  commands: {
    build,
    history,
    import: importCommand,
    inspect: leaf(
      "Show all the engine knows of images",
      async () => (await import("./commands/inspect.ts")).inspectImage,
    ),
    load,
    ls: images,
    list: hidden(images),
    prune: leaf("Remove unused images", async () => (await import("./commands/prune.ts")).imagePrune),
    pull,
    push,
    rm: rmi,
    remove: hidden(rmi),
    save,
    tag,
  },
};

const manifests = () => import("./commands/manifest.ts");
const manifest: Group = {
  short: "Manage image manifests and manifest lists",
  commands: {
    annotate: leaf("Say more about a manifest of a list", async () => (await manifests()).manifestAnnotate, {
      offline: true,
    }),
    create: leaf("Begin a manifest list", async () => (await manifests()).manifestCreate, { offline: true }),
    inspect: leaf("Show a manifest or manifest list", async () => (await manifests()).manifestInspect, {
      offline: true,
    }),
    push: leaf("Put a manifest list into a registry", async () => (await manifests()).manifestPush, { offline: true }),
    rm: leaf("Remove manifest lists", async () => (await manifests()).manifestRm, { offline: true }),
  },
};

const networks = () => import("./commands/network.ts");
const networkLs = leaf("List networks", async () => (await networks()).networkLs);
const networkRm = leaf("Remove networks", async () => (await networks()).networkRm);
const network: Group = {
  short: "Manage networks",
  commands: {
    connect: leaf("Connect a container to a network", async () => (await networks()).networkConnect),
    create: leaf("Create a network", async () => (await networks()).networkCreate),
    disconnect: leaf("Disconnect a container from a network", async () => (await networks()).networkDisconnect),
    inspect: leaf(
      "Show all the engine knows of networks",
      async () => (await import("./commands/inspect.ts")).inspectNetwork,
    ),
    ls: networkLs,
    list: hidden(networkLs),
    prune: leaf("Remove all unused networks", async () => (await import("./commands/prune.ts")).networkPrune),
    rm: networkRm,
    remove: hidden(networkRm),
  },
};

const volumes = () => import("./commands/volume.ts");
const volumeLs = leaf("List volumes", async () => (await volumes()).volumeLs);
const volumeRm = leaf("Remove volumes", async () => (await volumes()).volumeRm);
const volume: Group = {
  short: "Manage volumes",
  commands: {
    create: leaf("Create a volume", async () => (await volumes()).volumeCreate),
    inspect: leaf(
      "Show all the engine knows of volumes",
      async () => (await import("./commands/inspect.ts")).inspectVolume,
    ),
    ls: volumeLs,
    list: hidden(volumeLs),
    prune: leaf("Remove unused volumes", async () => (await import("./commands/prune.ts")).volumePrune),
    rm: volumeRm,
    remove: hidden(volumeRm),
  },
};

const system: Group = {
  short: "Manage the engine",
  commands: {
    df: leaf("Show how much disk is used", async () => (await import("./commands/df.ts")).df),
    "dial-stdio": leaf(
      "Connect stdin and stdout to the engine",
      async () => (await import("./commands/dial-stdio.ts")).dialStdio,
      {
        hidden: true,
      },
    ),
    events,
    info,
    prune: leaf("Remove unused data", async () => (await import("./commands/prune.ts")).systemPrune),
  },
};

const builder: Group = {
  short: "Manage builds",
  commands: {
    build,
    prune: leaf("Remove build cache", async () => (await import("./commands/prune.ts")).builderPrune),
  },
};

const contexts = () => import("./commands/context.ts");
const contextLs = leaf("List contexts", async () => (await contexts()).contextLs);
const context: Group = {
  short: "Manage contexts",
  commands: {
    inspect: leaf("Show all that is known of contexts", async () => (await contexts()).contextInspect),
    ls: contextLs,
    list: hidden(contextLs),
    show: leaf("Print the name of the current context", async () => (await contexts()).contextShow),
    use: leaf("Choose the current context", async () => (await contexts()).contextUse),
  },
};

const daemon = leaf("Run the engine in the foreground", async () => (await import("./commands/daemon.ts")).daemon, {
  offline: true,
});
const completion = leaf(
  "Print a completion script for a shell",
  async () => (await import("./commands/completion.ts")).completion,
  {
    hidden: true,
  },
);

/** Every command, in the order of the help. */
export const tree: Tree = {
  run,
  exec,
  ps,
  build,
  pull,
  push,
  images,
  login,
  logout,
  search,
  version,
  info,
  builder,
  container,
  context,
  image,
  manifest,
  network,
  system,
  volume,
  attach,
  commit,
  completion,
  cp,
  create,
  daemon,
  diff,
  events,
  export: exportCommand,
  history,
  import: importCommand,
  inspect,
  kill,
  load,
  logs,
  pause,
  port,
  rename,
  restart,
  rm,
  rmi,
  save,
  start,
  stats,
  stop,
  tag,
  top,
  unpause,
  update,
  wait,
};

/** The headings of the program's help, and what stands under each. */
export const groups: [title: string, filter: (name: string, node: Node) => boolean][] = [
  ["Common Commands", (_, node) => "common" in node && node.common === true],
  ["Management Commands", (_, node) => "commands" in node],
  ["Commands", (_, node) => !("commands" in node) && !node.common],
];
