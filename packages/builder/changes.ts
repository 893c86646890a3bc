import { type ImageRunConfig, invalidParameter } from "@gantry/spec";
import { parseInstruction } from "./dockerfile/instruction-parser.ts";
import { parseFile } from "./dockerfile/parser.ts";
import { expand } from "./dockerfile/shell.ts";
import { BuildArgs } from "./plan/build-args.ts";
import { applyConfig, resolveWorkdir } from "./plan/config.ts";

const ALLOWED = new Set("CMD ENTRYPOINT HEALTHCHECK ENV EXPOSE LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR".split(" "));

/**
 * The configuration after some Dockerfile instructions, for `commit --change` and `import --change`. The given one is
 * left alone. Throws invalidParameter, also for instructions that would need a build.
 */
export function applyChanges(config: ImageRunConfig, changes: string[]): ImageRunConfig {
  const state = { config: structuredClone(config), author: "", cmdSet: false };
  if (changes.length === 0) return state.config;
  const { nodes, directives } = parseFile(changes.join("\n"));
  const commands = nodes.map((node) => {
    if (!ALLOWED.has(node.name.toUpperCase())) throw invalidParameter(`${node.name} is not a valid change command`);
    return parseInstruction(node);
  });
  const args = BuildArgs.create({}, {}).forStage();
  for (const command of commands) {
    const lookup = args.lookup(state.config.Env ?? []);
    const expander = {
      word: (text: string) => expand(text, lookup, { escape: directives.escape }).text,
      words: (text: string) => expand(text, lookup, { escape: directives.escape }).words,
    };
    if (command.kind === "workdir") state.config.WorkingDir = resolveWorkdir(state.config, expander.word(command.path));
    else if (!["from", "arg", "run", "copy", "add"].includes(command.kind)) {
      applyConfig(command as Parameters<typeof applyConfig>[0], state, expander);
    }
  }
  return state.config;
}
