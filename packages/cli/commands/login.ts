import { readFileSync } from "node:fs";
import { defineCommand } from "../command.ts";
import { credentialsFor, DEFAULT_REGISTRY, eraseCredentials, storeCredentials } from "../credentials.ts";
import { CliError } from "../errors.ts";
import { bool, str } from "../flags.ts";
import { err, line } from "../output.ts";
import { ask } from "../terminal/ask.ts";
import { isTerminal } from "../terminal/tty.ts";

export const login = defineCommand({
  usage: "[OPTIONS] [SERVER]",
  short: "Log in to a registry",
  long: "Log in to a registry.\nWithout a server, Docker Hub is meant.",
  flags: {
    password: str("p", "Password or access token"),
    "password-stdin": bool("", "Read the password or access token from stdin"),
    username: str("u", "Username"),
  },
  arity: { atMost: 1 },
  async run({ cli, flags, changed, args }) {
    let { username, password } = flags;
    if (changed.has("password")) {
      err("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
      if (flags["password-stdin"])
        throw new CliError("conflicting options: cannot specify both --password and --password-stdin");
    }
    if (flags["password-stdin"]) {
      if (!username) throw new CliError("the --password-stdin option requires --username to be set");
      password = readFileSync(0, "utf8").replace(/\r?\n$/, "");
    }
    const server = serverOf(args[0]);
    const known = !username && !password ? credentialsFor(cli.configDir, server) : undefined;
    if (known) {
      line("Authenticating with existing credentials...");
    } else if (!username || !password) {
      if (!isTerminal(0)) throw new CliError("Error: Cannot perform an interactive login from a non TTY device");
      username ||= await ask("Username: ");
      if (!username) throw new CliError("username is required");
      password ||= await ask("Password: ", { hidden: true });
      if (!password) throw new CliError("password is required");
    }
    const auth = { username: username.trim(), password, serveraddress: server, ...known };
    const response = await cli.docker.system.login(auth);
    const { IdentityToken: token } = response;
    const plain = storeCredentials(cli.configDir, server, {
      ...auth,
      ...(token ? { identitytoken: token, password: "" } : {}),
    });
    if (plain && !known) {
      err(
        `\nWARNING! Your credentials are stored unencrypted in '${cli.configDir}/config.json'.\nConfigure a credential helper to remove this warning.\n\n`,
      );
    }
    if (response.Status) line(response.Status);
  },
});

export const logout = defineCommand({
  usage: "[SERVER]",
  short: "Log out from a registry",
  flags: {},
  arity: { atMost: 1 },
  async run({ cli, args }) {
    const server = serverOf(args[0]);
    eraseCredentials(cli.configDir, server);
    line(`Removing login credentials for ${server}`);
  },
});

function serverOf(text: string | undefined): string {
  if (!text || ["docker.io", "index.docker.io", "registry-1.docker.io"].includes(text)) return DEFAULT_REGISTRY;
  if (text === DEFAULT_REGISTRY) return text;
  return text.replace(/^https?:\/\//, "").split("/")[0]!;
}
