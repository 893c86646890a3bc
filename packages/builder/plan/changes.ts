import { type ImageRunConfig, invalidParameter } from "@gantry/spec";
import { parseInstruction } from "../dockerfile/instruction-parser.ts";
import { parseFile } from "../dockerfile/parser.ts";
import { expand } from "../dockerfile/shell.ts";
import { applyConfig, type ConfigState, type Expander, resolveWorkdir } from "./config.ts";

/** What `commit --change` and `import --change` take. */
const ALLOWED = new Set(
  "cmd entrypoint healthcheck env expose label onbuild stopsignal user volume workdir".split(" "),
);

/**
 * A configuration with Dockerfile instructions applied, as `--change` does; the given one stays as it is. Throws
 * invalidParameter in Docker's words for malformed instructions and for those that change more than configuration.
 */
export function applyChanges(base: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  const state: ConfigState = { config: structuredClone(base), author: "", cmdSet: false };
  if (changes.every((change) => change.trim() === "")) return state.config;
  const file = parseFile(changes.join("\n"));
  for (const node of file.nodes) {
    const name = node.name.toLowerCase();
    if (!ALLOWED.has(name)) throw invalidParameter(`${node.name} is not a valid change command`);
    const command = parseInstruction(node);
    const lookup = (variable: string) => {
      const pair = state.config.Env?.find((entry) => entry.startsWith(`${variable}=`));
      return pair?.slice(variable.length + 1);
    };
    const options = { escape: file.directives.escape };
    const expander: Expander = {
      word: (text) => expand(text, lookup, options).text,
      words: (text) => expand(text, lookup, options).words,
    };
    if (command.kind === "workdir") {
      state.config.WorkingDir = resolveWorkdir(state.config, expander.word(command.path));
    } else if (!["from", "arg", "run", "copy", "add"].includes(command.kind)) {
      applyConfig(command as Parameters<typeof applyConfig>[0], state, expander);
    }
  }
  return state.config;
}
