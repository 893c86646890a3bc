import { type HealthConfig, invalidParameter } from "@gantry/spec";
import { parseDuration } from "./duration.ts";
import { readFlags } from "./flags.ts";
import { chompTabs, type Heredoc, parseHeredoc } from "./heredoc.ts";
import type { CommandLine, InlineFile, Instruction } from "./instructions.ts";
import { precheckMount } from "./mounts.ts";
import type { Node } from "./parser.ts";
import { didYouMean } from "./suggest.ts";

const NAMES =
  "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR".split(
    " ",
  );
const STAGE_NAME = /^[a-z][a-z0-9._-]*$/;

/** Checks one node and gives it its type. Throws invalidParameter with Docker's words, without the line's number. */
export function parseInstruction(node: Node): Instruction {
  const base = { code: node.original.trim(), startLine: node.startLine, endLine: node.endLine };
  const name = node.name.toUpperCase();
  switch (name) {
    case "FROM":
      return { kind: "from", ...base, ...from(node) };
    case "ARG":
      return { kind: "arg", ...base, args: args(node) };
    case "ENV":
      return { kind: "env", ...base, pairs: pairs(node, name) };
    case "LABEL":
      return { kind: "label", ...base, pairs: pairs(node, name), literal: false };
    case "RUN": {
      const flags = readFlags(node.flags, { mount: "strings", network: "string", security: "string" });
      flags.mount.forEach(precheckMount);
      const command = commandLine(node);
      const network = flags.network ?? "default";
      const security = flags.security ?? "sandbox";
      if (network !== "default" && network !== "none" && network !== "host") {
        throw invalidParameter(
          `unsupported network mode ${JSON.stringify(network)}${didYouMean(network, ["default", "none", "host"], true)}`,
        );
      }
      if (security !== "sandbox" && security !== "insecure") {
        throw invalidParameter(
          `security ${JSON.stringify(security)} is not valid${didYouMean(security, ["sandbox", "insecure"], true)}`,
        );
      }
      return { kind: "run", ...base, command, mounts: flags.mount, network, security };
    }
    case "CMD":
    case "ENTRYPOINT":
      noFlags(node);
      return { kind: name === "CMD" ? "cmd" : "entrypoint", ...base, command: commandLine(node) };
    case "COPY": {
      needsDestination(node, name);
      const flags = readFlags(node.flags, {
        chown: "string",
        from: "string",
        chmod: "string",
        link: "bool",
        exclude: "strings",
        parents: "bool",
      });
      return {
        kind: "copy",
        ...base,
        ...sourcesAndDest(node, name),
        chown: flags.chown,
        chmod: flags.chmod,
        link: flags.link ?? false,
        exclude: flags.exclude,
        from: flags.from ?? "",
        parents: flags.parents ?? false,
      };
    }
    case "ADD": {
      needsDestination(node, name);
      const flags = readFlags(node.flags, {
        chown: "string",
        chmod: "string",
        link: "bool",
        "keep-git-dir": "bool",
        checksum: "string",
        unpack: "bool",
        exclude: "strings",
      });
      return {
        kind: "add",
        ...base,
        ...sourcesAndDest(node, name),
        chown: flags.chown,
        chmod: flags.chmod,
        link: flags.link ?? false,
        exclude: flags.exclude,
        keepGitDir: flags["keep-git-dir"] ?? false,
        checksum: flags.checksum ?? "",
        unpack: flags.unpack,
      };
    }
    case "EXPOSE":
      atLeastOne(node, name);
      noFlags(node);
      return { kind: "expose", ...base, ports: [...node.args].sort() };
    case "VOLUME": {
      atLeastOne(node, name);
      noFlags(node);
      const paths = node.args.map((path) => path.trim());
      if (paths.includes("")) throw invalidParameter("VOLUME specified can not be an empty string");
      return { kind: "volume", ...base, paths };
    }
    case "USER":
      return { kind: "user", ...base, user: exactlyOne(node, name) };
    case "WORKDIR":
      return { kind: "workdir", ...base, path: exactlyOne(node, name) };
    case "STOPSIGNAL":
      return { kind: "stopsignal", ...base, signal: exactlyOne(node, name) };
    case "MAINTAINER":
      return { kind: "maintainer", ...base, maintainer: exactlyOne(node, name) };
    case "HEALTHCHECK":
      return { kind: "healthcheck", ...base, health: healthcheck(node) };
    case "ONBUILD":
      return { kind: "onbuild", ...base, expression: onbuild(node) };
    case "SHELL": {
      noFlags(node);
      if (node.args.length === 0) throw invalidParameter("SHELL requires at least one argument");
      if (!node.json) throw invalidParameter("SHELL requires the arguments to be in JSON form");
      return { kind: "shell", ...base, shell: node.args };
    }
  }
  throw invalidParameter(`unknown instruction: ${node.name}${didYouMean(node.name, NAMES, false)}`);
}

function noFlags(node: Node): void {
  readFlags(node.flags, {});
}

function atLeastOne(node: Node, name: string): void {
  if (node.args.length === 0) throw invalidParameter(`${name} requires at least one argument`);
}

function exactlyOne(node: Node, name: string): string {
  const [argument, ...more] = node.args;
  if (argument === undefined || more.length > 0) throw invalidParameter(`${name} requires exactly one argument`);
  noFlags(node);
  return argument;
}

function needsDestination(node: Node, name: string): void {
  if (node.args.length < 2) {
    throw invalidParameter(
      `${name} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
  }
}

function from(node: Node): { image: string; stageName: string; platform: string } {
  const [image, as, name, ...more] = node.args;
  let stageName = "";
  if (node.args.length === 3 && as?.toLowerCase() === "as") {
    stageName = name!.toLowerCase();
    if (!STAGE_NAME.test(stageName)) {
      throw invalidParameter(
        `invalid name for build stage: ${JSON.stringify(name)}, name can't start with a number or contain symbols`,
      );
    }
  } else if (node.args.length !== 1 || more.length > 0) {
    throw invalidParameter("FROM requires either one or three arguments");
  }
  const flags = readFlags(node.flags, { platform: "string" });
  return { image: image!, stageName, platform: flags.platform ?? "" };
}

function args(node: Node): { key: string; value?: string }[] {
  atLeastOne(node, "ARG");
  noFlags(node);
  return node.args.map((word) => {
    const equals = word.indexOf("=");
    if (equals === 0) throw invalidParameter("ARG names can not be blank");
    return equals < 0 ? { key: word } : { key: word.slice(0, equals), value: word.slice(equals + 1) };
  });
}

function pairs(node: Node, name: string) {
  noFlags(node);
  if (node.pairs.length === 0) throw invalidParameter(`${name} requires at least one argument`);
  if (node.pairs.some((pair) => pair.key === "")) throw invalidParameter(`${name} names can not be blank`);
  return node.pairs;
}

function commandLine(node: Node): CommandLine {
  return {
    args: node.json || node.args.length === 0 ? node.args : [node.args.join(" ")],
    shell: !node.json,
    heredocs: node.heredocs.map(({ name, content, chomp }) => ({ name, content, chomp })),
  };
}

function sourcesAndDest(node: Node, name: string): { sources: string[]; inline: InlineFile[]; dest: string } {
  const words = [...node.args];
  const dest = words.pop()!;
  // In JSON form a word is a path, whatever it looks like.
  const asHeredoc = (word: string): Heredoc | null => (node.json ? null : parseHeredoc(word));
  if (asHeredoc(dest)) throw invalidParameter(`${name} cannot accept a heredoc as a destination`);
  const sources: string[] = [];
  const inline: InlineFile[] = [];
  for (const word of words) {
    const heredoc = asHeredoc(word);
    if (!heredoc) {
      sources.push(word);
      continue;
    }
    const content = node.heredocs.find((candidate) => candidate.name === heredoc.name)?.content ?? "";
    inline.push({
      name: heredoc.name,
      content: heredoc.chomp ? chompTabs(content) : content,
      expand: heredoc.expand,
    });
  }
  return { sources, inline, dest };
}

function healthcheck(node: Node): HealthConfig {
  const [type, ...command] = node.args;
  if (type === undefined) throw invalidParameter("HEALTHCHECK requires at least one argument");
  const upper = type.toUpperCase();
  if (upper === "NONE") {
    if (command.length > 0) throw invalidParameter("HEALTHCHECK NONE takes no arguments");
    return { Test: ["NONE"] };
  }
  const flags = readFlags(node.flags, {
    interval: "string",
    timeout: "string",
    "start-period": "string",
    "start-interval": "string",
    retries: "string",
  });
  if (upper !== "CMD") throw invalidParameter(`Unknown type ${JSON.stringify(upper)} in HEALTHCHECK (try CMD)`);
  const test = node.json ? command : command.length === 0 ? [] : [command.join(" ")];
  if (test.length === 0) throw invalidParameter("Missing command after HEALTHCHECK CMD");
  const config: HealthConfig = { Test: [node.json ? "CMD" : "CMD-SHELL", ...test] };
  const interval = optInterval("interval", flags.interval);
  if (interval) config.Interval = interval;
  const timeout = optInterval("timeout", flags.timeout);
  if (timeout) config.Timeout = timeout;
  const startPeriod = optInterval("start-period", flags["start-period"]);
  if (startPeriod) config.StartPeriod = startPeriod;
  const startInterval = optInterval("start-interval", flags["start-interval"]);
  if (startInterval) config.StartInterval = startInterval;
  if (flags.retries) {
    if (!/^[+-]?\d+$/.test(flags.retries)) {
      throw invalidParameter(`strconv.ParseInt: parsing ${JSON.stringify(flags.retries)}: invalid syntax`);
    }
    const retries = Number(flags.retries);
    if (Math.abs(retries) > 0x7fffffff) {
      throw invalidParameter(`strconv.ParseInt: parsing ${JSON.stringify(flags.retries)}: value out of range`);
    }
    if (retries < 0) throw invalidParameter(`--retries cannot be negative (${retries})`);
    if (retries) config.Retries = retries;
  }
  return config;
}

function optInterval(name: string, text: string | undefined): number {
  if (!text) return 0;
  const duration = parseDuration(text);
  if (duration !== 0 && duration < 1e6) throw invalidParameter(`Interval "${name}" cannot be less than 1ms`);
  return duration;
}

function onbuild(node: Node): string {
  if (!node.child) throw invalidParameter("ONBUILD requires at least one argument");
  noFlags(node);
  const trigger = node.child.name.trim().toUpperCase();
  if (trigger === "ONBUILD") throw invalidParameter("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger === "MAINTAINER" || trigger === "FROM") {
    throw invalidParameter(`${trigger} isn't allowed as an ONBUILD trigger`);
  }
  let expression = node.original.replace(/^\s*ONBUILD\s*/i, "");
  for (const heredoc of node.heredocs) expression += `\n${heredoc.content}${heredoc.name}`;
  return expression;
}
