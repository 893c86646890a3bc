import type { Command } from "./command.ts";
import type { Flags } from "./flags.ts";
import { terminalSize } from "./terminal/tty.ts";
import { type Group, groups, type Node, type Tree } from "./tree.ts";

/** The help of one command. */
export function commandHelp(program: string, path: string, command: Command): string {
  let text = `Usage:  ${path}${command.usage ? ` ${command.usage}` : ""}\n\n${command.long ?? command.short}\n`;
  if (command.aliases && command.aliases.length > 1) {
    text += `\nAliases:\n  ${command.aliases.map((alias) => `${program} ${alias}`).join(", ")}\n`;
  }
  const options = optionsHelp(command.flags);
  if (options) text += `\nOptions:\n${options}`;
  return text;
}

/** The help of a group of commands. */
export function groupHelp(path: string, group: Group): string {
  return `Usage:  ${path} COMMAND\n\n${group.short}\n\nCommands:\n${names(Object.entries(group.commands))}\nRun '${path} COMMAND --help' for more information on a command.\n`;
}

/** The help of the program itself. */
export function rootHelp(program: string, tree: Tree, flags: Flags): string {
  let text = `Usage:  ${program} [OPTIONS] COMMAND\n\nA container engine\n`;
  const entries = Object.entries(tree);
  for (const [title, filter] of groups) {
    const some = entries.filter(([name, node]) => filter(name, node));
    if (some.length > 0) text += `\n${title}:\n${names(some)}`;
  }
  text += `\nGlobal Options:\n${optionsHelp(flags)}`;
  return `${text}\nRun '${program} COMMAND --help' for more information on a command.\n`;
}

function names(entries: [string, Node][]): string {
  const visible = entries.filter(([, node]) => !node.hidden);
  const width = Math.max(11, ...visible.map(([name]) => name.length));
  return visible.map(([name, node]) => `  ${name.padEnd(width)} ${node.short}\n`).join("");
}

/** The option lines, aligned and wrapped at the terminal's width as Docker's are. */
export function optionsHelp(flags: Flags): string {
  const entries = Object.entries(flags)
    .filter(([, flag]) => !flag.hidden)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = entries.map(([name, flag]) => {
    const left = `${flag.short ? `  -${flag.short}, ` : "      "}--${name}${flag.type ? ` ${flag.type}` : ""}`;
    return { left, right: flag.help + (flag.shown ? ` (default ${flag.shown})` : "") };
  });
  const width = Math.max(0, ...lines.map(({ left }) => left.length)) + 1;
  const columns = terminalColumns();
  return lines.map(({ left, right }) => `${left.padEnd(width)}  ${wrap(width + 2, columns, right)}\n`).join("");
}

function terminalColumns(): number {
  return terminalSize()?.columns || 80;
}

/** Breaks text at spaces; a last line may be five characters longer rather than leave a short word alone. */
function wrap(indent: number, columns: number, text: string): string {
  const slop = 5;
  let margin = indent;
  let prefix = "";
  if (columns - margin < 24) {
    margin = 16;
    prefix = `\n${" ".repeat(margin)}`;
  }
  const width = columns - margin - slop;
  const pieces: string[] = [];
  for (let rest = text; rest; ) {
    if (width + slop > rest.length) {
      pieces.push(rest);
      break;
    }
    const head = rest.slice(0, width);
    const space = Math.max(head.lastIndexOf(" "), head.lastIndexOf("\t"), head.lastIndexOf("\n"));
    if (space <= 0) {
      pieces.push(rest);
      break;
    }
    const newline = head.lastIndexOf("\n");
    const cut = newline > 0 && newline < space ? newline : space;
    pieces.push(rest.slice(0, cut));
    rest = rest.slice(cut + 1);
  }
  const gap = `\n${" ".repeat(margin)}`;
  return prefix + pieces.map((piece) => piece.replaceAll("\n", gap)).join(gap);
}
