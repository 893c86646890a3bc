import { GantryError, invalidParameter } from "@gantry/spec";
import { parseInstruction } from "./instruction-parser.ts";
import type { Arg, Command, Instruction, Stage } from "./instructions.ts";
import type { Node } from "./parser.ts";

/** The ARGs before the first FROM, and the stages. */
export interface StagedFile {
  metaArgs: Arg[];
  stages: Stage[];
}

/** Sorts instructions into stages. Throws invalidParameter `dockerfile parse error on line N: …`. */
export function parseStages(nodes: Node[]): StagedFile {
  const metaArgs: Arg[] = [];
  const stages: Stage[] = [];
  for (const node of nodes) {
    const instruction = onLine(node, () => parseInstruction(node));
    if (instruction.kind === "from") {
      stages.push({ from: instruction, name: instruction.stageName, index: stages.length, commands: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage) stage.commands.push(instruction);
    else if (instruction.kind === "arg") metaArgs.push(instruction);
    else throw invalidParameter("no build stage in current context");
  }
  return { metaArgs, stages };
}

/** The single command of an ONBUILD trigger. */
export function parseTrigger(nodes: Node[]): Command {
  const [node, ...more] = nodes;
  if (!node || more.length > 0) throw invalidParameter("onbuild trigger should be a single expression");
  const instruction: Instruction = parseInstruction(node);
  if (instruction.kind === "from") throw invalidParameter("FROM isn't allowed as an ONBUILD trigger");
  return instruction;
}

/** The stage a target or `--from` names: by name (any case; the last of that name), else by number. */
export function findStage(stages: Stage[], name: string): Stage | undefined {
  const lower = name.toLowerCase();
  return (
    stages.findLast((stage) => stage.name !== "" && stage.name === lower) ??
    (/^\d+$/.test(name) ? stages[Number(name)] : undefined)
  );
}

function onLine<T>(node: Node, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof GantryError)) throw error;
    throw new GantryError(error.kind, `dockerfile parse error on line ${node.startLine}: ${error.message}`, {
      cause: error,
    });
  }
}
